"""Answers that take long (jobs that are followed, files): so many at once as one process can give."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Header, Request, Response
from fastapi.sse import ServerSentEvent

from web.problems import Problem

__all__ = ["Followers", "LastTold", "event_of", "take_place"]

AGAIN_MS = 2000
"""After so long a browser that was cut off comes again."""
LastTold = Annotated[str, Header(alias="Last-Event-ID", max_length=100, description="The `id` of the last event")]
"""What somebody was told who comes again: it is not told twice."""


@dataclass(kw_only=True)
class Followers:
    """The connections of one process over which jobs are followed. Each asks the database twice a second."""

    most: int = 200
    told: str = "jobs are followed already: try again in a moment, or ask for the job now and then"
    _now: int = field(default=0, init=False)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place. Raises Problem where none is free."""
        if self._now >= self.most:
            raise Problem(
                503,
                f"{self.most} {self.told}",
                {"retry-after": "5"},
            )
        self._now += 1
        try:
            yield
        finally:
            self._now -= 1


async def take_place(request: Request, response: Response) -> AsyncIterator[None]:
    """A dependency: holds a place until the last event is sent, or the caller is gone."""
    response.headers["cache-control"] = "no-store"
    followers: Followers = request.app.state.followers
    with followers.place():
        yield


def event_of(name: str, told: str) -> ServerSentEvent:
    """An event whose id stands for what it tells: whoever shows it knows that much already."""
    return ServerSentEvent(
        event=name, id=hashlib.sha256(told.encode()).hexdigest()[:16], retry=AGAIN_MS, raw_data=told
    )
