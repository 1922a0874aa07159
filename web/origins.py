"""Scripts of other web sites that an operator lets ask the API: each with a key that it holds, and no cookie."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Origins"]

ASKS = ("GET", "HEAD", "POST", "PUT", "DELETE")
SENT = ("Authorization", "Content-Type", "Idempotency-Key", "X-Request-Id")
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
