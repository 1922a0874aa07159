"""The coming days' requests, drawn from the days that were seen: pure.

A day is a level, times a drift, times what its weekday is used to, times what is left, bursts included. What is
left is drawn in runs of days as it was seen, because busy days come together. The level and the drift are known
from a few weeks alone, so each draw has its own: how far off a history of this length would have been.

The days are in the order in which they were, without gaps, and the forecast begins the day after. Sources: the
block bootstrap (Künsch 1989), shrinkage of means (James and Stein 1961).
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["coming_days"]

WEEK = 7
RUN = 7
"""Days that are drawn together."""
LIKELY_DRIFT_A_DAY = 0.45 / 30
"""Standard deviation of the drift before any day was seen: half as much again a month is nothing strange."""
FEWEST_DAYS = 14
"""With less than two weeks neither weekdays nor a drift can be told from chance."""
UNFORESEEN = 0.1
"""Standard deviation of what no history tells of a month: a new customer, a holiday, other documents."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """What the days seen have in common. Days count from the first one seen."""

    level: float
    drift: float
    """Relative, a day."""
    drift_sd: float
    weekdays: Sequence[float]
    """Factors by day modulo 7; their mean is 1."""
    left: Sequence[float]
    """Each day seen, as a multiple of what the pattern expects; their mean is 1."""

    @property
    def middle(self) -> float:
        """The day at which the level is known best."""
        return (len(self.left) - 1) / 2

    def expected(self, day: int, drift: float) -> float:
        return self.level * math.exp(drift * (day - self.middle)) * self.weekdays[day % WEEK]


def coming_days(seen: Sequence[float], *, days: int, draws: int, chance: random.Random) -> list[list[float]]:
    """So many draws of the requests of each of the coming days. A history without a request gives none."""
    if not any(seen):
        return [[0.0] * days for _ in range(draws)]
    pattern = _pattern(seen)
    return [_draw(pattern, days, chance) for _ in range(draws)]


def _draw(pattern: Pattern, days: int, chance: random.Random) -> list[float]:
    seen = len(pattern.left)
    drift = pattern.drift + chance.gauss(0, pattern.drift_sd)
    # Had another such history been seen, its level were off by so much: the true one is the other way.
    off = _weighted(_runs(pattern.left, range(seen), chance), pattern.weekdays)
    level = math.exp(chance.gauss(0, UNFORESEEN)) / max(off, 0.2)
    rest = _runs(pattern.left, range(seen, seen + days), chance)
    return [level * pattern.expected(seen + day, drift) * rest[day] for day in range(days)]


def _runs(values: Sequence[float], days: range, chance: random.Random) -> list[float]:
    """A value for each day, in runs as they follow each other in ``values``, whose end joins its beginning.

    Each comes from the same weekday where there are two weeks: what is left of a quiet day may be many times it.
    """
    drawn: list[float] = []
    whole = len(values) - len(values) % WEEK if len(values) >= FEWEST_DAYS else len(values)
    while len(drawn) < len(days):
        start = chance.randrange(whole)
        if whole >= FEWEST_DAYS:
            start += (days[len(drawn)] - start) % WEEK
        drawn += [values[(start + step) % whole] for step in range(min(RUN, whole))]
    return drawn[: len(days)]


def _weighted(left: Sequence[float], weekdays: Sequence[float]) -> float:
    """The mean of what is left, where a day that has many requests counts for as many."""
    weights = [weekdays[day % WEEK] for day in range(len(left))]
    return math.fsum(map(math.prod, zip(left, weights, strict=True))) / math.fsum(weights)


def _pattern(seen: Sequence[float]) -> Pattern:
    if len(seen) < FEWEST_DAYS:
        return _finished(seen, drift=0.0, drift_sd=LIKELY_DRIFT_A_DAY / 2, weekdays=[1.0] * WEEK)
    weekdays = _weekdays(seen)
    drift, drift_sd = _drift([value / weekdays[day % WEEK] for day, value in enumerate(seen)])
    # Once more, because a drift makes the last weekdays look busy.
    weekdays = _weekdays([value / math.exp(drift * day) for day, value in enumerate(seen)])
    return _finished(seen, drift=drift, drift_sd=drift_sd, weekdays=weekdays)


def _finished(seen: Sequence[float], *, drift: float, drift_sd: float, weekdays: Sequence[float]) -> Pattern:
    middle = (len(seen) - 1) / 2
    shape = [weekdays[day % WEEK] * math.exp(drift * (day - middle)) for day in range(len(seen))]
    level = math.fsum(seen) / math.fsum(shape)
    # A pattern that was fitted to the days lies closer to them than to days to come.
    fitted = 1.0 + (max(weekdays) > min(weekdays)) * (WEEK - 1) + (drift_sd > 0)
    wider = math.sqrt(len(seen) / max(1.0, len(seen) - fitted))
    left = [max(0.0, 1 + wider * (value / (level * part) - 1)) for value, part in zip(seen, shape, strict=True)]
    mean = _weighted(left, weekdays)
    return Pattern(
        level=level,
        drift=drift,
        drift_sd=drift_sd,
        weekdays=weekdays,
        left=[value / mean for value in left],
    )


def _weekdays(seen: Sequence[float]) -> list[float]:
    """Each weekday's factor, drawn towards 1 by as much of the differences as chance would make."""
    by_day = [_tamed(seen[day::WEEK]) for day in range(WEEK)]
    means = [statistics.fmean(values) for values in by_day]
    overall = statistics.fmean(means)
    if overall == 0:
        return [1.0] * WEEK
    by_chance = statistics.fmean(statistics.variance(values) / len(values) for values in by_day)
    between = statistics.variance(means)
    share = max(0.0, 1 - by_chance / between) if between else 0.0
    return [max(0.02, 1 + share * (mean / overall - 1)) for mean in means]


def _drift(plain: Sequence[float]) -> tuple[float, float]:
    """The relative drift a day, and how uncertain it is: between what the days say and what is likely at all."""
    count = len(plain)
    tamed = _tamed(plain)
    if not any(tamed):  # on so few days was anything asked for that these count as odd ones
        return 0.0, LIKELY_DRIFT_A_DAY / 2
    floor = 0.05 * statistics.fmean(tamed)
    logs = [math.log(max(value, floor)) for value in tamed]
    line = statistics.linear_regression(range(count), logs)
    rest = [value - line.intercept - line.slope * day for day, value in enumerate(logs)]
    spread = sum(value * value for value in rest) / (count - 2)
    together = _together(rest)
    by_chance = spread * together * 12 / (count**3 - count)
    likely = LIKELY_DRIFT_A_DAY**2
    share = likely / (likely + by_chance)
    return line.slope * share, math.sqrt(likely * (1 - share))


def _together(rest: Sequence[float]) -> float:
    """How much more the mean of days that resemble their neighbours varies than that of days by themselves."""
    total = sum(value * value for value in rest)
    if total == 0:
        return 1.0
    alike = sum(one * next_one for one, next_one in itertools.pairwise(rest)) / total
    alike = min(0.6, max(0.0, alike))
    return (1 + alike) / (1 - alike)


def _tamed(values: Sequence[float]) -> list[float]:
    """The values, with those far out brought in to where the others end."""
    middle = statistics.median(values)
    usual = statistics.median(abs(value - middle) for value in values) or abs(middle) / 10
    return [min(max(value, middle - 4 * usual), middle + 4 * usual) for value in values]
