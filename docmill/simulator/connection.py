"""The simulator's HTTP: requests read whole, answers written whole, cut, dripped, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import h11

__all__ = ["Answer", "Call", "How", "serve"]

MARK = ("x-docmill-simulator", "rules, not a language model")

How: TypeAlias = Literal["plain", "cut", "hang", "drip_headers", "drip_body"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, read whole."""

    method: str
    path: str
    """Without its query."""
    headers: dict[str, str] = field(repr=False)
    """Names in lower case."""
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back, and how."""

    status: int
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()
    how: How = "plain"


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[Call], Awaitable[Answer]]
) -> None:
    """Answers one request after another until the connection ends."""
    http = h11.Connection(h11.SERVER)
    while (request := await _next_event(http, reader)) is not None:
        body = bytearray()
        while isinstance(event := await _next_event(http, reader), h11.Data):
            body += event.data
        if not isinstance(request, h11.Request):
            return
        reply = await answer(_call(request, bytes(body)))
        if not await _send(http, reader, writer, reply):
            return
        http.start_next_cycle()


def _call(request: h11.Request, content: bytes) -> Call:
    return Call(
        method=request.method.decode(),
        path=request.target.decode().partition("?")[0],
        headers={name.decode().lower(): value.decode() for name, value in request.headers},
        content=content,
    )


async def _next_event(http: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event of the connection; None where it ends."""
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(65536))
    return None if isinstance(event, h11.ConnectionClosed) else event


async def _send(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Answer
) -> bool:
    """Whether the connection can take another request."""
    if reply.how == "hang":
        await _until_gone(reader)
        return False
    length = str(len(reply.content))
    headers = [("content-type", "application/json"), ("content-length", length), MARK, *reply.headers]
    head = http.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    await _write(writer, head, drip=reply.how == "drip_headers")
    if reply.how == "cut":
        await _write(writer, reply.content[: len(reply.content) // 2], drip=False)
        return False
    await _write(writer, http.send(h11.Data(data=reply.content)) or b"", drip=reply.how == "drip_body")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Silence for as long as the caller listens."""
    while await reader.read(65536):
        pass


async def _write(writer: asyncio.StreamWriter, content: bytes, *, drip: bool) -> None:
    """All at once, or a byte a second."""
    for part in (content[at : at + 1] for at in range(len(content))) if drip else (content,):
        writer.write(part)
        await writer.drain()
        if drip:
            await asyncio.sleep(1)
