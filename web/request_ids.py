"""An id for each request: in its answer, in a problem, and in every line that is logged on its way."""

from __future__ import annotations

import re
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADER", "RequestIds"]

HEADER = "request-id"
GIVEN = ("x-request-id", HEADER)
"""Headers by which whoever asks may name the request."""
TAKEN = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


class RequestIds:
    """Gives each request an id, or takes the one that it has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _given(Headers(scope=scope)) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self.app(scope, receive, telling)


def _given(headers: Headers) -> str | None:
    return next((said for name in GIVEN if TAKEN.fullmatch(said := headers.get(name, ""))), None)
