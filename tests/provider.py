"""A provider between docmill and the simulator, whose answers a test changes while it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import httpx

__all__ = ["Provider", "Said", "complaint", "providing", "reply"]

Said: TypeAlias = tuple[int, Any]
"""Status, and what stands in the body as JSON."""


def reply(text: str) -> Said:
    """A good answer with these words."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 90, "completion_tokens": 20}
    return 200, {"id": "chatcmpl-1", "model": "sim-small", "choices": [choice], "usage": usage}


def complaint(message: str, status: int = 400, **more: str) -> Said:
    """A refusal in OpenAI's shape."""
    return status, {"error": {"message": message, "type": "invalid_request_error", **more}}


@dataclass(kw_only=True)
class Provider:
    """Passes on to the ``simulator`` what ``says`` has no answer for."""

    says: Callable[[str], Said | None] = lambda _: None
    """An answer to a request's body."""
    changes: Callable[[Any], Any] = lambda said: said
    """What the simulator answered, as it is handed on."""
    simulator: str = ""
    url: str = ""
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=60, limits=httpx.Limits(max_connections=64))
    )

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        said = self.says(body.decode())
        if said is not None:
            return said[0], json.dumps(said[1]).encode()
        passed = {
            name: value for name, value in headers.items() if name.lower().startswith(("x-", "content-type"))
        }
        found = self.client.post(f"{self.simulator}{path}", content=body, headers=passed)
        return found.status_code, json.dumps(self.changes(found.json())).encode()


@contextmanager
def providing(provider: Provider) -> Iterator[Provider]:
    """Serves until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, said = provider.answer(self.path, dict(self.headers), body)
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
            except ConnectionError:  # whoever asked has gone
                return

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 256

    with Server(("127.0.0.1", 0), Handler) as server, provider.client:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        provider.url = f"http://127.0.0.1:{server.server_port}"
        yield provider
        server.shutdown()
        thread.join()
