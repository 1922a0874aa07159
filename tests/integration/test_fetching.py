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

import pytest

from docmill.errors import NotFetched
from docmill.net.fetching import Fetched, fetch
from tests.command import Command

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
