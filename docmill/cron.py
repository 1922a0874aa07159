"""Which times a cron expression means, by the clocks of a time zone (pure).

Five fields, as in crontab(5), with names of days and months, and with ``L`` and ``#``. Two nights a year the clock
on the wall skips an hour, or shows one twice:

- An expression that has every hour has all times whose minute it names, and none else: such a day has 23 or
  25 hours.
- Any other goes by the clock on the wall, and has each time once, by the rule of RFC 5545 (3.3.5): a time that is
  shown twice is the first of the two, one that is skipped is as long after the change as it would have been
  after the hour before it (half past two is half past three).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import takewhile
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from docmill.errors import Misconfigured

__all__ = ["Cron"]

LONGEST_GAP = timedelta(days=1)
"""That clocks have ever skipped at once."""
AROUND = (-LONGEST_GAP, timedelta(0), LONGEST_GAP)
RANGE_OF_ONE = re.compile(r"\b(\w+)-\1/\d+")
EVERY_HOUR = 24
SOME_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - expressions are parsed at some time, which does not matter
LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366))


class Cron:
    """An expression in a time zone. Raises Misconfigured for one that is none, or that never comes."""

    def __init__(self, cron: str, zone: str) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder of zones
            raise Misconfigured(f"no time zone is called {zone!r}; one is Europe/Berlin") from error
        self.expression = cron
        # A range of one has nothing to step to, while the parser takes 6-6/4 for 6/4, which goes on to the end.
        self._fields = [RANGE_OF_ONE.sub(r"\1", each) for each in cron.split()]
        self._has_every_hour = len(self._parse().hours) == EVERY_HOUR

    def after(self, at: datetime) -> Iterator[datetime]:
        """The slots after a time, in UTC and in order. Ends where none comes for 50 years."""
        latest = at
        for slot in self._in_order(at.astimezone(self._zone)):
            if slot > latest:  # not where a skipped time falls on another
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

    def _in_order(self, local: datetime) -> Iterator[datetime]:
        """The slots around a time and after it. Those of a skipped or repeated hour wait for those before them."""
        waiting: list[datetime] = []
        since = local.replace(tzinfo=None) - (LONGEST_GAP if self._changes_around(local) else timedelta(0))
        for wall in CronSim(" ".join(self._fields), since):
            first, second = (wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
            is_skipped = second < first
            if not (is_skipped and self._has_every_hour):
                heappush(waiting, first)
            if second > first and self._has_every_hour:
                heappush(waiting, second)
            while waiting and not is_skipped and waiting[0] <= first:
                yield heappop(waiting)
        yield from sorted(waiting)

    def _changes_around(self, local: datetime) -> bool:
        offsets = {(local + step).astimezone(UTC).astimezone(self._zone).utcoffset() for step in AROUND}
        return len(offsets) > 1

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
