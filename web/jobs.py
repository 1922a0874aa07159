"""Jobs over HTTP: submitted, listed, shown, followed, retried, cancelled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from db import inspection, reports, transitions
from db.reports import JobReport
from db.submit import Submission, check_answerable, submit, submit_fresh
from docmill.bounds import due_at
from docmill.errors import FailureKind
from prompts import Registry
from prompts.order import in_prompts_order
from web import submission
from web.access import Database, Operating, Tenant
from web.problems import documented
from web.schemas import (
    LARGEST_ID,
    Deadline,
    FileWanted,
    IdempotencyKey,
    JobDetails,
    JobInspected,
    JobPage,
    JobShown,
    JobState,
    JobWanted,
    Moment,
    PathText,
    Storable,
)

__all__ = ["router"]

FOLLOW_EVERY_S = 0.5
STILL_EVERY_S = 15.0
"""A comment goes to whoever follows a job that does not move, so that no proxy takes the line for dead."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=documented(401, 422, 503))

JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.post(
    "",
    status_code=202,
    response_model=JobShown,
    summary="Submit a document",
    responses=documented(400, 408, 409, 413, 415),
    openapi_extra={"requestBody": submission.SUBMIT_BODY},
)
async def submit_job(
    request: Request,
    background: BackgroundTasks,
    database: Database,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Accepted means kept: the job ends, whatever dies in between.

    The same `Idempotency-Key` with the same body gives the same job; with another body it is a 409.
    """
    wanted = await submission.read(request, file=FileWanted, text=JobWanted)
    options = wanted.options
    version = request.app.state.registry.get(options.prompt, options.version).version
    submitted = Submission(
        prompt=options.prompt,
        version=version,
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
    )

    def accept() -> dict[str, Any]:
        # Each statement commits by itself, which saves two round trips: the submit is one.
        with database.work(atomic=False) as connection:
            check_answerable(connection, submitted.prompt, version)
            return reports.job_report(connection, submit(connection, submitted)).as_json()

    # After the response, so that a broker that is slow or away delays no submit.
    background.add_task(request.app.state.fleet.start)
    return await run_in_threadpool(accept)


@router.get("", response_model=JobPage, summary="The latest jobs")
def list_jobs(
    request: Request,
    database: Database,
    tenant: Tenant,
    cursor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    state: Annotated[list[JobState] | None, Query(description="One, or several by giving it again")] = None,
    feature: Storable | None = None,
    user: Storable | None = None,
    prompt: Storable | None = None,
    name: Annotated[PathText | None, Query(description="What the file's path holds, in whatever case")] = None,
    cause: Annotated[FailureKind | None, Query(description="Of the failure")] = None,
    since: Annotated[Moment | None, Query(description="Submitted then or later, by ISO 8601")] = None,
) -> dict[str, Any]:
    """The newest first; `next` is null on the last page."""
    wanted = reports.Wanted(
        states=state or (),
        tenant=tenant,
        feature=feature,
        user=user,
        prompt=prompt,
        name=name,
        cause=cause,
        since=since if since is None or since.tzinfo else since.replace(tzinfo=UTC),
        before=cursor,
    )
    with database.work() as connection:
        found = reports.recent(connection, wanted, limit=limit + 1)
    page = found[:limit]
    registry = request.app.state.registry
    return {"jobs": [_shown(registry, job) for job in page], "next": page[-1].id if len(found) > limit else None}


@router.get(
    "/{job_id}",
    response_model=JobDetails,
    summary="A job with its stages, calls and cost",
    responses=documented(404),
)
def show_job(job_id: JobId, request: Request, database: Database, tenant: Tenant) -> dict[str, Any]:
    with database.work() as connection:
        report = reports.job_report(connection, job_id, tenant=tenant)
        return {**_shown(request.app.state.registry, report), **reports.timeline(connection, job_id)}


@router.get(
    "/{job_id}/calls",
    response_model=JobInspected,
    summary="What a job went through, and what the models saw",
    responses=documented(404),
)
def inspect_job(job_id: JobId, database: Database, tenant: Tenant) -> dict[str, Any]:
    """Messages and replies word for word, as long as they are kept; places with the words around them."""
    with database.work() as connection:
        found = inspection.inspect(connection, job_id, tenant=tenant)
    shown: dict[str, Any] = inspection.as_json(found)
    return {"job_id": job_id, **{name: part for name, part in shown.items() if name != "job"}}


def _shown(registry: Registry, job: JobReport) -> dict[str, Any]:
    """A job, its answer's fields in the order of their schema."""
    value = in_prompts_order(registry, job.prompt, job.version, job.value)
    return {**job.as_json(), "value": value}


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    summary="How a job moves, as server-sent events",
    responses={
        200: {"description": "Events `job`, each with the job as JSON", "content": {"text/event-stream": {}}},
        **documented(404),
    },
)
async def follow_job(job_id: JobId, database: Database, tenant: Tenant) -> StreamingResponse:
    """One event `job` at once and at each change, and the last when the job has ended."""

    def look() -> JobReport:
        with database.work() as connection:
            return reports.job_report(connection, job_id, tenant=tenant)

    first = await run_in_threadpool(look)
    return StreamingResponse(
        _events(first, look), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _events(job: JobReport, look: Callable[[], JobReport]) -> AsyncIterator[str]:
    told, silent_s = "", 0.0
    while True:
        shown = json.dumps(job.as_json(), ensure_ascii=False)
        if shown != told:
            yield f"event: job\nid: {job.id}\ndata: {shown}\n\n"
            told, silent_s = shown, 0.0
        elif silent_s >= STILL_EVERY_S:
            yield ": still\n\n"
            silent_s = 0.0
        if job.wait is None:
            return
        await asyncio.sleep(FOLLOW_EVERY_S)
        silent_s += FOLLOW_EVERY_S
        try:
            job = await run_in_threadpool(look)
        except SQLAlchemyError:  # the database is away: whoever follows waits on
            continue


@router.post(
    "/{job_id}/retry", response_model=JobShown, summary="Try a failed job again", responses=documented(404, 409)
)
def retry_job(
    job_id: JobId,
    request: Request,
    background: BackgroundTasks,
    database: Database,
    tenant: Operating,
    fresh: bool = False,
    deadline: Annotated[Deadline | None, Query(description="Seconds from now, or a time of ISO 8601")] = None,
) -> dict[str, Any]:
    """`fresh` makes a new job, which pays again."""
    background.add_task(request.app.state.fleet.start)
    with database.work() as connection:
        reports.job_report(connection, job_id, tenant=tenant)
        if fresh:
            job_id = submit_fresh(connection, job_id, deadline_at=due_at(deadline))
        else:
            transitions.retry(connection, job_id, deadline_at=due_at(deadline))
        return reports.job_report(connection, job_id).as_json()


@router.post(
    "/{job_id}/cancel",
    response_model=JobShown,
    summary="Start no further call for a job",
    responses=documented(404, 409),
)
def cancel_job(job_id: JobId, database: Database, tenant: Operating) -> dict[str, Any]:
    """A call that is open is let finish, and paid."""
    with database.work() as connection:
        reports.job_report(connection, job_id, tenant=tenant)
        transitions.cancel(connection, job_id)
        return reports.job_report(connection, job_id).as_json()
