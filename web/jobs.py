"""Jobs over HTTP: submitted, listed, shown, retried, cancelled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from db import jobs, reports
from db import retry as again
from db.reports import JobReport
from db.submit import Submission, submit
from prompts import Registry
from web.access import Database, Tenant
from web.problems import Problem

__all__ = ["router"]

FOLLOW_EVERY_S = 0.5
MOST_BYTES = 50 * 2**20
"""Of an upload."""

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

EXAMPLE: dict[str, Any] = {
    "prompt": "receipt",
    "document": "TEA HOUSE\nDate: 2026-03-14\nTOTAL 10.70",
    "feature": "bookkeeping",
    "user": "u-17",
    "deadline": 3600,
}


class JobWanted(BaseModel):
    """What is submitted: a text with what is wanted of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    prompt: str = Field(description="As `docmill prompts list` names it")
    document: str = Field(min_length=1, description="The text; files go as multipart, in the field `file`")
    name: str | None = None
    version: str | None = Field(None, description="Of the prompt; else the highest that is no draft")
    feature: str = Field("default", max_length=200)
    user: str = Field("", max_length=200)
    lane: Literal["interactive", "bulk"] = "bulk"
    deadline: float | datetime | None = Field(None, description="Seconds from now, or a time of ISO 8601")
    params: dict[str, Any] = {}


class FileWanted(JobWanted):
    """The same, for a file: the document comes beside it."""

    document: str = ""


@router.post(
    "",
    status_code=202,
    summary="Submit a document",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": JobWanted.model_json_schema(), "example": EXAMPLE},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file", "prompt"],
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            **{name: {"type": "string"} for name in JobWanted.model_fields if name != "document"},
                        },
                    }
                },
            },
        }
    },
)
async def submit_job(
    request: Request,
    engine: Database,
    tenant: Tenant,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> dict[str, Any]:
    """Accepted means kept: the job ends, whatever dies in between.

    The same `Idempotency-Key` with the same body gives the same job; with another body it is a 409.
    """
    _require_bearable(request)
    wanted, body, name, media_type = await _read(request)
    registry: Registry = request.app.state.registry
    version = registry.get(wanted.prompt, wanted.version).version
    submission = Submission(
        prompt=wanted.prompt,
        version=version,
        body=body,
        name=name,
        media_type=media_type,
        tenant=tenant,
        feature=wanted.feature,
        usr=wanted.user,
        lane=wanted.lane,
        deadline_at=_deadline(wanted.deadline),
        idem_key=idempotency_key,
        params=wanted.params,
    )

    def accept() -> dict[str, Any]:
        with engine.begin() as connection:
            return reports.job_report(connection, submit(connection, submission)).as_json()

    return await run_in_threadpool(accept)


@router.get("", summary="The latest jobs")
def list_jobs(
    engine: Database,
    tenant: Tenant,
    cursor: Annotated[int | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    state: str | None = None,
    feature: str | None = None,
) -> dict[str, Any]:
    """The newest first; `next` is null on the last page."""
    with engine.connect() as connection:
        found = reports.recent(
            connection, limit=limit + 1, state=state, tenant=tenant, feature=feature, before=cursor
        )
    page = found[:limit]
    return {"jobs": [job.as_json() for job in page], "next": page[-1].id if len(found) > limit else None}


@router.get("/{job_id}", summary="A job with its stages, calls and cost")
def show_job(job_id: int, engine: Database, tenant: Tenant) -> dict[str, Any]:
    with engine.connect() as connection:
        report = reports.job_report(connection, job_id, tenant=tenant)
        return {**report.as_json(), **reports.timeline(connection, job_id)}


@router.get("/{job_id}/events", summary="How a job moves, as server-sent events")
async def follow_job(job_id: int, engine: Database, tenant: Tenant) -> StreamingResponse:
    """One event `job` at once and at each change, and the last when the job has ended."""

    def look() -> JobReport:
        with engine.connect() as connection:
            return reports.job_report(connection, job_id, tenant=tenant)

    first = await run_in_threadpool(look)

    async def events() -> AsyncIterator[str]:
        job, seen = first, ""
        while True:
            told = json.dumps(job.as_json(), ensure_ascii=False)
            if told != seen:
                yield f"event: job\nid: {job.id}\ndata: {told}\n\n"
            if job.wait is None:
                return
            seen = told
            await asyncio.sleep(FOLLOW_EVERY_S)
            job = await run_in_threadpool(look)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.post("/{job_id}/retry", summary="Try a failed job again")
def retry_job(
    job_id: int, engine: Database, tenant: Tenant, fresh: bool = False, deadline: float | datetime | None = None
) -> dict[str, Any]:
    """`fresh` makes a new job, which pays again."""
    with engine.begin() as connection:
        reports.job_report(connection, job_id, tenant=tenant)
        if fresh:
            job_id = again.fresh(connection, job_id, deadline_at=_deadline(deadline))
        else:
            again.retry(connection, job_id, deadline_at=_deadline(deadline))
        return reports.job_report(connection, job_id).as_json()


@router.post("/{job_id}/cancel", summary="Start no further call for a job")
def cancel_job(job_id: int, engine: Database, tenant: Tenant) -> dict[str, Any]:
    """A call that is open is let finish, and paid."""
    with engine.begin() as connection:
        reports.job_report(connection, job_id, tenant=tenant)
        jobs.cancel(connection, job_id)
        return reports.job_report(connection, job_id).as_json()


async def _read(request: Request) -> tuple[JobWanted, bytes, str | None, str]:
    """What is wanted, the document's bytes, its name and its media type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form(request)
    content = await request.body()
    if len(content) > MOST_BYTES:
        raise _too_large()
    try:
        wanted = JobWanted.model_validate_json(content)
    except ValidationError as error:
        raise Problem(422, _told(error)) from error
    return wanted, wanted.document.encode(), wanted.name, "text/plain"


async def _form(request: Request) -> tuple[JobWanted, bytes, str | None, str]:
    async with request.form(max_files=1, max_fields=20) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Problem(422, "file: Field required, as an upload")
        body = await file.read()
        if len(body) > MOST_BYTES:
            raise _too_large()
        fields: dict[str, Any] = {name: value for name, value in form.items() if name != "file" and value != ""}
        try:
            fields["params"] = json.loads(fields.get("params", "{}"))
            wanted = FileWanted.model_validate(fields)
        except ValidationError as error:
            raise Problem(422, _told(error)) from error
        except ValueError as error:
            raise Problem(422, "params: must be JSON") from error
        return wanted, body, wanted.name or file.filename, file.content_type or "application/octet-stream"


def _require_bearable(request: Request) -> None:
    """An upload that says it is too large is not read at all; a margin is left for the form around a file."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BYTES + 100_000:
        raise _too_large()


def _too_large() -> Problem:
    return Problem(413, f"a document has at most {MOST_BYTES // 2**20} MB: split it")


def _told(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in found)


def _deadline(given: float | datetime | None) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    return datetime.now(UTC) + timedelta(seconds=given)
