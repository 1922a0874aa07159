"""Processes of this host that ended without a word: what they had in hand is given to others at once.

A lease is for those of whom nobody can tell. A process that is halted, slow or cut off lives, and keeps its calls;
one whose id and start are gone from this host does not, and nobody will hear the answers to its calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from db import fleet
from db.dispatch import ABANDONED_CALLS, ABANDONED_JOBS
from docmill.processes import is_gone
from tasks.services import Services
from tasks.upkeep.chores import Chores

__all__ = ["Deaths"]

log = structlog.get_logger()


@dataclass(kw_only=True)
class Deaths:
    """Those that one process has seen."""

    services: Services
    chores: Chores
    _workers: set[str] = field(default_factory=set, init=False)
    """Those of them that took messages; one that stopped in order gave back what it had, and is none any more."""
    _gone: set[str] = field(default_factory=set, init=False)
    """Found gone at the last look."""
    _told: set[str] = field(default_factory=set, init=False)
    """Of those; a job that one of them had may wait for its sweep for a while."""

    def look(self) -> None:
        """Finds who is gone, and gives away what those had in hand who were gone at the last look already.

        In between the spool was drained: an answer that one of them kept there is in the ledger now.
        """
        before, self._gone = self._gone, self._find()
        judged = before & self._gone
        if judged and not any(self.services.spool.glob("*.json")):
            self._give_away(judged)

    def _find(self) -> set[str]:
        self._workers, holders = self.services.database.run(fleet.at_work)
        return {each for each in self._workers | holders if is_gone(each, self.services.spool)}

    def _give_away(self, gone: set[str]) -> None:
        named, took = sorted(gone), not self._workers.isdisjoint(gone)
        if not gone <= self._told:
            models = self.services.settings.models.askable()
            self.services.limiter.lost({model.limit_key for model in models}, named)
        for chore in (ABANDONED_CALLS, ABANDONED_JOBS):
            self.chores.run(chore.due, chore, gone=named, took=took)
            if not self.chores.led:
                return  # another one does so just now; what is left is done after the next look
        with self.services.database.work() as connection:
            fleet.forget_gone(connection, named)
        if not gone <= self._told:
            log.warning("processes_gone", processes=named)
        self._told = set(gone)
