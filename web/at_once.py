"""What takes long (following, sending, fetching): so many requests at once as one process can serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

from web.problems import Problem

__all__ = ["AtOnce", "bound_requests"]


@dataclass(kw_only=True)
class AtOnce:
    """Requests of one kind that a process serves at the same time."""

    most: int
    told: str
    """To whoever comes when there are as many: what they are about, and what to do."""
    _now: int = field(default=0, init=False)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place. Raises Problem where none is free."""
        if self._now >= self.most:
            raise Problem(503, f"{self.most} {self.told}", {"retry-after": "5"})
        self._now += 1
        try:
            yield
        finally:
            self._now -= 1


def bound_requests(app: FastAPI) -> None:
    """Bounds what takes long, each kind by itself."""
    # A connection over which a job is followed asks the database twice a second.
    followed = "jobs are followed already: try again in a moment, or ask for the job now and then"
    app.state.followed = AtOnce(most=200, told=followed)
    # Each of these two may hold a whole document.
    app.state.downloads = AtOnce(most=32, told="files are being sent: try again in a moment")
    app.state.fetches = AtOnce(most=8, told="documents are being fetched: try again in a moment")
