"""Connections that come to an end: one that sends no request, sends it for ever, or takes no answer, is closed."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.problems import CODES, PROBLEM

__all__ = ["BoundedProtocol"]

HEADERS_WITHIN_S = 10.0
MOST_HEADER_BYTES = 2**16
DISCARDED_FOR_S = 5.0
"""What still comes of a request that is answered is thrown away so long: its sender has to read the answer."""
TAKEN_WITHIN_S = 60.0
"""An answer of which nothing is taken for so long is given up."""
MOST_CONNECTIONS = 2000


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's, with bounds on time and size where it has none. Bodies are :mod:`web.limits`'s."""

    _headers_by: asyncio.TimerHandle | None = None
    _closed_by: asyncio.TimerHandle | None = None
    _taken_by: asyncio.TimerHandle | None = None
    _reads_headers = True
    _message_ended = True
    _header_bytes = 0
    _trailer_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, "too many connections are open")
            return
        self._headers_by = self.loop.call_later(HEADERS_WITHIN_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._headers_by, self._closed_by, self._taken_by):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reads_headers:
            self._header_bytes += len(data)
            # The beginning of a body may have come with them.
            if self._header_bytes > MOST_HEADER_BYTES + len(data):
                self._refuse(431, "the request's headers are too large")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reads_headers, self._message_ended = True, False
        if self._headers_by is None:
            self._headers_by = self.loop.call_later(HEADERS_WITHIN_S, self._give_up)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also those behind a body. What is raised here is told as a request that is none."""
        self._trailer_bytes += 0 if self._reads_headers else len(name) + len(value)
        if self._trailer_bytes > MOST_HEADER_BYTES:
            raise ValueError("too many trailers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reads_headers, self._header_bytes = False, 0
        if self._headers_by is not None:
            self._headers_by.cancel()
            self._headers_by = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._message_ended = True
        if self._closed_by is not None:
            self._closed_by.cancel()
            self._closed_by = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._message_ended and self._closed_by is None:
            self._closed_by = self.loop.call_later(DISCARDED_FOR_S, self._give_up)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taken_by = self.loop.call_later(TAKEN_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taken_by is not None:
            self._taken_by.cancel()
            self._taken_by = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        title = HTTPStatus(status).phrase
        code = CODES.get(status, "refused")
        told: dict[str, Any] = {"title": title, "status": status, "detail": detail}
        problem = {"type": f"/problems/{code}", "code": code, **told}
        body = json.dumps(problem).encode()
        head = f"HTTP/1.1 {status} {title}\r\ncontent-type: {PROBLEM}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()
