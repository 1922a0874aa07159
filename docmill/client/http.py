"""docmill's HTTP API as Python calls, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from docmill.bounds import Deadline
from docmill.client.job import Job
from docmill.client.request import (
    Document,
    Outcome,
    address_of,
    answer_of,
    away,
    fields_of,
    headers_of,
    may_repeat,
    pause_s,
    request_of,
)
from docmill.errors import DocmillError, JobNotFit

__all__ = ["AsyncDocmill", "Docmill", "Job", "JobFailed"]

TRIES = 6
POLL_FIRST_S, POLL_LONGEST_S = 0.1, 2.0
SILENT_S = 60.0
"""A stream that says nothing for so long is dead: the server says at least every 15 seconds that it lives."""
DATA = "data: "
"""What begins a line of server-sent events that says something."""


class JobFailed(DocmillError):
    """The job ended without an answer; ``job.failure`` says why."""

    def __init__(self, job: Job) -> None:
        told = (job.failure or {}).get("message", "")
        super().__init__(f"job {job.id} is {job.state}{': ' + told if told else ''}")
        self.job = job


class Docmill:
    """docmill over HTTP. ``key`` is a key of ``docmill keys add``; none is needed on loopback.

    Raises SubmitRefused for what cannot become a job (IdempotencyConflict for a key that was used for another),
    JobUnknown, JobNotFit, Misconfigured for a wrong address or key, and ServiceAway where docmill does not answer
    after ``tries`` tries, which take about 15 seconds.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0, tries: int = TRIES) -> None:
        self._http = httpx.Client(base_url=address_of(url), headers=headers_of(key), timeout=timeout_s)
        self._tries = tries

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
        fields = fields_of(prompt, version, feature, user, lane, deadline, params)
        return _job(self._ask("POST", "/v1/jobs", **request_of(document, fields, idempotency_key)))

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
        """The job at once and at each change, until it has ended; a line that breaks is taken up again."""
        told: Job | None = None
        failures = 0
        while told is None or not told.ended:
            try:
                for job in self._events(job_id):
                    failures = 0
                    if job != told:
                        yield job
                    told = job
            except httpx.TransportError as error:
                failures += 1
                if failures == self._tries:
                    raise away(error) from error
                time.sleep(pause_s(failures))

    def retry(self, job_id: int, *, fresh: bool = False) -> Job:
        """Tries a failed job again; ``fresh`` makes a new one, which pays again."""
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/retry", once=True, params={"fresh": fresh}))

    def cancel(self, job_id: int) -> Job:
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/cancel", once=True))

    def _events(self, job_id: int) -> Iterator[Job]:
        with self._http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=SILENT_S) as answer:
            if not answer.is_success:
                answer.read()
                answer_of(answer)
            yield from (Job.model_validate_json(line[len(DATA) :]) for line in answer.iter_lines() if _says(line))

    def _ask(self, method: str, path: str, *, once: bool = False, **options: Any) -> dict[str, Any]:
        """Sends again what may be; what must happen ``once`` only where it cannot have arrived."""
        number = 1
        while may_repeat(outcome := self._sent(method, path, **options), once=once) and number < self._tries:
            time.sleep(pause_s(number, outcome))
            number += 1
        return answer_of(outcome)

    def _sent(self, method: str, path: str, **options: Any) -> Outcome:
        try:
            return self._http.request(method, path, **options)
        except httpx.TransportError as error:
            return error


class AsyncDocmill:
    """The same, for asyncio."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = 30.0, tries: int = TRIES) -> None:
        self._http = httpx.AsyncClient(base_url=address_of(url), headers=headers_of(key), timeout=timeout_s)
        self._tries = tries

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
        fields = fields_of(prompt, version, feature, user, lane, deadline, params)
        request = await asyncio.to_thread(request_of, document, fields, idempotency_key)  # it may read a file
        return _job(await self._ask("POST", "/v1/jobs", **request))

    async def job(self, job_id: int) -> Job:
        return _job(await self._ask("GET", f"/v1/jobs/{job_id}"))

    async def wait(self, job_id: int, timeout: float | None = None) -> Job:  # noqa: ASYNC109 - as the sync one has it
        """As :meth:`Docmill.wait`."""
        give_up_at = None if timeout is None else time.monotonic() + timeout
        pause = POLL_FIRST_S
        while not (job := await self.job(job_id)).ended:
            if give_up_at is not None and time.monotonic() + pause > give_up_at:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_LONGEST_S)
        return job

    async def result(self, job_id: int) -> dict[str, Any]:
        """As :meth:`Docmill.result`."""
        return _result(await self.job(job_id))

    async def stream(self, job_id: int) -> AsyncIterator[Job]:
        """As :meth:`Docmill.stream`."""
        told: Job | None = None
        failures = 0
        while told is None or not told.ended:
            try:
                async for job in self._events(job_id):
                    failures = 0
                    if job != told:
                        yield job
                    told = job
            except httpx.TransportError as error:
                failures += 1
                if failures == self._tries:
                    raise away(error) from error
                await asyncio.sleep(pause_s(failures))

    async def retry(self, job_id: int, *, fresh: bool = False) -> Job:
        """As :meth:`Docmill.retry`."""
        return _job(await self._ask("POST", f"/v1/jobs/{job_id}/retry", once=True, params={"fresh": fresh}))

    async def cancel(self, job_id: int) -> Job:
        return _job(await self._ask("POST", f"/v1/jobs/{job_id}/cancel", once=True))

    async def _events(self, job_id: int) -> AsyncIterator[Job]:
        async with self._http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=SILENT_S) as answer:
            if not answer.is_success:
                await answer.aread()
                answer_of(answer)
            async for line in answer.aiter_lines():
                if _says(line):
                    yield Job.model_validate_json(line[len(DATA) :])

    async def _ask(self, method: str, path: str, *, once: bool = False, **options: Any) -> dict[str, Any]:
        number = 1
        while may_repeat(outcome := await self._sent(method, path, **options), once=once) and number < self._tries:
            await asyncio.sleep(pause_s(number, outcome))
            number += 1
        return answer_of(outcome)

    async def _sent(self, method: str, path: str, **options: Any) -> Outcome:
        try:
            return await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            return error


def _says(line: str) -> bool:
    return line.startswith(DATA)


def _job(found: dict[str, Any]) -> Job:
    return Job.model_validate(found)


def _result(job: Job) -> dict[str, Any]:
    if job.value is not None:
        answer: dict[str, Any] = job.value
        return answer
    if job.ended:
        raise JobFailed(job)
    raise JobNotFit(f"job {job.id} is {job.state}: wait for it")
