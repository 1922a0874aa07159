"""What keeps upkeep from being whole, part by part: for the log, for `/readyz` and for `docmill doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from db.engine import is_away
from docmill.logs import where

__all__ = ["KEEPS_BREAKING", "Troubles"]

log = structlog.get_logger()

KEEPS_BREAKING = 3
"""Times in a row that a part breaks before others are told: a deadlock is over the next second."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A part that breaks, or goes on without something; ``told`` never holds a word of a document."""

    since: datetime
    told: str
    times: int = 1


@dataclass(kw_only=True)
class Troubles:
    """Those of one process. Its threads may tell of them at the same time."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _broken: dict[str, Trouble] = field(default_factory=dict, init=False)
    _remarks: dict[str, Trouble] = field(default_factory=dict, init=False)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Does a part of upkeep: what breaks is told, and ends it alone. Raises where the database is away."""
        try:
            yield
        except Exception as error:
            if is_away(error):
                raise
            self._broke(name, error)
        else:
            self._broken.pop(name, None)

    def _broke(self, name: str, error: Exception) -> None:
        place = where(error)
        before = self._broken.get(name)
        since, times = (before.since, before.times + 1) if before else (self.now(), 1)
        self._broken[name] = Trouble(since=since, told=place, times=times)
        log.error("upkeep_broke", part=name, times=times, where=place)

    def remark(self, name: str, told: str | None) -> None:
        """Notes what a part goes on without; None where it does without nothing any more."""
        if told is None:
            self._remarks.pop(name, None)
        elif name not in self._remarks or self._remarks[name].told != told:
            self._remarks[name] = Trouble(since=self.now(), told=told)
            log.warning("upkeep_goes_on", part=name, without=told)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """By the part, as a worker's row has it; ``breaks`` says that nothing of it is done."""
        broken = [each for each in list(self._broken.items()) if each[1].times >= KEEPS_BREAKING]
        shown = [(False, *each) for each in list(self._remarks.items())] + [(True, *each) for each in broken]
        return {
            name: {"since": trouble.since.isoformat(timespec="seconds"), "told": trouble.told, "breaks": breaks}
            for breaks, name, trouble in shown
        }
