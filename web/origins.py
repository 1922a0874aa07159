"""Scripts of other web sites that an operator lets ask the API: each with a key that it holds, and no cookie."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Origins", "told_to"]

ASKS = ("GET", "HEAD", "POST", "PUT", "DELETE")
SENT = (
    "Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Request-Id",
    "X-Request-Id",
)  # fmt: skip
TOLD = ("Location", "Request-Id", "Idempotent-Replayed", "Retry-After")
"""Headers of answers that such a script may read."""


class Origins:
    """Tells browsers which sites may ask ``/v1/``. Pages are for who opens them, whatever the setting says."""

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        self.app = app
        self._api = CORSMiddleware(
            app, allow_origins=allowed, allow_methods=ASKS, allow_headers=SENT, expose_headers=TOLD
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await (self._api if is_api else self.app)(scope, receive, send)


def told_to(request: Request, allowed: Sequence[str]) -> dict[str, str]:
    """Returns the headers by which such a script may read an answer that is made outside of all layers."""
    origin = request.headers.get("origin", "")
    if origin not in allowed or not request.url.path.startswith("/v1/"):
        return {}
    told = ", ".join(TOLD)
    return {"access-control-allow-origin": origin, "access-control-expose-headers": told, "vary": "Origin"}
