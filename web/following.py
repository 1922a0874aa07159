"""Following a job or a run: the events of it, of whom so many are told at once."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Request, Response
from fastapi.sse import ServerSentEvent

from web.at_once import AtOnce

__all__ = ["LastTold", "event_of", "take_place"]

AGAIN_MS = 2000
"""After so long a browser that was cut off comes again."""
LastTold = Annotated[str, Header(alias="Last-Event-ID", max_length=100, description="The `id` of the last event")]
"""What somebody was told who comes again: it is not told twice."""


async def take_place(request: Request, response: Response) -> AsyncIterator[None]:
    """A dependency: holds a place until the last event is sent, or the caller is gone."""
    response.headers["cache-control"] = "no-store"
    followed: AtOnce = request.app.state.followed
    with followed.place():
        yield


def event_of(name: str, told: str) -> ServerSentEvent:
    """An event whose id stands for what it tells: whoever shows it knows that much already."""
    return ServerSentEvent(
        event=name, id=hashlib.sha256(told.encode()).hexdigest()[:16], retry=AGAIN_MS, raw_data=told
    )
