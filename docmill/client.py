"""What a web app imports: documents submitted over HTTP, answers fetched.

    from docmill.client import Docmill

    with Docmill("http://127.0.0.1:8080") as docmill:
        job = docmill.submit(Path("invoice.pdf"), prompt="invoice", feature="bookkeeping")
        answer = docmill.wait(job.id).value

Needs httpx and pydantic alone. Each request is made again where nothing came back or the server was busy: a
submit carries an idempotency key, so that it is one job however often it is sent. :func:`submit_in` submits
within an application's own database transaction instead.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from pydantic import BaseModel, ConfigDict

from docmill.errors import DocmillError, JobNotFit, JobUnknown, ServiceAway, SubmitRefused

__all__ = ["AsyncDocmill", "Docmill", "Job", "JobFailed", "submit_in"]

TRIES = 4
FIRST_PAUSE_S = 0.5
DATA = "data: "
"""What begins a line of server-sent events that says something."""
POLL_FIRST_S, POLL_LONGEST_S = 0.1, 2.0
AGAIN = frozenset({429, 502, 503, 504})
ENDED = frozenset({"done", "needs_review", "failed", "cancelled"})


class JobFailed(DocmillError):
    """The job ended without an answer; ``job.failure`` says why."""

    def __init__(self, job: Job) -> None:
        told = (job.failure or {}).get("message", "")
        super().__init__(f"job {job.id} is {job.state}{': ' + told if told else ''}")
        self.job = job


class Job(BaseModel):
    """A job as it stands."""

    model_config = ConfigDict(frozen=True)

    id: int
    state: str
    prompt: str
    version: str | None = None
    stage: str | None = None
    feature: str = "default"
    user: str = ""
    value: Any = None
    evidence: dict[str, dict[str, int]] | None = None
    """Where its values stand in the document's text: place in the answer to ``start`` and ``end``."""
    failure: dict[str, Any] | None = None
    """``kind`` and ``message``."""
    cost_usd: str | None = None
    """A decimal; None is unknown."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED


Document = str | bytes | Path
"""A text, a file's content, or a file."""
Deadline = float | timedelta | datetime | None
"""Seconds or a span from now, or a time."""


class Docmill:
    """docmill over HTTP. ``key`` is a key of ``docmill keys add``; none is needed on loopback.

    Raises SubmitRefused for what cannot become a job, JobUnknown, JobNotFit, and ServiceAway where docmill does
    not answer after several tries.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(
        self,
        document: Document,
        *,
        prompt: str,
        version: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        lane: str = "bulk",
        deadline: Deadline = None,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """The job, which is kept once this returns.

        The same ``idempotency_key`` with the same content gives the same job.
        """
        fields = _fields(prompt, version, feature, user, lane, deadline, params)
        return _job(self._ask("POST", "/v1/jobs", **_sent(document, fields, idempotency_key)))

    def job(self, job_id: int) -> Job:
        return _job(self._ask("GET", f"/v1/jobs/{job_id}"))

    def wait(self, job_id: int, timeout: float | None = None) -> Job:
        """The job once it has ended. Raises TimeoutError after ``timeout`` seconds; the job goes on."""
        give_up_at = None if timeout is None else time.monotonic() + timeout
        pause = POLL_FIRST_S
        while not (job := self.job(job_id)).ended:
            if give_up_at is not None and time.monotonic() + pause > give_up_at:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, POLL_LONGEST_S)
        return job

    def result(self, job_id: int) -> dict[str, Any]:
        """The answer. Raises JobFailed where there is none, JobNotFit where there is none yet."""
        return _result(self.job(job_id))

    def stream(self, job_id: int) -> Iterator[Job]:
        """The job at once and at each change, until it has ended."""
        with self._http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=None) as answer:
            if not answer.is_success:
                answer.read()
                _told(answer)
            for line in answer.iter_lines():
                if line.startswith(DATA):
                    yield Job.model_validate_json(line.removeprefix(DATA))

    def retry(self, job_id: int, *, fresh: bool = False) -> Job:
        """Tries a failed job again; ``fresh`` makes a new one, which pays again."""
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/retry", params={"fresh": fresh}))

    def cancel(self, job_id: int) -> Job:
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/cancel"))

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        for number in range(1, TRIES + 1):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if number == TRIES:
                    raise _away(self._http.base_url, error) from error
            else:
                if answer.status_code not in AGAIN or number == TRIES:
                    return _told(answer)
            time.sleep(_pause_s(number))
        raise AssertionError("the last try returns or raises")


class AsyncDocmill:
    """The same, for asyncio."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(
        self,
        document: Document,
        *,
        prompt: str,
        version: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        lane: str = "bulk",
        deadline: Deadline = None,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """As :meth:`Docmill.submit`."""
        fields = _fields(prompt, version, feature, user, lane, deadline, params)
        return _job(await self._ask("POST", "/v1/jobs", **_sent(document, fields, idempotency_key)))

    async def job(self, job_id: int) -> Job:
        return _job(await self._ask("GET", f"/v1/jobs/{job_id}"))

    async def wait(self, job_id: int, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - as the sync one has it
        """As :meth:`Docmill.wait`."""
        async with asyncio.timeout(timeout):
            pause = POLL_FIRST_S
            while not (job := await self.job(job_id)).ended:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, POLL_LONGEST_S)
            return job

    async def result(self, job_id: int) -> dict[str, Any]:
        """As :meth:`Docmill.result`."""
        return _result(await self.job(job_id))

    async def stream(self, job_id: int) -> AsyncIterator[Job]:
        """As :meth:`Docmill.stream`."""
        async with self._http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=None) as answer:
            if not answer.is_success:
                await answer.aread()
                _told(answer)
            async for line in answer.aiter_lines():
                if line.startswith(DATA):
                    yield Job.model_validate_json(line.removeprefix(DATA))

    async def retry(self, job_id: int, *, fresh: bool = False) -> Job:
        """As :meth:`Docmill.retry`."""
        return _job(await self._ask("POST", f"/v1/jobs/{job_id}/retry", params={"fresh": fresh}))

    async def cancel(self, job_id: int) -> Job:
        return _job(await self._ask("POST", f"/v1/jobs/{job_id}/cancel"))

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        for number in range(1, TRIES + 1):
            try:
                answer = await self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if number == TRIES:
                    raise _away(self._http.base_url, error) from error
            else:
                if answer.status_code not in AGAIN or number == TRIES:
                    return _told(answer)
            await asyncio.sleep(_pause_s(number))
        raise AssertionError("the last try returns or raises")


SUBMIT = (
    "select docmill_submit(prompt => %(prompt)s, document => %(document)s, name => %(name)s,"
    " version => %(version)s, tenant => %(tenant)s, feature => %(feature)s, usr => %(user)s, lane => %(lane)s,"
    " deadline_at => cast(%(deadline_at)s as timestamptz), idem_key => %(idempotency_key)s,"
    " params => cast(%(params)s as jsonb))"
)


def submit_in(
    connection: Any,
    document: str,
    *,
    prompt: str,
    name: str | None = None,
    version: str | None = None,
    tenant: str = "default",
    feature: str = "default",
    user: str = "",
    lane: str = "bulk",
    deadline_at: datetime | None = None,
    idempotency_key: str | None = None,
    params: Mapping[str, Any] | None = None,
) -> int:
    """The id of a job that exists if and only if the caller's transaction commits.

    ``connection`` is one of psycopg, SQLAlchemy or Django, to the database that docmill uses.
    """
    values = {
        "prompt": prompt,
        "document": document,
        "name": name,
        "version": version,
        "tenant": tenant,
        "feature": feature,
        "user": user,
        "lane": lane,
        "deadline_at": deadline_at,
        "idempotency_key": idempotency_key,
        "params": json.dumps(dict(params or {})),
    }
    if hasattr(connection, "exec_driver_sql"):  # SQLAlchemy
        return int(connection.exec_driver_sql(SUBMIT, values).scalar_one())
    with connection.cursor() as cursor:
        cursor.execute(SUBMIT, values)
        return int(cursor.fetchone()[0])


def _headers(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _fields(  # noqa: PLR0917 - handed on in the order of submit
    prompt: str,
    version: str | None,
    feature: str | None,
    user: str | None,
    lane: str,
    deadline: Deadline,
    params: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if isinstance(deadline, timedelta):
        deadline = deadline.total_seconds()
    fields = {
        "prompt": prompt,
        "version": version,
        "feature": feature,
        "user": user,
        "lane": lane,
        "deadline": deadline.isoformat() if isinstance(deadline, datetime) else deadline,
        "params": dict(params) if params else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _sent(document: Document, fields: dict[str, Any], idempotency_key: str | None) -> dict[str, Any]:
    """The request's body and headers. Without a key of the caller's, one that makes our own tries one job."""
    headers = {"idempotency-key": idempotency_key or str(uuid4())}
    if isinstance(document, str):
        return {"json": {**fields, "document": document}, "headers": headers}
    name = document.name if isinstance(document, Path) else "document"
    content = document.read_bytes() if isinstance(document, Path) else document
    form = {key: json.dumps(value) if key == "params" else str(value) for key, value in fields.items()}
    return {"data": form, "files": {"file": (name, content)}, "headers": headers}


def _told(answer: httpx.Response) -> dict[str, Any]:
    """The answer's JSON. Raises what the status means, in the server's words."""
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"{answer.request.url} answered {answer.status_code}"
    if answer.status_code in AGAIN:
        raise ServiceAway(detail)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise JobUnknown(_job_id(answer.request.url))
    if answer.status_code == httpx.codes.CONFLICT and not answer.request.url.path.endswith("/jobs"):
        raise JobNotFit(detail)
    raise SubmitRefused(detail) if answer.request.url.path.endswith("/jobs") else DocmillError(detail)


def _job_id(url: httpx.URL) -> int:
    digits = [part for part in url.path.split("/") if part.isdigit()]
    return int(digits[0]) if digits else 0


def _job(found: dict[str, Any]) -> Job:
    return Job.model_validate(found)


def _result(job: Job) -> dict[str, Any]:
    if job.value is not None:
        answer: dict[str, Any] = job.value
        return answer
    if job.ended:
        raise JobFailed(job)
    raise JobNotFit(f"job {job.id} is {job.state}: wait for it")


def _away(url: httpx.URL, error: httpx.TransportError) -> ServiceAway:
    return ServiceAway(f"docmill does not answer at {url} ({type(error).__name__}): is it up?")


def _pause_s(number: int) -> float:
    return FIRST_PAUSE_S * 2.0 ** (number - 1)
