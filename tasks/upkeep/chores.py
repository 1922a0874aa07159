"""Doing upkeep's chores, of the whole fleet one process at a time; and going on where one row breaks them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import fleet
from db.dispatch import Chore, RowId
from db.engine import is_passing
from db.jobs import Drive
from docmill.logs import where
from tasks.services import Services
from tasks.upkeep.troubles import Troubles

__all__ = ["Chores", "leading"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0
"""So long a row is left out that broke a chore; longer each time."""
SHOWN = 3
"""So many of the rows that are left out are named."""
ALL = 3
"""Where so many rows were found and each broke the chore, the chore itself is broken."""

Finds: TypeAlias = Callable[[Connection, Sequence[RowId]], Sequence[RowId]]
"""The rows to do something to, but for those that are left out."""
Does: TypeAlias = Callable[[Connection, Sequence[RowId], float], list[Drive]]


@contextmanager
def leading(services: Services) -> Iterator[Connection | None]:
    """Opens a transaction that does upkeep for the fleet; None where another one does so now."""
    with services.database.work() as connection:
        yield connection if fleet.try_lead(connection) else None


class ChoreBroke(Exception):
    """A chore breaks over every row, and where."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A row that broke a chore, and until when it is left out, by the clock."""

    told: str
    pause_s: float
    until: float


@dataclass(kw_only=True)
class Chores:
    """One process's, with the rows that they leave out."""

    services: Services
    troubles: Troubles
    clock: Callable[[], float] = time.monotonic
    led: bool = field(default=False, init=False)
    """Whether the last chore was this process's to do, and not another one's that led just then."""
    _left_out: dict[str, dict[RowId, LeftOut]] = field(default_factory=dict, init=False)

    def run(self, name: str, chore: Chore, **values: object) -> list[Drive]:
        """Does a chore; what it returns is committed, and still to be published.

        A row that breaks it is left out for a while, and told of. Raises where it breaks over every row, or the
        database is away or in the way.
        """
        return self.do(name, lambda connection, but: chore.find(connection, values, but=but), chore.does)

    def do(
        self,
        name: str,
        find: Finds,
        does: Does,
    ) -> list[Drive]:
        """As :meth:`run`, with the rows that ``find`` finds."""
        left_out = self._left_out.setdefault(name, {})
        again = [row for row, left in left_out.items() if left.until <= self.clock()]
        but = [row for row in left_out if row not in again]
        try:
            with leading(self.services) as connection:
                self.led = connection is not None
                found = find(connection, but) if connection is not None else ()
                drives = does(connection, found, self.services.message_s) if connection and found else []
        except Exception as error:
            if is_passing(error):
                raise
            drives = self._one_by_one(name, but, find, does)
        for row in again:
            if left_out[row].until <= self.clock():
                del left_out[row]
        self._tell(name)
        return drives

    def _one_by_one(self, name: str, but: Sequence[RowId], find: Finds, does: Does) -> list[Drive]:
        # By now the transaction that broke is gone, and its locks with it.
        with leading(self.services) as connection:
            found = find(connection, but) if connection is not None else ()
        drives: list[Drive] = []
        broken = 0
        for row in found:
            try:
                done = self._do_one(name, row, does)
            except SQLAlchemyError:
                break  # what was done is committed, and must be published; the rest is found again
            drives += done or ()
            broken += done is None
        if broken == len(found) >= ALL:
            self._tell(name)
            raise ChoreBroke(self._left_out[name][found[-1]].told)
        return drives

    def _do_one(self, name: str, row: RowId, does: Does) -> list[Drive] | None:
        """None where the row breaks the chore: it is left out then. Raises what passes."""
        try:
            with self.services.database.work() as connection:
                return does(connection, [row], self.services.message_s)
        except Exception as error:
            if is_passing(error):
                raise
            self._leave_out(name, row, error)
            return None

    def _leave_out(self, name: str, row: RowId, error: Exception) -> None:
        before = self._left_out[name].get(row)
        pause_s = min(2 * before.pause_s, LONGEST_PAUSE_S) if before else FIRST_PAUSE_S
        self._left_out[name][row] = LeftOut(told=where(error), pause_s=pause_s, until=self.clock() + pause_s)

    def _tell(self, name: str) -> None:
        rows = self._left_out[name]
        named = ", ".join(str(row) for row in list(rows)[:SHOWN])
        why = next(iter(rows.values())).told if rows else ""
        self.troubles.remark(name, f"{len(rows)} left out, as {named}: {why}" if rows else None)
