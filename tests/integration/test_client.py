"""The client beside a server that answers badly, late or not at all."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from docmill.client import AsyncDocmill, Docmill, Job, JobFailed
from docmill.client.request import fields_of, request_of
from docmill.errors import (
    DocmillError,
    IdempotencyConflict,
    JobNotFit,
    JobUnknown,
    Misconfigured,
    RunUnknown,
    ServiceAway,
    SubmitRefused,
    WebhookUnknown,
)

CUT = b""
"""The connection ends with no answer."""
QUEUED = {"id": 7, "state": "queued", "prompt": "receipt"}
DONE = {**QUEUED, "state": "done", "value": {"total": 4.1}}


def answer(status: int, content: object, **headers: str) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{told}content-length: {len(body)}\r\n\r\n".encode() + body


def events(*jobs: object) -> bytes:
    """A stream that ends, or breaks, after these."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    lines = ": still\n\n" + "".join(f"event: job\ndata: {json.dumps(job)}\n\n" for job in jobs)
    return head + f"{len(lines):x}\r\n{lines}\r\n".encode()


@dataclass
class Scripted:
    """A server that gives its answers in turn, each on a connection of its own."""

    url: str = ""
    script: list[bytes] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and idempotency key of each request."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scripted.asked.append((self.path, self.headers.get("idempotency-key")))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.wfile.write(scripted.script.pop(0))
            self.close_connection = True

        do_POST = do_DELETE = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        scripted.url = f"http://127.0.0.1:{served.server_port}"
        yield scripted
        served.shutdown()
        thread.join()


Call = Callable[..., Job]


@pytest.fixture(params=["sync", "async"])
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("docmill.client.request.FIRST_PAUSE_S", 0.01)
    return str(request.param)


@pytest.fixture
def call(quick: str, server: Scripted) -> Call:
    """Calls a method of the client, or of its twin for asyncio."""

    def called(method: str, *arguments: object, **options: object) -> Job:
        if quick == "sync":
            with Docmill(server.url, "dm_key", tries=3) as docmill:
                found = getattr(docmill, method)(*arguments, **options)
                return list(found) if method == "stream" else found  # type: ignore[return-value] # tests know which

        async def once() -> Job:
            async with AsyncDocmill(server.url, "dm_key", tries=3) as docmill:
                found = getattr(docmill, method)(*arguments, **options)
                return [job async for job in found] if method == "stream" else await found  # type: ignore[return-value]

        return asyncio.run(once())

    return called


def test_a_submit_is_sent_again_under_one_key(server: Scripted, call: Call) -> None:
    server.script = [CUT, answer(503, {"detail": "away"}, retry_after="0"), answer(202, QUEUED)]
    assert call("submit", "TOTAL 4.10", prompt="receipt").id == 7
    keys = [key for _, key in server.asked]
    assert len(keys) == 3
    assert keys[0] is not None
    assert len(set(keys)) == 1


def test_after_the_last_try_it_says_what_is_away(server: Scripted, call: Call) -> None:
    server.script = [CUT] * 3
    with pytest.raises(ServiceAway, match="does not answer at http"):
        call("job", 7)
    server.script = [answer(503, {"detail": "the database does not answer"})] * 3
    with pytest.raises(ServiceAway, match="the database does not answer"):
        call("job", 7)


@pytest.mark.parametrize("method", ["cancel", "retry"])
def test_what_must_happen_once_is_not_sent_twice(server: Scripted, call: Call, method: str) -> None:
    server.script = [CUT, answer(200, DONE)]
    with pytest.raises(ServiceAway):
        call(method, 7)
    assert len(server.asked) == 1


def test_a_new_job_is_asked_for_again_under_the_same_key(server: Scripted, call: Call) -> None:
    server.script = [CUT, answer(201, QUEUED)]
    assert call("retry", 6, fresh=True).id == 7
    (first, key), (second, same) = server.asked
    assert (first, key) == (second, same)
    assert first == "/v1/jobs/6/retry?fresh=true"
    assert key
    server.asked.clear()
    server.script = [answer(201, QUEUED)]
    call("retry", 6, fresh=True, idempotency_key="mine")
    assert [key for _, key in server.asked] == ["mine"]


def test_a_stream_that_breaks_is_taken_up_again(server: Scripted, call: Call) -> None:
    server.script = [events(QUEUED), CUT, events(QUEUED, DONE)]
    assert [job.state for job in call("stream", 7)] == ["queued", "done"]  # type: ignore[attr-defined]


def test_a_wait_ends_with_the_job_or_in_time(server: Scripted, call: Call) -> None:
    server.script = [answer(200, QUEUED), CUT, answer(200, DONE)]
    assert call("wait", 7).value == {"total": 4.1}
    server.script = [answer(200, QUEUED)]
    with pytest.raises(TimeoutError, match="job 7 is queued after 0 s"):
        call("wait", 7, timeout=0)


@pytest.mark.parametrize(
    ("method", "status", "content", "error", "told"),
    [
        ("submit", 422, {"detail": "prompt: Field required"}, SubmitRefused, "prompt: Field required"),
        ("submit", 413, {"detail": "at most 50 MB"}, SubmitRefused, "at most 50 MB"),
        ("submit", 409, {"detail": "the key was used"}, IdempotencyConflict, "the key was used"),
        ("submit", 401, {"detail": "the key is not valid"}, Misconfigured, "not valid"),
        ("job", 404, {"detail": "there is no job 7"}, JobUnknown, "no job 7"),
        ("cancel", 409, {"detail": "nothing to cancel"}, JobNotFit, "nothing to cancel"),
        ("job", 200, b"<html>", DocmillError, "not as docmill does"),
        ("job", 302, b"", DocmillError, "answered 302"),
        ("job", 500, {"detail": "a defect"}, DocmillError, "a defect"),
        ("stream", 404, {"detail": "there is no job 7"}, JobUnknown, "no job 7"),
    ],
)
def test_what_the_server_refuses_is_an_error_with_its_words(  # noqa: PLR0917 - a table's columns
    server: Scripted, call: Call, method: str, status: int, content: object, error: type[DocmillError], told: str
) -> None:
    server.script = [answer(status, content)]
    with pytest.raises(error, match=told):
        call(method, *(("x",) if method == "submit" else (7,)), **({"prompt": "p"} if method == "submit" else {}))


def test_an_address_or_a_key_that_is_none_is_told_at_once() -> None:
    for kind in (Docmill, AsyncDocmill):
        for url in ("127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://[::1", ""):
            with pytest.raises(Misconfigured, match="is no address"):
                kind(url)
        with pytest.raises(Misconfigured, match="the key holds"):
            kind("http://127.0.0.1", "dm_key\n")


PAGES = [
    {"jobs": [{**QUEUED, "id": 9}, {**QUEUED, "id": 8, "prompt": None}], "next": 8},
    {"jobs": [QUEUED], "next": None},
]


def test_lists_are_read_page_by_page_and_jobs_that_index_are_read_too(server: Scripted) -> None:
    for_both = [answer(200, page) for page in PAGES]
    server.script = [*for_both]
    since = datetime(2026, 3, 1)  # noqa: DTZ001 - one without a zone is in UTC
    with Docmill(server.url) as docmill:
        found = list(docmill.jobs(state=["failed", "held"], run=3, created_after=since, values=True))
    assert [(job.id, job.prompt) for job in found] == [(9, "receipt"), (8, None), (7, "receipt")]
    first, second = (path for path, _ in server.asked)
    assert first == (
        "/v1/jobs?state=failed&state=held&run=3&created_after=2026-03-01T00%3A00%3A00%2B00%3A00&include=value"
    )
    assert second == f"{first}&cursor=8"

    async def both() -> list[Job]:
        async with AsyncDocmill(server.url) as docmill:
            return [job async for job in docmill.jobs(feature="f")]

    server.script = [*for_both]
    assert asyncio.run(both()) == found


class Receipt(BaseModel):
    total: Decimal


def test_an_answer_is_read_as_a_model(server: Scripted) -> None:
    async def waited() -> Receipt:
        async with AsyncDocmill(server.url) as docmill:
            return await docmill.wait(7, into=Receipt)

    server.script = [answer(200, QUEUED), answer(200, DONE)] * 2
    with Docmill(server.url) as docmill:
        assert docmill.wait(7, into=Receipt).total == Decimal("4.1")
        assert asyncio.run(waited()) == Receipt(total=Decimal("4.1"))
        server.script = [
            answer(200, {**QUEUED, "state": "failed", "failure": {"kind": "poison", "message": "no"}})
        ]
        with pytest.raises(JobFailed, match="no"):
            docmill.wait(7, into=Receipt)


def test_a_run_is_begun_filled_and_looked_at(server: Scripted, call: Call) -> None:
    run: Any = {"id": 3, "name": "March", "total": 2, "open": 2, "states": {"queued": 2}}
    server.script = [answer(201, run)]
    assert call("begin_run", "March", prompt="receipt", expected=2, metadata={"a": "b"}).id == 3
    lines = b'{"line": 1, "key": "a", "id": 9, "new": true}\n{"line": 2, "key": "b", "problem": {"status": 422}}\n'
    server.script = [CUT, answer(200, lines, content_type="application/x-ndjson")]
    told: Any = call("submit_to_run", 3, {"a": "TOTAL 1.00", "b": {"document": "x", "name": "in/b.txt"}})
    assert [(each.key, each.id, each.new, each.problem) for each in told] == [
        ("a", 9, True, None),
        ("b", None, False, {"status": 422}),
    ]
    server.script = [answer(200, run)]
    found: Any = call("run", 3)
    assert (found.open, found.states) == (2, {"queued": 2})
    server.script = [CUT, answer(200, {**run, "state": "ended", "closed_at": "2026-01-01T00:00:00Z"})]
    assert call("close_run", 3).state == "ended"
    server.script = [answer(404, {"detail": "there is no run 3"})]
    with pytest.raises(RunUnknown, match="no run 3"):
        call("run", 3)
    with pytest.raises(SubmitRefused):
        call("submit_to_run", 3, {"a": "\ud800"})


def test_webhooks_are_made_looked_at_and_ended(server: Scripted, call: Callable[..., Any]) -> None:
    made: Any = {"id": 3, "url": "https://example.com/", "events": ["job.ended"], "name": ""}
    server.script = [answer(201, {**made, "secret": "whsec_x"})]
    assert call("add_webhook", "https://example.com/", ["job.ended"]).secret == "whsec_x"
    server.script = [answer(200, {"webhooks": [made]})]
    assert [each.secret for each in call("webhooks")] == [None]
    told: Any = {"id": 8, "message": "m", "event": "job.ended", "payload": {}, "state": "failed", "tries": 14}
    server.script = [answer(200, {"deliveries": [told], "next": 8}), answer(200, {"deliveries": [], "next": None})]
    with Docmill(server.url) as docmill:
        assert [each.id for each in docmill.deliveries(3, state="failed")] == [8]
    assert server.asked[-1][0] == "/v1/webhooks/3/deliveries?state=failed&cursor=8"
    server.script = [answer(202, {"resent": 1}), answer(202, {"resent": 2})]
    assert (call("resend", 3, 8), call("resend", 3)) == (1, 2)
    server.script = [answer(204, b"")]
    assert call("remove_webhook", 3) is None
    server.script = [answer(404, {"detail": "there is no webhook 3"})]
    with pytest.raises(WebhookUnknown):
        call("remove_webhook", 3)
    server.script = [answer(422, {"detail": "events: there is none"})]
    with pytest.raises(SubmitRefused):
        call("add_webhook", "https://example.com/", [])


def test_many_documents_are_submitted_in_order(server: Scripted, call: Call) -> None:
    server.script = [answer(202, {**QUEUED, "id": 7})] * 20
    found: Any = call("submit_many", ["x"] * 20, prompt="receipt", name="in/x.txt", metadata={"a": "b"})
    assert len(found) == 20
    assert len({key for _, key in server.asked}) == 20


def test_a_file_is_submitted_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    fields = fields_of("p", None, None, None, "bulk", None, None, "in/b.pdf", {"order": "17"})
    for document in (tmp_path / "a.pdf", b"x"):
        assert request_of(document, fields, None)["data"] == {
            "prompt": "p", "lane": "bulk", "name": "in/b.pdf", "metadata": '{"order": "17"}',
        }  # fmt: skip
    assert request_of(tmp_path / "a.pdf", {"prompt": "p"}, None)["data"]["name"] == str(tmp_path / "a.pdf")
