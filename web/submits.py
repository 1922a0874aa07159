"""A document over HTTP becomes a job."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

import db.database
from db import reports
from db.submit import Accepted, Submission, accept, check_answerable, trace
from docmill.bounds import due_at
from docmill.tracing import Tracer, Value, valid_parent
from web import submission
from web.access import Database, Tenant
from web.fetches import with_document
from web.problems import documented
from web.schemas import AddressWanted, FileWanted, IdempotencyKey, JobShown, JobWanted
from web.shown import shown
from web.submission import Wanted

__all__ = ["router", "tell_where"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=documented(401, 422, 503))


@router.post(
    "",
    status_code=202,
    response_model=JobShown,
    summary="Submit a document",
    responses=documented(400, 408, 409, 413, 415, 502),
    openapi_extra={"requestBody": submission.SUBMIT_BODY},
)
async def submit_job(
    request: Request,
    response: Response,
    background: BackgroundTasks,
    database: Database,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
) -> JobShown:
    """Accepted means kept: the job ends, whatever dies in between.

    The same `Idempotency-Key` with the same body gives the same job, and the header `Idempotent-Replayed: true`;
    with another body it is a 409. In the place of `document` may stand `document_url`.
    """
    wanted = await submission.read(request, file=FileWanted, text=JobWanted, address=AddressWanted)
    wanted = await with_document(request, wanted)
    # After the response, so that a broker that is slow or away delays no submit.
    background.add_task(request.app.state.fleet.start)

    def accept_it() -> tuple[JobShown, Accepted]:
        return _accept(request, database, _submission(request, wanted, tenant, idempotency_key))

    # In one thread from here on: each hop to another takes as long as a statement.
    job, accepted = await run_in_threadpool(accept_it)
    tell_where(response, accepted)
    return job


def _submission(
    request: Request, wanted: Wanted[FileWanted], tenant: str, idempotency_key: str | None
) -> Submission:
    """What is wanted, pinned to the prompt as it is now."""
    options, registry = wanted.options, request.app.state.registry
    prompt = registry.get(options.prompt, options.version)
    return Submission(
        prompt=options.prompt,
        version=prompt.version,
        content_hash=registry.pin(prompt),
        body=wanted.body,
        name=wanted.name,
        media_type=wanted.media_type,
        tenant=tenant,
        feature=options.feature,
        usr=options.user,
        lane=options.lane,
        deadline_at=due_at(options.deadline),
        idem_key=idempotency_key,
        params=options.params,
        metadata=options.metadata,
    )


def tell_where(response: Response, accepted: Accepted) -> None:
    """Where the job is found, and whether it was there already, of another request under the same key."""
    response.headers["location"] = f"/v1/jobs/{accepted.id}"
    if not accepted.is_new:
        response.headers["idempotent-replayed"] = "true"


def _accept(request: Request, database: db.database.Database, submitted: Submission) -> tuple[JobShown, Accepted]:
    """The job, which is kept. Where jobs are traced, its trace begins here, below that of whoever asks."""
    tracer: Tracer | None = request.app.state.services.tracer
    if tracer is None:
        # Each statement commits by itself, which saves two round trips: the submit is one.
        with database.work(atomic=False) as connection:
            return _submit(request, connection, submitted)
    told: dict[str, Value | None] = {
        "docmill.tenant": submitted.tenant,
        "docmill.feature": submitted.feature,
        "gen_ai.prompt.name": submitted.prompt,
        "docmill.prompt.version": submitted.version,
    }
    parent = valid_parent(request.headers.get("traceparent"))
    with (
        tracer.span("submit", parent=parent, kind="producer", attributes=told) as span,
        database.work() as connection,
    ):
        trace(connection, tracer.here() or "")
        found = _submit(request, connection, submitted)
        span.tell({"docmill.job.id": found[1].id})
        return found


def _submit(request: Request, connection: Connection, submitted: Submission) -> tuple[JobShown, Accepted]:
    check_answerable(connection, submitted.prompt, submitted.version or "")
    accepted = accept(connection, submitted)
    return shown(request.app.state.registry, reports.job_report(connection, accepted.id)), accepted
