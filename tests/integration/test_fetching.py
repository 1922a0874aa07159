"""Documents fetched from their addresses, over real HTTP on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db.database import Database
from docmill.errors import NotFetched
from docmill.net.fetching import Fetched, fetch
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tests.command import Command
from tests.integration.test_api_edges import app_of, asked

HERE = {"127.0.0.1"}
RECEIPT = b"TEA HOUSE\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n"


class Handler(BaseHTTPRequestHandler):
    """Answers by path; what was asked is told by the server's list ``asked``."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined] # the fixture's
        if self.path.startswith("/to/"):
            self._answer(302, location=self.path.removeprefix("/to/"))
        elif self.path == "/round":
            self._answer(302, location="/round")
        elif self.path == "/drip":
            self._answer(200, b"")
            while True:
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.02)
        elif self.path == "/large":
            self._answer(200, b"x" * 5000)
        elif self.path == "/busy":
            self._answer(503)
        elif self.path == "/packed":
            self._answer(200, b"\x1f\x8b", **{"content-encoding": "gzip"})
        elif self.path == "/named":
            self._answer(200, RECEIPT, **{"content-disposition": 'attachment; filename="../../bill 7.txt"'})
        elif self.path.startswith("/bill.txt"):
            self._answer(200, RECEIPT, **{"content-type": "text/plain; charset=utf-8"})
        else:
            self._answer(404)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked had enough
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.asked = []  # type: ignore[attr-defined] # what was asked
        made.daemon_threads = True
        made.block_on_close = False
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def at(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_document_comes_with_its_name_and_kind(server: ThreadingHTTPServer) -> None:
    found = asyncio.run(fetch(at(server, "/to//bill.txt?key=secret"), private_hosts=HERE))
    assert found == Fetched(body=RECEIPT, name="bill.txt", media_type="text/plain; charset=utf-8")
    assert asyncio.run(fetch(at(server, "/named"), private_hosts=HERE)).name == "bill 7.txt"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/none", "answered 404 instead of a document"),
        ("/large", "has more than 4,000 bytes"),
        ("/packed", "sends it packed"),
        ("/round", "redirects more than 5 times"),
        ("/drip", r"no whole document within 1 s"),
        ("/to/http://localhost/bill.txt", "localhost is asked without https"),
        ("/to/https://localhost:9/bill.txt", "localhost is not on the internet"),
        ("/to/https://169.254.169.254/latest/meta-data", "169.254.169.254 is not on the internet"),
        ("/to/https://[::1]/x", "::1 is not on the internet"),
        ("/to/file:///etc/passwd", "a document's address is one as in https"),
        ("/to/https://ann:secret@example.com/", "without a password"),
        ("/to/https://no-such-host.invalid/x", r"no-such-host\.invalid cannot be reached"),
    ],
)
def test_what_may_not_be_fetched_is_refused_at_each_step(server: ThreadingHTTPServer, path: str, why: str) -> None:
    with pytest.raises(NotFetched, match=why) as refused:
        asyncio.run(fetch(at(server, path), private_hosts=HERE, max_bytes=4000, deadline_s=1))
    assert "secret" not in str(refused.value)


def test_a_host_of_this_machine_is_not_asked_unless_it_is_named(server: ThreadingHTTPServer) -> None:
    for url in (at(server, "/bill.txt"), at(server, "/bill.txt").replace("http:", "https:")):
        with pytest.raises(NotFetched, match=r"127\.0\.0\.1"):
            asyncio.run(fetch(url))
    assert server.asked == []  # type: ignore[attr-defined] # the fixture's


def test_an_address_is_submitted_like_a_file(
    server: ThreadingHTTPServer, up: Path, docmill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMILL_FETCH_HOSTS", "127.0.0.1")
    good, bad = at(server, "/bill.txt"), at(server, "/none")
    done = docmill("submit", good, bad, "--prompt", "receipt", "--wait", "--json", "--data", str(up))
    found = {line["path"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert (found[good]["state"], found[good]["value"]["total"]) == ("done", 4.1)
    assert (found[bad]["state"], found[bad]["failure"]["kind"]) == ("refused", "not_found")


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine, services=services_of(engine, Settings(fetch_hosts="127.0.0.1")))


def services_of(engine: Engine, settings: Settings) -> Services:
    return Services(
        settings=settings, database=Database(engine), registry=Registry(), publish=lambda _: None, owner="api"
    )


def submitted(app: FastAPI, url: str, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return asked(app, "POST", "/v1/jobs", json={"prompt": "receipt", "document_url": url, **more}, headers=headers)


def test_a_submit_over_http_may_name_where_its_document_lies(app: FastAPI, server: ThreadingHTTPServer) -> None:
    key = {"idempotency-key": uuid4().hex}
    made = submitted(app, at(server, "/to//bill.txt?key=secret"), headers=key)
    assert (made.status_code, made.json()["name"]) == (202, "bill.txt"), made.text
    kept = asked(app, "GET", f"/v1/documents/{made.json()['document_id']}/original")
    assert (kept.content, kept.headers["content-type"]) == (RECEIPT, "text/plain")
    again = submitted(app, at(server, "/to//bill.txt?key=secret"), headers=key)
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (made.json()["id"], "true")
    assert submitted(app, at(server, "/large"), headers=key).status_code == 409
    assert submitted(app, at(server, "/named"), name="mine/b.txt").json()["path"] == "mine/b.txt"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("HERE/none", (422, "not-fetched")),
        ("HERE/packed", (422, "not-fetched")),
        ("HERE/round", (422, "not-fetched")),
        ("HERE/busy", (502, "source-away")),
        ("http://127.0.0.1:1/x", (502, "source-away")),
        ("https://no-such-host.invalid/x", (502, "source-away")),
        ("HERE/to/https://169.254.169.254/latest/meta-data", (422, "not-fetched")),
        ("https://localhost:9/x", (422, "not-fetched")),
        ("https://[::ffff:10.0.0.1]/x", (422, "not-fetched")),
        ("http://example.com/x", (422, "not-fetched")),
        ("https://ann:secret@example.com/x", (422, "not-fetched")),
        ("file:///etc/passwd", (422, "not-fetched")),
        ("https://" + "a" * 200 + ".example/x", (422, "not-fetched")),
        ("x" * 2001, (422, "invalid")),
        ("", (422, "invalid")),
    ],
)
def test_what_cannot_be_fetched_is_a_problem_and_no_job(
    app: FastAPI, engine: Engine, server: ThreadingHTTPServer, url: str, told: tuple[int, str]
) -> None:
    before = newest(engine)
    found = submitted(app, url.replace("HERE", at(server, "")))
    assert (found.status_code, found.json()["code"]) == told, found.text
    assert found.headers["content-type"] == "application/problem+json"
    assert "secret" not in found.text
    assert newest(engine) == before


def newest(engine: Engine) -> int | None:
    with engine.connect() as connection:
        return connection.execute(text("select max(id) from jobs")).scalar()


def test_nothing_is_asked_for_a_submit_that_cannot_be(app: FastAPI, server: ThreadingHTTPServer) -> None:
    url = at(server, "/bill.txt")
    assert submitted(app, url, prompt="no-such-prompt").json()["code"] == "prompt-unknown"
    both = submitted(app, url, document="TOTAL 4.10")
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "document")
    app.state.fetches.most = 0
    assert submitted(app, url).status_code == 503
    assert server.asked == []  # type: ignore[attr-defined] # the fixture's


def test_a_host_that_moves_once_it_was_looked_at_is_called_where_it_was(
    engine: Engine, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(engine, services=services_of(engine, Settings()))
    addresses, called = iter(["93.184.216.34", "127.0.0.1"]), []

    async def lookup(_: object, __: str, port: int, **___: object) -> list[Any]:
        return [(2, 1, 6, "", (next(addresses), port))]

    async def connect(_: object, __: object, host: str, *___: object, **____: object) -> Any:
        called.append(host)
        raise OSError

    monkeypatch.setattr("asyncio.BaseEventLoop.getaddrinfo", lookup)
    monkeypatch.setattr("asyncio.BaseEventLoop.create_connection", connect)
    url = f"https://rebinds.example:{server.server_port}/bill.txt"
    assert [submitted(app, url).json()["code"] for _ in range(2)] == ["source-away", "not-fetched"]
    assert called == ["93.184.216.34"]
    assert server.asked == []  # type: ignore[attr-defined] # the fixture's
