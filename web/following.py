"""Answers that take long (jobs that are followed, files): so many at once as one process can give."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request, Response

from web.problems import Problem

__all__ = ["Followers", "take_place"]


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
