"""docmill's HTTP API as Python calls, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from uuid import uuid4

import httpx
from pydantic import BaseModel

from docmill.bounds import Deadline
from docmill.client.job import AnswerRow, Job, RowPage
from docmill.client.request import (
    Document,
    Outcome,
    address_of,
    answer_of,
    away,
    fields_of,
    headers_of,
    lines_answered,
    may_repeat,
    pause_s,
    request_of,
    retry_of,
)
from docmill.client.run import LineAnswer, Run, lines_of, query_of
from docmill.client.webhook import Delivery, Webhook
from docmill.errors import DocmillError, JobNotFit

__all__ = ["AsyncDocmill", "Docmill", "Job", "JobFailed"]

Model = TypeVar("Model", bound=BaseModel)
TRIES = 6
AS_LINES = {"content-type": "application/x-ndjson"}
AT_ONCE = 8
"""Documents that are under way to the server together."""
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
        document: Document | None = None,
        *,
        prompt: str,
        version: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        lane: str = "bulk",
        deadline: Deadline = None,
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        url: str | None = None,
    ) -> Job:
        """The job, which is kept once this returns.

        The same ``idempotency_key`` with the same content gives the same job. ``name`` is the document's, with its
        path; a file's own unless given. ``metadata`` is what you say of it, and comes back with the job. In the
        place of the document may stand a ``url``, from which docmill fetches it: https, at a public host.
        """
        fields = fields_of(prompt, version, feature, user, lane, deadline, params, name, metadata)
        return _job(self._ask("POST", "/v1/jobs", **request_of(document, fields, idempotency_key, url)))

    def submit_many(self, documents: Iterable[Document], *, prompt: str, **options: Any) -> list[Job]:
        """The jobs, in order, some submitted at once; ``options`` are those of :meth:`submit`."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda document: self.submit(document, prompt=prompt, **options), documents))

    def jobs(
        self,
        *,
        state: str | Sequence[str] | None = None,
        run: int | None = None,
        feature: str | None = None,
        user: str | None = None,
        prompt: str | None = None,
        version: str | None = None,
        name: str | None = None,
        document: int | None = None,
        model: str | None = None,
        cause: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        finished_after: datetime | None = None,
        finished_before: datetime | None = None,
        values: bool = False,
    ) -> Iterator[Job]:
        """The jobs that fit, the newest first, page by page; their answers only where ``values`` says so."""
        filters = {
            "state": state,
            "run": run,
            "feature": feature,
            "user": user,
            "prompt": prompt,
            "version": version,
            "name": name,
            "document": document,
            "model": model,
            "cause": cause,
            "created_after": created_after,
            "created_before": created_before,
            "finished_after": finished_after,
            "finished_before": finished_before,
        }
        query = query_of(values=values, filters=filters)
        cursor: int | None = None
        while True:
            page = self._ask("GET", "/v1/jobs", params=query | ({"cursor": cursor} if cursor else {}))
            for found in page["jobs"]:
                yield _job(found)
            cursor = page["next"]
            if cursor is None:
                return

    def begin_run(
        self,
        name: str,
        *,
        prompt: str,
        version: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        lane: str = "bulk",
        metadata: Mapping[str, str] | None = None,
        expected: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """A run, for documents that belong together: :meth:`submit_to_run` fills it until :meth:`close_run`."""
        fields = fields_of(prompt, version, feature, user, lane, None, None, name, metadata)
        body = fields | ({} if expected is None else {"expected": expected})
        headers = {"idempotency-key": idempotency_key or str(uuid4())}
        return Run.model_validate(self._ask("POST", "/v1/runs", json=body, headers=headers))

    def submit_to_run(self, run_id: int, documents: Mapping[str, str | Mapping[str, Any]]) -> list[LineAnswer]:
        """What became of each of the documents, which are texts by keys of your own.

        The same key is one job, however often it comes. In the place of a text may stand ``document`` with
        ``name``, ``params``, ``metadata`` and ``deadline``.
        """
        answers: list[LineAnswer] = []
        for lines in lines_of(documents):
            outcome = self._outcome("POST", f"/v1/runs/{run_id}/jobs", content=lines, headers=AS_LINES)
            answers += [LineAnswer.model_validate(each) for each in lines_answered(outcome)]
        return answers

    def close_run(self, run_id: int) -> Run:
        """Says that the run takes no more: once all its jobs have ended, so has it. Raises RunUnknown."""
        return Run.model_validate(self._ask("POST", f"/v1/runs/{run_id}/close"))

    def run(self, run_id: int) -> Run:
        """How far a run is. Raises RunUnknown."""
        return Run.model_validate(self._ask("GET", f"/v1/runs/{run_id}"))

    def job(self, job_id: int) -> Job:
        return _job(self._ask("GET", f"/v1/jobs/{job_id}"))

    @overload
    def wait(self, job_id: int, timeout: float | None = None) -> Job: ...
    @overload
    def wait(self, job_id: int, timeout: float | None = None, *, into: type[Model]) -> Model: ...

    def wait(self, job_id: int, timeout: float | None = None, *, into: type[Model] | None = None) -> Job | Model:
        """The job once it has ended; ``into`` reads its answer as that model, and raises JobFailed without one.

        Raises TimeoutError after ``timeout`` seconds; the job goes on.
        """
        give_up_at = None if timeout is None else time.monotonic() + timeout
        pause = POLL_FIRST_S
        while not (job := self.job(job_id)).ended:
            if give_up_at is not None and time.monotonic() + pause > give_up_at:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, POLL_LONGEST_S)
        return job if into is None else into.model_validate(_result(job))

    def result(self, job_id: int) -> dict[str, Any]:
        """The answer. Raises JobFailed where there is none, JobNotFit where there is none yet."""
        return _result(self.job(job_id))

    def rows(self, job_id: int, path: str, *, a_page: int = 200) -> Iterator[AnswerRow]:
        """The items of a list of the answer with their evidence, page by page: ``rows(17, "bookings")``.

        Raises JobNotFit where the answer has no list there.
        """
        cursor: int | None = 0
        while cursor is not None:
            asked = {"path": path, "cursor": cursor, "limit": a_page}
            page = RowPage.model_validate(self._ask("GET", f"/v1/jobs/{job_id}/rows", params=asked))
            yield from page.rows
            cursor = page.next

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

    def retry(self, job_id: int, *, fresh: bool = False, idempotency_key: str | None = None) -> Job:
        """Tries a failed job again; ``fresh`` makes a new one, which pays again, once under a key."""
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/retry", **retry_of(fresh, idempotency_key)))

    def cancel(self, job_id: int) -> Job:
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/cancel", once=True))

    def add_webhook(self, url: str, events: Sequence[str], *, name: str = "") -> Webhook:
        """An address that is told of events from now on, with the secret that its messages are signed with."""
        body = {"url": url, "events": list(events), "name": name}
        return Webhook.model_validate(self._ask("POST", "/v1/webhooks", once=True, json=body))

    def webhooks(self) -> list[Webhook]:
        """Those of the tenant, the oldest first."""
        return [Webhook.model_validate(each) for each in self._ask("GET", "/v1/webhooks")["webhooks"]]

    def remove_webhook(self, webhook_id: int) -> None:
        """Ends it. Raises WebhookUnknown."""
        self._ask("DELETE", f"/v1/webhooks/{webhook_id}", once=True)

    def deliveries(self, webhook_id: int, *, state: str | None = None) -> Iterator[Delivery]:
        """What a webhook was told, and is still to be told, the newest first, page by page."""
        query: dict[str, Any] = {} if state is None else {"state": state}
        while True:
            page = self._ask("GET", f"/v1/webhooks/{webhook_id}/deliveries", params=query)
            yield from (Delivery.model_validate(each) for each in page["deliveries"])
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    def resend(self, webhook_id: int, delivery_id: int | None = None) -> int:
        """Tells a webhook a delivery again, or all that it did not take; how many."""
        which = "" if delivery_id is None else f"/deliveries/{delivery_id}"
        return int(self._ask("POST", f"/v1/webhooks/{webhook_id}{which}/resend")["resent"])

    def _events(self, job_id: int) -> Iterator[Job]:
        with self._http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=SILENT_S) as answer:
            if not answer.is_success:
                answer.read()
                answer_of(answer)
            yield from (Job.model_validate_json(line[len(DATA) :]) for line in answer.iter_lines() if _says(line))

    def _ask(self, method: str, path: str, *, once: bool = False, **options: Any) -> dict[str, Any]:
        """Sends again what may be; what must happen ``once`` only where it cannot have arrived."""
        return answer_of(self._outcome(method, path, once=once, **options))

    def _outcome(self, method: str, path: str, *, once: bool = False, **options: Any) -> Outcome:
        number = 1
        while may_repeat(outcome := self._sent(method, path, **options), once=once) and number < self._tries:
            time.sleep(pause_s(number, outcome))
            number += 1
        return outcome

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
        document: Document | None = None,
        *,
        prompt: str,
        version: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        lane: str = "bulk",
        deadline: Deadline = None,
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        url: str | None = None,
    ) -> Job:
        """As :meth:`Docmill.submit`."""
        fields = fields_of(prompt, version, feature, user, lane, deadline, params, name, metadata)
        request = await asyncio.to_thread(request_of, document, fields, idempotency_key, url)  # it may read a file
        return _job(await self._ask("POST", "/v1/jobs", **request))

    async def submit_many(self, documents: Iterable[Document], *, prompt: str, **options: Any) -> list[Job]:
        """As :meth:`Docmill.submit_many`."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(document: Document) -> Job:
            async with limit:
                return await self.submit(document, prompt=prompt, **options)

        return list(await asyncio.gather(*map(one, documents)))

    async def jobs(
        self,
        *,
        state: str | Sequence[str] | None = None,
        run: int | None = None,
        feature: str | None = None,
        user: str | None = None,
        prompt: str | None = None,
        version: str | None = None,
        name: str | None = None,
        document: int | None = None,
        model: str | None = None,
        cause: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        finished_after: datetime | None = None,
        finished_before: datetime | None = None,
        values: bool = False,
    ) -> AsyncIterator[Job]:
        """As :meth:`Docmill.jobs`."""
        filters = {
            "state": state,
            "run": run,
            "feature": feature,
            "user": user,
            "prompt": prompt,
            "version": version,
            "name": name,
            "document": document,
            "model": model,
            "cause": cause,
            "created_after": created_after,
            "created_before": created_before,
            "finished_after": finished_after,
            "finished_before": finished_before,
        }
        query = query_of(values=values, filters=filters)
        cursor: int | None = None
        while True:
            page = await self._ask("GET", "/v1/jobs", params=query | ({"cursor": cursor} if cursor else {}))
            for found in page["jobs"]:
                yield _job(found)
            cursor = page["next"]
            if cursor is None:
                return

    async def begin_run(
        self,
        name: str,
        *,
        prompt: str,
        version: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        lane: str = "bulk",
        metadata: Mapping[str, str] | None = None,
        expected: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """As :meth:`Docmill.begin_run`."""
        fields = fields_of(prompt, version, feature, user, lane, None, None, name, metadata)
        body = fields | ({} if expected is None else {"expected": expected})
        headers = {"idempotency-key": idempotency_key or str(uuid4())}
        return Run.model_validate(await self._ask("POST", "/v1/runs", json=body, headers=headers))

    async def submit_to_run(
        self, run_id: int, documents: Mapping[str, str | Mapping[str, Any]]
    ) -> list[LineAnswer]:
        """As :meth:`Docmill.submit_to_run`."""
        answers: list[LineAnswer] = []
        for lines in lines_of(documents):
            outcome = await self._outcome("POST", f"/v1/runs/{run_id}/jobs", content=lines, headers=AS_LINES)
            answers += [LineAnswer.model_validate(each) for each in lines_answered(outcome)]
        return answers

    async def close_run(self, run_id: int) -> Run:
        """As :meth:`Docmill.close_run`."""
        return Run.model_validate(await self._ask("POST", f"/v1/runs/{run_id}/close"))

    async def run(self, run_id: int) -> Run:
        """As :meth:`Docmill.run`."""
        return Run.model_validate(await self._ask("GET", f"/v1/runs/{run_id}"))

    async def job(self, job_id: int) -> Job:
        return _job(await self._ask("GET", f"/v1/jobs/{job_id}"))

    @overload
    async def wait(self, job_id: int, timeout: float | None = None) -> Job: ...  # noqa: ASYNC109 - as the sync one has it
    @overload
    async def wait(self, job_id: int, timeout: float | None = None, *, into: type[Model]) -> Model: ...  # noqa: ASYNC109 - as the sync one has it

    async def wait(
        self,
        job_id: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the sync one has it
        *,
        into: type[Model] | None = None,
    ) -> Job | Model:
        """As :meth:`Docmill.wait`."""
        give_up_at = None if timeout is None else time.monotonic() + timeout
        pause = POLL_FIRST_S
        while not (job := await self.job(job_id)).ended:
            if give_up_at is not None and time.monotonic() + pause > give_up_at:
                raise TimeoutError(f"job {job_id} is {job.state} after {timeout:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_LONGEST_S)
        return job if into is None else into.model_validate(_result(job))

    async def result(self, job_id: int) -> dict[str, Any]:
        """As :meth:`Docmill.result`."""
        return _result(await self.job(job_id))

    async def rows(self, job_id: int, path: str, *, a_page: int = 200) -> AsyncIterator[AnswerRow]:
        """As :meth:`Docmill.rows`."""
        cursor: int | None = 0
        while cursor is not None:
            asked = {"path": path, "cursor": cursor, "limit": a_page}
            page = RowPage.model_validate(await self._ask("GET", f"/v1/jobs/{job_id}/rows", params=asked))
            for row in page.rows:
                yield row
            cursor = page.next

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

    async def retry(self, job_id: int, *, fresh: bool = False, idempotency_key: str | None = None) -> Job:
        """As :meth:`Docmill.retry`."""
        return _job(await self._ask("POST", f"/v1/jobs/{job_id}/retry", **retry_of(fresh, idempotency_key)))

    async def cancel(self, job_id: int) -> Job:
        return _job(await self._ask("POST", f"/v1/jobs/{job_id}/cancel", once=True))

    async def add_webhook(self, url: str, events: Sequence[str], *, name: str = "") -> Webhook:
        """As :meth:`Docmill.add_webhook`."""
        body = {"url": url, "events": list(events), "name": name}
        return Webhook.model_validate(await self._ask("POST", "/v1/webhooks", once=True, json=body))

    async def webhooks(self) -> list[Webhook]:
        """As :meth:`Docmill.webhooks`."""
        found = await self._ask("GET", "/v1/webhooks")
        return [Webhook.model_validate(each) for each in found["webhooks"]]

    async def remove_webhook(self, webhook_id: int) -> None:
        """As :meth:`Docmill.remove_webhook`."""
        await self._ask("DELETE", f"/v1/webhooks/{webhook_id}", once=True)

    async def deliveries(self, webhook_id: int, *, state: str | None = None) -> AsyncIterator[Delivery]:
        """As :meth:`Docmill.deliveries`."""
        query: dict[str, Any] = {} if state is None else {"state": state}
        while True:
            page = await self._ask("GET", f"/v1/webhooks/{webhook_id}/deliveries", params=query)
            for each in page["deliveries"]:
                yield Delivery.model_validate(each)
            if page["next"] is None:
                return
            query["cursor"] = page["next"]

    async def resend(self, webhook_id: int, delivery_id: int | None = None) -> int:
        """As :meth:`Docmill.resend`."""
        which = "" if delivery_id is None else f"/deliveries/{delivery_id}"
        found = await self._ask("POST", f"/v1/webhooks/{webhook_id}{which}/resend")
        return int(found["resent"])

    async def _events(self, job_id: int) -> AsyncIterator[Job]:
        async with self._http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=SILENT_S) as answer:
            if not answer.is_success:
                await answer.aread()
                answer_of(answer)
            async for line in answer.aiter_lines():
                if _says(line):
                    yield Job.model_validate_json(line[len(DATA) :])

    async def _ask(self, method: str, path: str, *, once: bool = False, **options: Any) -> dict[str, Any]:
        return answer_of(await self._outcome(method, path, once=once, **options))

    async def _outcome(self, method: str, path: str, *, once: bool = False, **options: Any) -> Outcome:
        number = 1
        while may_repeat(outcome := await self._sent(method, path, **options), once=once) and number < self._tries:
            await asyncio.sleep(pause_s(number, outcome))
            number += 1
        return outcome

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
