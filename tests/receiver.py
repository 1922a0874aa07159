"""A service that is told of events over real HTTP, and may be away, slow or broken."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Receiver", "Taken", "always", "receiving", "slow"]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A message as it came, that was answered with 2xx."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Receiver:
    """``answer`` gives the status for a message, by how many came before; it may take its time."""

    port: int = 0
    answer: Callable[[int], int] = lambda _: 204
    taken: list[Taken] = field(default_factory=list)
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _came: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, taken: Taken) -> int:
        with self._lock:
            came, self._came = self._came, self._came + 1
        status = self.answer(came)
        with self._lock:
            if status < 300:
                self.taken.append(taken)
            else:
                self.refused += 1
        return status

    def told(self) -> Counter[tuple[str, int]]:
        """How often each job's event came."""
        with self._lock:
            return Counter((each.said["type"], each.said["data"].get("job_id", 0)) for each in self.taken)


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    """Serves until the end, on the receiver's port where it has one already."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with contextlib.suppress(ConnectionError):
                self.send_response(receiver.take(Taken(path=self.path, headers=headers, body=body)))
                self.send_header("location", "/hook")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128
        allow_reuse_address = True

    with Server(("127.0.0.1", receiver.port), Handler) as server:
        receiver.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def always(status: int) -> Callable[[int], int]:
    """Answers each message so."""
    return lambda _: status


def slow(seconds: float) -> Callable[[int], int]:
    """Answers each message with 204, after a while."""

    def answer(_: int) -> int:
        time.sleep(seconds)
        return 204

    return answer
