"""Runs over HTTP: begun, filled line by line, looked at while they go, tried again and cancelled."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

import db.database
from db import bulk, reports, runs
from db.bulk import Price
from db.reports import JobReport, Wanted
from db.runs import Run
from db.submit import Accepted, Submission, check_answerable, submit_to_run
from docmill import bounds
from docmill.bounds import due_at
from docmill.errors import FailureKind, IdempotencyConflict, SubmitRefused
from docmill.sheets import MAIN, Sheets
from prompts import Registry
from web.access import Database, Operating, Tenant
from web.following import take_place
from web.problems import Problem, details, details_of, documented, invalid
from web.schemas import (
    LARGEST_ID,
    ActedOn,
    IdempotencyKey,
    JobState,
    LineWanted,
    PriceShown,
    RunPage,
    RunShown,
    RunWanted,
)
from web.shown import shown

__all__ = ["router"]

MOST_LINES = 1000
MOST_AT_ONCE = 1000
"""Jobs that one request acts on; ``left`` says how many there are still."""
A_READ = 100
"""Jobs that are read at a time, in a transaction of its own: who reads slowly holds none open."""
FOLLOW_EVERY_S = 1.0
STILL_EVERY_S = 15.0
NDJSON = "application/x-ndjson"
LINES = {
    "requestBody": {
        "required": True,
        "content": {
            NDJSON: {
                "schema": {"type": "string", "description": f"At most {MOST_LINES} lines, each a `LineWanted`"},
                "example": '{"key": "order-17", "name": "in/17.txt", "document": "TEA HOUSE\\nTOTAL 10.70"}\n',
            }
        },
    }
}

router = APIRouter(prefix="/v1/runs", tags=["runs"], responses=documented(401, 422, 503))

RunId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
States = Annotated[list[JobState] | None, Query(description="One, or several by giving it again")]
Cause = Annotated[FailureKind | None, Query(description="The kind of the failure")]


@router.post(
    "", status_code=201, response_model=RunShown, summary="Begin a run", responses=documented(408, 409, 413)
)
def begin_run(
    wanted: RunWanted,
    request: Request,
    response: Response,
    database: Database,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
) -> RunShown:
    """Its documents come line by line. The same `Idempotency-Key` gives the same run."""
    registry = cast("Registry", request.app.state.registry)
    prompt = registry.get(wanted.prompt, wanted.version)
    said = {
        "prompt": prompt.name,
        "version": prompt.version,
        "feature": wanted.feature,
        "user": wanted.user,
        "lane": wanted.lane,
    }
    with database.work() as connection:
        check_answerable(connection, prompt.name, prompt.version)
        run = runs.begin(
            connection,
            tenant=tenant,
            name=wanted.name,
            cause="api",
            submit=said,
            metadata=wanted.metadata,
            expected=wanted.expected,
            key=None if idempotency_key is None else f"api:{idempotency_key}",
        )
        if dict(run.submit) != said or run.name != wanted.name:
            raise Problem(
                409, "the idempotency key was used for another run: use a new one", code="idempotency-conflict"
            )
        found = _run(connection, run)
    response.headers["location"] = f"/v1/runs/{run.id}"
    return found


@router.get("", response_model=RunPage, summary="The latest runs")
def list_runs(
    database: Database,
    tenant: Tenant,
    cursor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """The newest first; `next` is null on the last page."""
    with database.work() as connection:
        found = runs.listed(connection, tenant=tenant, before=cursor, limit=limit + 1)
    page = [
        {**run.as_json(), **vars(counts), "state": runs.state_of(run, counts)} for run, counts in found[:limit]
    ]
    return {"runs": page, "next": page[-1]["id"] if len(found) > limit else None}


@router.get("/{run_id}", response_model=RunShown, summary="How far a run is", responses=documented(404))
def show_run(run_id: RunId, database: Database, tenant: Tenant) -> RunShown:
    """With its cost, its pace, and the first of its jobs that failed."""
    with database.work() as connection:
        return _run(connection, runs.find(connection, run_id, tenant=tenant))


def _run(connection: Any, run: Run) -> RunShown:
    first = [
        {"id": job.id, "path": job.path, "failure": job.failure} for job in runs.first_failures(connection, run.id)
    ]
    progress = runs.progress(connection, run.id)
    state = runs.state_of(run, progress.counts)
    return RunShown.model_validate(
        {**run.as_json(), **progress.as_json(), "state": state, "first_failures": first}
    )


@router.post(
    "/{run_id}/jobs",
    summary="Submit documents to a run, one a line",
    response_class=Response,
    responses={
        200: {
            "description": "An answer a line: `line`, `key`, and `id` with `new`, or a `problem`",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        },
        **documented(404, 408, 409, 413, 415),
    },
    openapi_extra=LINES,
)
async def submit_lines(
    run_id: RunId, request: Request, background: BackgroundTasks, database: Database, tenant: Tenant
) -> Response:
    """Each line has a `key` of your own, and is one job however often it comes; with other content it is refused.

    What is wrong with a line keeps no other line from being submitted.
    """
    written = await request.body()
    registry = cast("Registry", request.app.state.registry)
    background.add_task(request.app.state.fleet.start)
    answers = await run_in_threadpool(_submit, database, registry, run_id, tenant, written)
    told = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in answers)
    return Response(told, media_type=NDJSON)


def _submit(
    database: db.database.Database, registry: Registry, run_id: int, tenant: str, written: bytes
) -> list[dict[str, Any]]:
    """An answer for each line. Raises Problem for what are no lines, RunUnknown."""
    lines = [line for line in written.split(b"\n") if line.strip()]
    if not lines:
        raise Problem(422, "there is no line: send JSON lines, each with `key` and `document`")
    if len(lines) > MOST_LINES:
        raise Problem(422, f"there are {len(lines)} lines, and {MOST_LINES} are taken at a time")
    with database.work() as connection:
        run = runs.find(connection, run_id, tenant=tenant, fills=True)
        if run.closed_at is not None or run.cause != "api":
            raise Problem(409, f"run {run_id} takes no more documents: begin another", code="run-closed")
        answers: list[dict[str, Any]] = []
        taken: list[tuple[dict[str, Any], Submission]] = []
        content = registry.pin(registry.get(run.submit["prompt"], run.submit["version"]))
        for number, line in enumerate(lines, start=1):
            answer: dict[str, Any] = {"line": number, "key": None}
            answers.append(answer)
            try:
                taken.append((answer, _submission(run, line, answer, content)))
            except Problem as problem:
                answer["problem"] = details(problem.status_code, str(problem.detail), **problem.more)
            except SubmitRefused as refused:
                answer["problem"] = details_of(refused)
        made = submit_to_run(connection, run.id, [submission for _, submission in taken])
    for (answer, _), accepted in zip(taken, made, strict=True):
        answer.update(_accepted(accepted))
    return answers


def _submission(run: Run, line: bytes, answer: dict[str, Any], content: bytes | None) -> Submission:
    """Raises Problem, SubmitRefused."""
    try:
        wanted = LineWanted.model_validate_json(line)
    except ValidationError as error:
        raise invalid(error.errors()) from error
    answer["key"] = wanted.key
    said = run.submit
    body = wanted.document.encode()
    bounds.check_document(len(body))
    return Submission(
        prompt=said["prompt"],
        version=said["version"],
        content_hash=content,
        body=body,
        media_type="text/plain",
        name=wanted.name,
        tenant=run.tenant,
        feature=said["feature"],
        usr=said["user"],
        lane=said["lane"],
        deadline_at=due_at(wanted.deadline),
        idem_key=f"run:{run.id}:{wanted.key}",
        params=wanted.params,
        metadata=wanted.metadata,
    )


def _accepted(accepted: Accepted) -> dict[str, Any]:
    if not accepted.is_same:
        used = IdempotencyConflict(f"the key was used for another document: job {accepted.id}")
        return {"problem": details_of(used)}
    return {"id": accepted.id, "new": accepted.is_new}


@router.post(
    "/{run_id}/close", response_model=RunShown, summary="Say that a run takes no more", responses=documented(404)
)
def close_run(run_id: RunId, database: Database, tenant: Tenant) -> RunShown:
    """Its last document is submitted: once all its jobs have ended, so has the run, and `run.ended` is told.

    One that is closed stays so. A run that has as many documents as `expected` said needs no close. What is
    asked afresh (`retry?fresh=true`) is of the run, too, and none of those: it runs again, and `run.ended` is told
    once more.
    """
    with database.work() as connection:
        runs.find(connection, run_id, tenant=tenant)
        runs.close(connection, run_id)
        return _run(connection, runs.find(connection, run_id))


@router.get(
    "/{run_id}/results.ndjson",
    response_class=StreamingResponse,
    summary="The jobs of a run with their answers, one a line",
    responses={
        200: {"description": "JSON lines, while it runs too", "content": {NDJSON: {"schema": {"type": "string"}}}},
        **documented(404),
    },
)
def results_as_lines(
    run_id: RunId, request: Request, database: Database, tenant: Tenant, state: States = None
) -> StreamingResponse:
    """By their ids; those that have not ended have no answer yet."""
    registry = request.app.state.registry
    jobs = _jobs(database, run_id, tenant, state)

    def lines() -> Iterator[str]:
        for job in jobs:
            yield shown(registry, job).model_dump_json(by_alias=True) + "\n"

    return StreamingResponse(lines(), media_type=NDJSON, headers=_attached(f"run-{run_id}.ndjson"))


@router.get(
    "/{run_id}/results.csv",
    response_class=StreamingResponse,
    summary="The jobs of a run with their answers, as a sheet",
    responses={
        200: {"description": "A row a job", "content": {"text/csv": {"schema": {"type": "string"}}}},
        **documented(404),
    },
)
def results_as_sheet(
    run_id: RunId, request: Request, database: Database, tenant: Tenant, state: States = None
) -> StreamingResponse:
    """A list of an answer stands as JSON in one cell; no text is a formula."""
    registry = request.app.state.registry
    jobs = _jobs(database, run_id, tenant, state)

    def parts() -> Iterator[str]:
        with Sheets() as sheets, tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
            for job in jobs:
                sheets.add(_facts(job), _lists_as_json(shown(registry, job).value))
            sheets.write_csv({MAIN: file})
            file.seek(0)
            while part := file.read(2**16):
                yield part

    return StreamingResponse(parts(), media_type="text/csv; charset=utf-8", headers=_attached(f"run-{run_id}.csv"))


def _attached(name: str) -> dict[str, str]:
    """What a browser saves, and never shows: it holds strangers' words."""
    return {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}


def _jobs(
    database: db.database.Database, run_id: int, tenant: str, state: list[JobState] | None
) -> Iterator[JobReport]:
    """The run's jobs by their ids. Raises RunUnknown at once, before the first is read."""
    with database.work() as connection:
        runs.find(connection, run_id, tenant=tenant)

    def read() -> Iterator[JobReport]:
        last = 0
        while True:
            wanted = Wanted(run=run_id, tenant=tenant, states=state or (), after=last)
            with database.work() as connection:
                found = list(reports.each(connection, wanted, limit=A_READ))
            yield from found
            if len(found) < A_READ:
                return
            last = found[-1].id

    return read()


def _facts(job: JobReport) -> dict[str, Any]:
    plain = job.as_json()
    failure = job.failure or {}
    told = ("id", "name", "path", "prompt", "version", "feature", "user", "state")
    return {
        **{name: plain[name] for name in told},
        "failure": failure.get("kind"),
        "message": failure.get("message"),
        **{name: plain[name] for name in ("model", "cost_usd", "created_at", "finished_at")},
    }


def _lists_as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lists_as_json(each) for name, each in value.items()}
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


@router.get(
    "/{run_id}/events",
    response_class=StreamingResponse,
    summary="How a run goes, as server-sent events",
    dependencies=[Depends(take_place)],
    responses={
        200: {"description": "Events `run`, each with the run as JSON", "content": {"text/event-stream": {}}},
        **documented(404, 503),
    },
)
async def follow_run(run_id: RunId, database: Database, tenant: Tenant) -> StreamingResponse:
    """One event `run` at once and at each change, and the last when all its jobs have ended.

    Before its first job, and while fewer came than `expected` says, that is not so, unless it was closed.
    """

    def look() -> RunShown:
        with database.work() as connection:
            return _run(connection, runs.find(connection, run_id, tenant=tenant))

    first = await run_in_threadpool(look)
    return StreamingResponse(
        _events(first, look), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


def _is_over(run: RunShown) -> bool:
    """Whether nothing more of it is known to come."""
    return run.state == "ended" or (run.expected is None and run.total > 0 and not run.open)


async def _events(run: RunShown, look: Any) -> AsyncIterator[str]:
    told: Any = None
    silent_s = 0.0
    while True:
        if (run.states, run.state) != told:
            yield f"event: run\ndata: {run.model_dump_json()}\n\n"
            told, silent_s = (run.states, run.state), 0.0
        elif silent_s >= STILL_EVERY_S:
            yield ": still\n\n"
            silent_s = 0.0
        if _is_over(run):
            return
        await asyncio.sleep(FOLLOW_EVERY_S)
        silent_s += FOLLOW_EVERY_S
        try:
            run = await run_in_threadpool(look)
        except SQLAlchemyError:  # the database is away: whoever follows waits on
            continue


@router.post(
    "/{run_id}/retry", response_model=ActedOn, summary="Try a run's jobs again", responses=documented(404)
)
def retry_run(
    run_id: RunId,
    request: Request,
    background: BackgroundTasks,
    database: Database,
    tenant: Operating,
    failure: Cause = None,
    state: States = None,
    fresh: bool = False,
    dry_run: Annotated[bool, Query(description="Says the price, and does nothing")] = False,
    cursor: Annotated[
        str | None, Query(pattern=r"^\d{1,18}-\d{1,18}$", description="`next` of the answer before")
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> ActedOn:
    """Those that failed, or of one failure. `fresh` makes new jobs, also of reviewed ones, which pay again.

    A request acts on 1,000 jobs: `next` leads to the others, and not to those that `fresh` made meanwhile. The
    same `Idempotency-Key` makes one new job of each, however often the request is sent; without one, and under
    another, jobs that were asked afresh before are left alone, and the new ones stand for them.
    """
    states = bulk.AFRESH if fresh else bulk.AGAIN
    nonce = None if idempotency_key is None else hashlib.sha256(idempotency_key.encode()).hexdigest()
    wanted = Wanted(run=run_id, cause=failure, states=state or ())
    ids = _meant(database, run_id, tenant, wanted, states, nonce=nonce)
    if cursor is not None:
        after, until = map(int, cursor.split("-"))
        ids = [each for each in ids if after < each <= until]
    now, later = ids[:MOST_AT_ONCE], ids[MOST_AT_ONCE:]
    with database.work() as connection:
        price = _price(bulk.price_of_retry(connection, now, fresh=fresh))
    if dry_run:
        return ActedOn(jobs=0, refused={}, left=len(ids), price=price)
    done = bulk.retry(database, now, fresh=fresh, nonce=nonce, once=True)
    background.add_task(request.app.state.fleet.start)
    onward = f"{now[-1]}-{ids[-1]}" if later else None
    return ActedOn(jobs=len(done.made), refused=done.refused, left=len(later), next=onward, price=price)


@router.post(
    "/{run_id}/cancel",
    response_model=ActedOn,
    summary="Start no further call for a run's jobs",
    responses=documented(404),
)
def cancel_run(run_id: RunId, database: Database, tenant: Operating) -> ActedOn:
    """Calls that are open are let finish, and paid."""
    ids = _meant(database, run_id, tenant, Wanted(run=run_id), bulk.OPEN)
    done = bulk.cancel(database, ids[:MOST_AT_ONCE])
    return ActedOn(jobs=len(done.made), refused=done.refused, left=len(ids[MOST_AT_ONCE:]), price=None)


def _meant(
    database: db.database.Database,
    run_id: int,
    tenant: str,
    wanted: Wanted,
    states: tuple[str, ...],
    *,
    nonce: str | None = None,
) -> list[int]:
    """The ids of the jobs that are meant. Raises RunUnknown."""
    with database.work() as connection:
        runs.find(connection, run_id, tenant=tenant)
        return bulk.ids_of(connection, replace(wanted, tenant=tenant), states, nonce=nonce)


def _price(price: Price) -> PriceShown:
    return PriceShown(jobs=price.jobs, free=price.free, usd=f"{price.usd.normalize():f}", unknown=price.unknown)
