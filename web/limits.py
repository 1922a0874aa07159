"""How much a request may send, how slowly, and how many may send at once: whatever it says of itself.

A body is taken in whole before anything is done with it, and lies on disk where it is large. So what stalls holds
a place and a file, and neither memory nor a thread; and it holds them for a bounded time.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import IO

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docmill.bounds import MOST_BYTES
from web.problems import Problem

__all__ = ["FORM_BYTES", "MOST_BYTES", "BodyLimit", "Bounds", "too_large"]

FORM_BYTES = 2**20
"""Of everything around a document, and of any other request."""
CHUNK_BYTES = 2**16

WITH_DOCUMENTS = re.compile(r"/v1/jobs|/v1/runs/[^/]+/jobs|/v1/collections/[^/]+/documents")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """For the bodies of one process."""

    silent_s: float = 15.0
    """So long nothing may come."""
    grace_s: float = 30.0
    least_bytes_s: float = 16 * 2**10
    """Bytes a second, on average, once the grace is over."""
    longest_s: float = 900.0
    most_open: int = 64
    """Bodies of which something is still to come. Others wait for a place, and nothing more is taken of them."""
    place_within_s: float = 5.0
    most_bytes: int = 2**30
    """Of all bodies together, on disk and in memory."""
    memory_bytes: int = 2**20
    """What is larger lies on disk until its turn comes."""
    large_at_once: int = 2
    """Of those that lay on disk, so many are worked on: each takes several times its size of memory."""


class BodyLimit:
    """Refuses a body that is too large (413), too slow (408), or one too many (503)."""

    def __init__(self, app: ASGIApp, bounds: Bounds = Bounds()) -> None:
        self.app = app
        self._bounds = bounds
        self._bytes = 0
        self._places = asyncio.Semaphore(bounds.most_open)
        self._large = asyncio.Semaphore(bounds.large_at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = MOST_BYTES + FORM_BYTES if WITH_DOCUMENTS.fullmatch(scope["path"]) else FORM_BYTES
        said = Headers(scope=scope).get("content-length", "")
        async with AsyncExitStack() as held:
            body: AsyncIterator[Message] | None = None

            async def taken() -> Message:
                nonlocal body
                if body is None:  # whoever is refused for another reason sends nothing
                    if said.isdecimal() and len(said) < 20 and int(said) > most:
                        raise too_large(most)
                    body = await self._taken(receive, most, held)
                return await anext(body, None) or await receive()

            await self.app(scope, taken, send)

    async def _taken(self, receive: Receive, most: int, held: AsyncExitStack) -> AsyncIterator[Message]:
        """The body's messages, once all of it is there. ``held`` keeps what it takes until the request is done."""
        spool = tempfile.SpooledTemporaryFile(max_size=self._bounds.memory_bytes)  # noqa: SIM115 - the stack closes it
        file = held.enter_context(spool)
        size = 0

        def release() -> None:
            self._bytes -= size

        held.callback(release)
        message = await Pace(self._bounds).next(receive, size)
        async with self._place() if message.get("more_body") else nullcontext():
            pace = Pace(self._bounds)
            while message["type"] == "http.request":
                part = message.get("body", b"")
                size += len(part)
                self._bytes += len(part)
                self._check(size, most)
                file.write(part)
                if not message.get("more_body"):
                    break
                message = await pace.next(receive, size)
            else:
                raise Problem(400, "the request broke off")
        if size > self._bounds.memory_bytes:
            await held.enter_async_context(self._large)
        return _messages(file)

    def _check(self, size: int, most: int) -> None:
        if size > most:
            raise too_large(most)
        if self._bytes > self._bounds.most_bytes:
            raise Problem(503, "too much is being sent at once: send it again in a moment", {"retry-after": "10"})

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._bounds.place_within_s):
                await self._places.acquire()
        except TimeoutError as error:
            wait = {"retry-after": "10"}
            raise Problem(503, "too many are sending at once: send it again in a moment", wait) from error
        try:
            yield
        finally:
            self._places.release()


class Pace:
    """How fast a body comes."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._began = time.monotonic()

    async def next(self, receive: Receive, size: int) -> Message:
        """The next message, ``size`` bytes after the first. Raises Problem."""
        try:
            async with asyncio.timeout(min(self._bounds.silent_s, self._left_s(size))):
                return await receive()
        except TimeoutError as error:
            raise Problem(408, "the request's body came too slowly, or not at all: send it again") from error

    def _left_s(self, size: int) -> float:
        bounds = self._bounds
        allowed_s = min(bounds.grace_s + size / bounds.least_bytes_s, bounds.longest_s)
        return max(0.0, self._began + allowed_s - time.monotonic())


async def _messages(file: IO[bytes]) -> AsyncIterator[Message]:
    file.seek(0)
    part = file.read(CHUNK_BYTES)
    while part:
        following = file.read(CHUNK_BYTES)
        yield {"type": "http.request", "body": part, "more_body": bool(following)}
        part = following
    if not file.tell():
        yield {"type": "http.request", "body": b"", "more_body": False}


def too_large(most: int = MOST_BYTES) -> Problem:
    return Problem(413, f"at most {most // 2**20} MB are taken: split the document")
