"""The client beside a server that answers badly, late or not at all."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from docmill.client import AsyncDocmill, Docmill, Job
from docmill.errors import (
    DocmillError,
    IdempotencyConflict,
    JobNotFit,
    JobUnknown,
    Misconfigured,
    ServiceAway,
    SubmitRefused,
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

        do_POST = do_GET  # noqa: N815 - the library's name

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
