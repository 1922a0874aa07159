"""Bodies that stall, trickle, never end or come by the thousand: bounded in time, number, memory and disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from tests.integration.test_api_edges import app_of
from web.limits import MOST_BYTES, Bounds
from workers.stack.servers import EmbeddedServers

PROBLEM = "application/problem+json"
QUICK = Bounds(
    silent_s=0.3,
    grace_s=1.0,
    least_bytes_s=50_000,
    longest_s=3.0,
    most_open=4,
    most_bytes=4 * 2**20,
    place_within_s=0.2,
)
JSON = {"content-type": "application/json"}


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine, bounds=QUICK)


async def sent(app: FastAPI, body: AsyncIterator[bytes], path: str = "/v1/jobs") -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=None) as client:
        return await client.post(path, content=body, headers=JSON)


async def stalled(first: bytes = b'{"prompt": ', for_s: float = 60) -> AsyncIterator[bytes]:
    yield first
    await asyncio.sleep(for_s)


async def trickling() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 100
        await asyncio.sleep(0.05)


async def steady(bytes_s: float) -> AsyncIterator[bytes]:
    """Fast enough by its average, and without an end."""
    while True:
        yield b" " * int(bytes_s / 20)
        await asyncio.sleep(0.05)


def assert_refused(found: httpx.Response, status: int) -> None:
    assert (found.status_code, found.headers["content-type"]) == (status, PROBLEM), found.text


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/forecast", "/v1/collections/c/documents", "/v1/collections/c/ask"]
)
def test_a_body_that_stalls_or_trickles_is_given_up(app: FastAPI, path: str) -> None:
    for body in (stalled(), trickling()):
        assert_refused(asyncio.run(sent(app, body, path)), 408)


def test_a_body_without_an_end_is_given_up_however_fast_it_comes(app: FastAPI) -> None:
    assert_refused(asyncio.run(sent(app, steady(100_000))), 408)


def test_a_body_that_is_not_fast_is_taken_where_it_is_fast_enough(app: FastAPI) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for part in json.dumps({"prompt": "receipt", "document": "TOTAL 1.00 " + "x" * 1000}).encode().split(b"0"):
            yield part + b"0" if part[-1:] != b"}" else part
            await asyncio.sleep(0.1)

    assert asyncio.run(sent(app, slow())).status_code == 202


def test_one_too_many_waits_a_moment_and_is_told_to_come_again(app: FastAPI) -> None:
    async def many() -> list[httpx.Response]:
        return await asyncio.gather(*(sent(app, stalled()) for _ in range(12)))

    found = asyncio.run(many())
    assert sorted(answer.status_code for answer in found) == [408] * 4 + [503] * 8
    for answer in found:
        assert answer.headers["content-type"] == PROBLEM
        assert answer.status_code == 408 or answer.headers["retry-after"]
    assert asyncio.run(sent(app, _whole())).status_code == 202, "their places are free again"


async def _whole() -> AsyncIterator[bytes]:
    yield json.dumps({"prompt": "receipt", "document": f"TOTAL {uuid4()}"}).encode()


def test_all_bodies_together_are_bounded(app: FastAPI) -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b" " * 2**19
            await asyncio.sleep(0.05)
        await asyncio.sleep(60)

    async def many() -> list[httpx.Response]:
        return await asyncio.gather(*(sent(app, large()) for _ in range(4)))

    assert {answer.status_code for answer in asyncio.run(many())} == {408, 503}
    assert asyncio.run(sent(app, _whole())).status_code == 202


def test_a_large_document_lies_on_disk_until_its_turn_comes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = app_of(engine, bounds=Bounds(most_open=10))
    text_of = "TOTAL 1.00 " + uuid4().hex * 100_000

    async def body() -> AsyncIterator[bytes]:
        yield json.dumps({"prompt": "receipt", "document": text_of}).encode()

    found = asyncio.run(sent(app, body()))
    assert found.status_code == 202
    with engine.connect() as connection:
        kept = connection.execute(
            text(
                "select convert_from(body, 'UTF8') from documents d join jobs j on j.document_id = d.id where j.id = :id"
            ),
            {"id": found.json()["id"]},
        ).scalar_one()
    assert kept == text_of
    assert list(tmp_path.iterdir()) == [], "nothing of it is left"


@pytest.fixture(scope="module")
def api(servers: EmbeddedServers) -> Iterator[tuple[int, psutil.Process]]:
    """The port of ``python -m web``, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    addresses = {
        "DOCMILL_DATABASE_URL": servers.database_url,
        "DOCMILL_BROKER_URL": servers.broker_url,
        "DOCMILL_CACHE_URL": servers.cache_url,
    }
    process = subprocess.Popen([sys.executable, "-m", "web", "--port", str(port)], env={**os.environ, **addresses})
    give_up_at = time.monotonic() + 60
    while not answers(port):
        assert process.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    yield port, psutil.Process(process.pid)
    process.terminate()
    process.wait(timeout=60)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=Bounds().silent_s).status_code == 200
    except httpx.TransportError:
        return False


def opened(port: int, first: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.sendall(first)
    return made


HEAD = b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 50000000\r\n\r\n"


def test_a_thousand_open_uploads_take_neither_memory_nor_health(api: tuple[int, psutil.Process]) -> None:
    port, process = api
    before = process.memory_info().rss
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(opened(port, HEAD + b'{"a": "' + b"x" * 60_000)) for _ in range(1000)]
        assert answers(port)
        assert process.memory_info().rss - before < 100 * 2**20
        refused = sum(b" 503 " in each.recv(100) for each in connections[64:])
        # Who is silent for long loses the place to another.
        turns = 1 + (time.monotonic() - began) // Bounds().silent_s
        assert refused >= 1000 - 64 * turns
    assert answers(port)


def test_a_connection_that_sends_no_request_or_headers_without_an_end_is_closed(
    api: tuple[int, psutil.Process],
) -> None:
    port, process = api
    before = process.memory_info().rss
    with opened(port, b"GET /healthz HT") as silent, opened(port, b"GET /healthz HTTP/1.1\r\nx: ") as endless:
        with contextlib.suppress(OSError):
            for _ in range(2000):
                endless.sendall(b"y" * 2**16)
        assert process.memory_info().rss - before < 50 * 2**20
        assert silent.recv(100) == b"", "it is closed"


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v1/jobs/\xff\xfe HTTP/1.1",
        b"GET /v1/jobs?q=\xff HTTP/1.1",
        b"GET /%ff%00%ed%a0%80 HTTP/1.1",
        b"GET //v1/jobs HTTP/1.1",
        b"GET http://evil.example/v1/jobs HTTP/1.1",
        b"BREW /v1/jobs HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"nonsense",
        b"GET /v1/jobs HTTP/9.9",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_hardly_http_is_a_problem_or_nothing(api: tuple[int, psutil.Process], request_line: bytes) -> None:
    port, _ = api
    with opened(port, request_line + b"\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n") as asking:
        told = b"".join(iter(lambda: asking.recv(65536), b""))
    if told:
        head, _, body = told.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert status < 500
        assert status < 400 or PROBLEM.encode() in head, told
        assert status < 400 or json.loads(body)["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "²"},
        {"content-length": "-1"},
        {"content-length": "9" * 400},
        {"content-type": "multipart/form-data; boundary=" + "x" * 5000},
        {"content-type": "\x00"},
        {"idempotency-key": "\x00"},
        {"idempotency-key": "x" * 201},
        {"idempotency-key": " "},
        {"idempotency-key": "ü"},
        {"authorization": "Bearer " + "x" * 60_000},
        {"authorization": "Basic ////"},
        {"host": "\xff"},
        {"expect": "100-continue"},
        {"transfer-encoding": "chunked, gzip"},
    ],
    ids=lambda headers: repr(headers)[:50],
)  # fmt: skip
def test_odd_headers_are_a_problem_or_harmless(api: tuple[int, psutil.Process], headers: dict[str, str]) -> None:
    port, _ = api
    body = json.dumps({"prompt": "receipt", "document": "TOTAL 1.00"}).encode()
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    lines = [f"{name}: {value}" for name, value in {**given, **headers, "connection": "close"}.items()]
    request = "\r\n".join(["POST /v1/jobs HTTP/1.1", *lines, "\r\n"]).encode("latin-1") + body
    with opened(port, request) as asking:
        told = b"".join(iter(lambda: asking.recv(65536), b""))
    head = told.partition(b"\r\n\r\n")[0]
    status = int(head.split()[1])
    assert status < 500, told
    assert status < 400 or PROBLEM.encode() in head


def test_a_large_upload_is_refused_as_soon_as_it_has_grown_too_large(api: tuple[int, psutil.Process]) -> None:
    port, process = api
    before = process.memory_info().rss
    head = HEAD.replace(b"content-length: 50000000", b"transfer-encoding: chunked")
    part = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with opened(port, head) as asking:
        with contextlib.suppress(OSError):
            for _ in range(MOST_BYTES // 2**20 + 50):
                asking.sendall(part)
        told = asking.recv(1000)
    assert b" 413 " in told
    assert process.memory_info().rss - before < 50 * 2**20
