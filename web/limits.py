"""How much a request may send: counted while it comes in, whatever it says of itself."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docmill.bounds import MOST_BYTES
from web.problems import Problem

__all__ = ["MOST_BYTES", "BodyLimit"]

FORM_BYTES = 2**20
"""Of everything around a document, and of any other request."""

WITH_DOCUMENTS = re.compile(r"/v1/jobs|/v1/collections/[^/]+/documents")


class BodyLimit:
    """Refuses a body that is too large with a 413: at once where it says so, else as soon as it has grown so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = MOST_BYTES + FORM_BYTES if WITH_DOCUMENTS.fullmatch(scope["path"]) else FORM_BYTES
        said = Headers(scope=scope).get("content-length", "")
        taken = int(said) if said.isdigit() and int(said) > most else 0

        async def counted() -> Message:
            nonlocal taken
            if taken <= most:
                message = await receive()
                taken += len(message.get("body", b""))
            if taken > most:
                raise too_large(most)
            return message

        await self.app(scope, counted, send)


def too_large(most: int = MOST_BYTES) -> Problem:
    return Problem(413, f"at most {most // 2**20} MB are taken: split the document")
