"""Jobs over HTTP: listed, shown, followed, retried, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.exc import SQLAlchemyError

from db import inspection, reports, transitions
from db.reports import JobReport
from db.submit import submit_fresh
from docmill.bounds import due_at
from docmill.client.job import RowPage
from web.access import Database, Operating, Tenant
from web.filters import Asked, Included
from web.following import LastTold, event_of, take_place
from web.inspected import JobInspected
from web.problems import documented
from web.schemas import (
    LARGEST_ID,
    CountsShown,
    Deadline,
    IdempotencyKey,
    JobDetails,
    JobPage,
    JobShown,
)
from web.shown import listed, rows_of, shown
from web.submits import tell_where

__all__ = ["router"]

FOLLOW_EVERY_S = 0.5
LARGEST_PLACE = 2**31 - 2000
"""Of an item in a list."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=documented(401, 422, 503))

JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.get("", response_model=JobPage, response_model_exclude_unset=True, summary="The latest jobs")
def list_jobs(
    request: Request,
    database: Database,
    tenant: Tenant,
    asked: Asked,
    cursor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    include: Annotated[
        list[Included] | None,
        Query(
            description="`value`: answers with their evidence; `counts`: of all jobs that are asked for, by state"
        ),
    ] = None,
) -> JobPage:
    """The newest first; `next` is null on the last page. Who has very many jobs, of which few fit, may get a page
    that is short, or empty, and has a `next`: so far was looked for them.
    """
    wanted = replace(asked, tenant=tenant, before=cursor)
    values, registry = "value" in (include or ()), request.app.state.registry
    with database.snapshot() as connection:
        found = reports.page(connection, wanted, limit=limit + 1, values=values)
        counts = reports.counted(connection, wanted) if "counts" in (include or ()) else None
    page = found.jobs[:limit]
    jobs = [shown(registry, job) if values else listed(job) for job in page]
    more = {} if counts is None else {"counts": CountsShown(**vars(counts))}
    further = page[-1].id if len(found.jobs) > limit else found.looked_to
    return JobPage(jobs=jobs, next=further, **more)


@router.get(
    "/{job_id}",
    response_model=JobDetails,
    summary="A job with its stages, calls and cost",
    responses=documented(404),
)
def show_job(job_id: JobId, request: Request, database: Database, tenant: Tenant) -> dict[str, Any]:
    with database.work() as connection:
        report = reports.job_report(connection, job_id, tenant=tenant)
        return {**vars(shown(request.app.state.registry, report)), **reports.timeline(connection, job_id)}


@router.get(
    "/{job_id}/rows",
    response_model=RowPage,
    summary="A list of a job's answer, page by page",
    responses=documented(404, 409),
)
def list_rows(
    job_id: JobId,
    request: Request,
    database: Database,
    tenant: Tenant,
    path: Annotated[
        str, Query(min_length=1, max_length=1000, pattern=r"^[^\x00]*$", description="The list, as `bookings`")
    ],
    cursor: Annotated[int, Query(ge=0, le=LARGEST_PLACE, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> RowPage:
    """In the answer's order, each item with its evidence. A list within an item is named as `orders.0.lines`."""
    with database.work() as connection:
        report = reports.job_report(connection, job_id, tenant=tenant, values=False)
        return rows_of(connection, request.app.state.registry, report, path, first=cursor, most=limit)


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
    plain: dict[str, Any] = inspection.as_json(found)
    return {"job_id": job_id, **{name: part for name, part in plain.items() if name != "job"}}


def look(job_id: JobId, database: Database, tenant: Tenant) -> JobReport:
    """Before the answer begins, so that a job which is not there is a 404."""
    with database.work() as connection:
        return reports.job_report(connection, job_id, tenant=tenant)


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    summary="How a job moves, as server-sent events",
    responses={
        200: {"description": "Events `job`, each with the job as JSON", "content": {"text/event-stream": {}}},
        **documented(404),
    },
    dependencies=[Depends(take_place)],
)
async def follow_job(
    request: Request,
    database: Database,
    tenant: Tenant,
    job: Annotated[JobReport, Depends(look)],
    last_told: LastTold = "",
) -> AsyncIterator[ServerSentEvent]:
    """One event `job` at once and at each change, and the last when the job has ended.

    Who was cut off, and says so by `Last-Event-ID`, is told what is new since then, and the end in any case.
    """
    while True:
        now = event_of("job", shown(request.app.state.registry, job).model_dump_json(by_alias=True))
        if now.id != last_told or job.wait is None:
            yield now
            last_told = now.id or ""
        if job.wait is None:
            return
        await asyncio.sleep(FOLLOW_EVERY_S)
        with suppress(SQLAlchemyError):  # the database is away: whoever follows waits on
            job = await run_in_threadpool(look, job.id, database, tenant)


@router.post(
    "/{job_id}/retry",
    response_model=JobShown,
    summary="Try a failed job again",
    responses={201: {"description": "`fresh`: the new job", "model": JobShown}, **documented(404, 409)},
)
def retry_job(
    job_id: JobId,
    request: Request,
    response: Response,
    background: BackgroundTasks,
    database: Database,
    tenant: Operating,
    fresh: bool = False,
    deadline: Annotated[Deadline | None, Query(description="Seconds from now, or a time of ISO 8601")] = None,
    idempotency_key: IdempotencyKey = None,
) -> JobShown:
    """`fresh` makes a new job, which pays again: a 201.

    The same `Idempotency-Key` gives the same new job, and the header `Idempotent-Replayed: true`; where it was
    used for anything else, that is a 409.
    """
    background.add_task(request.app.state.fleet.start)
    with database.work() as connection:
        reports.job_report(connection, job_id, tenant=tenant)
        if fresh:
            made = submit_fresh(connection, job_id, deadline_at=due_at(deadline), idem_key=idempotency_key)
            response.status_code = 201
            tell_where(response, made)
            job_id = made.id
        else:
            transitions.retry(connection, job_id, deadline_at=due_at(deadline))
        return shown(request.app.state.registry, reports.job_report(connection, job_id))


@router.post(
    "/{job_id}/cancel",
    response_model=JobShown,
    summary="Start no further call for a job",
    responses=documented(404, 409),
)
def cancel_job(job_id: JobId, request: Request, database: Database, tenant: Operating) -> JobShown:
    """A call that is open is let finish, and paid."""
    with database.work() as connection:
        reports.job_report(connection, job_id, tenant=tenant)
        transitions.cancel(connection, job_id)
        return shown(request.app.state.registry, reports.job_report(connection, job_id))
