"""Which times a cron expression means, by the clocks of a time zone (pure).

Five fields, as in crontab(5), with names of days and months, and with ``L`` and ``#``. Two nights a year the clock
on the wall skips an hour, or shows one twice:

- An expression that has every hour goes by time elapsed, and misses and doubles nothing: such a day has 23 or
  25 hours.
- Any other goes by the clock on the wall, and has each time once, by the rule of RFC 5545 (3.3.5): a time that is
  shown twice is the first of the two, one that is skipped is as long after the change as it would have been
  after the hour before it (half past two is half past three).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from docmill.errors import Misconfigured

__all__ = ["Cron"]

LONGEST_GAP = timedelta(days=1)
"""That clocks have ever skipped at once."""
EVERY_HOUR = 24
SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - expressions are parsed at some time, which does not matter
LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366))


class Cron:
    """An expression in a time zone. Raises Misconfigured for one that is none, or that never comes."""

    def __init__(self, expression: str, time_zone: str) -> None:
        try:
            self._zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder of zones
            raise Misconfigured(f"no time zone is called {time_zone!r}; one is Europe/Berlin") from error
        self.expression = expression
        self._fields = expression.split()
        self._by_elapsed_time = len(self._parse().hours) == EVERY_HOUR
        if self._by_elapsed_time:
            self._fields[1] = "*"  # however it was written

    def after(self, at: datetime) -> Iterator[datetime]:
        """The slots after a time, in UTC and in order. Ends where none comes for 50 years."""
        latest = at
        for slot in self._around(at.astimezone(self._zone)):
            if slot > latest:  # not where the clock shows an hour twice, or a skipped time falls on another
                latest = slot
                yield slot

    def first_after(self, at: datetime) -> datetime:
        found = next(self.after(at), None)
        return found if found is not None else self._never()

    def last_between(self, since: datetime, until: datetime) -> datetime | None:
        """The last slot after ``since`` and not after ``until``, without a walk through all of them."""
        for span in (*LOOK_BACK, until - since):
            start = max(since, until - span)
            slots = list(takewhile(lambda slot: slot <= until, self.after(start)))
            if slots:
                return slots[-1]
        return None

    def _around(self, local: datetime) -> Iterator[datetime]:
        expression = " ".join(self._fields)
        if self._by_elapsed_time:
            return (slot.astimezone(UTC) for slot in CronSim(expression, local))
        walls = CronSim(expression, local.replace(tzinfo=None) - LONGEST_GAP)
        return (wall.replace(tzinfo=self._zone).astimezone(UTC) for wall in walls)

    def _parse(self) -> CronSim:
        if len(self._fields) != 5:
            raise Misconfigured(
                f"{self.expression!r} is no cron expression: it has {len(self._fields)} fields, and not five "
                f"(minute, hour, day, month, day of the week), as in '30 3 * * 1-5'"
            )
        try:
            return CronSim(" ".join(self._fields), SOME_DAY)
        except CronSimError as error:
            if self._has_such_days_and_months():
                self._never()
            raise Misconfigured(
                f"{self.expression!r} is no cron expression ({str(error).lower()}): "
                f"five fields, as in '30 3 * * 1-5'"
            ) from error

    def _has_such_days_and_months(self) -> bool:
        """Whether each of the two can be, only not together, as the 30th of February."""
        minute, hour, day, month, weekday = self._fields
        return _parses(minute, hour, "*", month, weekday) and _parses(minute, hour, day, "*", weekday)

    def _never(self) -> NoReturn:
        raise Misconfigured(f"{self.expression!r} never comes: no day of the next 50 years is meant by it")


def _parses(*fields: str) -> bool:
    try:
        CronSim(" ".join(fields), SOME_DAY)
    except CronSimError:
        return False
    return True
