"""Costs over time as stacked columns: which, how high, and where the lines lie. Pure; the page draws them.

Places and sizes are percentages of the plot, so that one drawing fits a telephone and a desk.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["Chart", "Column", "Line", "Month", "Part", "draw", "draw_month", "spark"]

MOST_SERIES = 6
OTHERS = "others"
MOST_DAYS = 62
"""A longer time is drawn in months."""
LABELS, FEW_LABELS = 12, 5
"""On a wide page, and on a narrow one."""
LINES = 4
GAP = 0.25
"""Of a column's width."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one series adds to a column."""

    series: int
    name: str
    usd: float
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Column:
    """A day, or a month."""

    label: str
    when: str
    usd: float
    x: float
    width: float
    parts: tuple[Part, ...]
    labelled: bool
    labelled_where_narrow: bool

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the grid."""

    usd: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Everything to draw."""

    columns: tuple[Column, ...]
    series: tuple[str, ...]
    lines: tuple[Line, ...]
    unit: str
    """``day`` or ``month``: what a column is."""


def draw(costs: Mapping[tuple[str, str], float]) -> Chart | None:
    """A chart of USD by (day as ISO 8601, series); None where there is nothing to draw."""
    if not costs:
        return None
    days = _days(min(day for day, _ in costs), max(day for day, _ in costs))
    unit, length = ("day", 10) if len(days) <= MOST_DAYS else ("month", 7)
    series = _series(costs)
    sums: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for (day, name), usd in costs.items():
        sums[day[:length]][series.index(name) if name in series else len(series) - 1] += usd
    whens = list(dict.fromkeys(day[:length] for day in days))
    lines = _lines(max(sum(found.values()) for found in sums.values()))
    columns = tuple(_column(at, whens, sums[when], series, lines[-1].usd) for at, when in enumerate(whens))
    return Chart(columns=columns, series=tuple(series), lines=lines, unit=unit)


def _days(first: str, last: str) -> list[str]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=at)).isoformat() for at in range((end - start).days + 1)]


def _series(costs: Mapping[tuple[str, str], float]) -> list[str]:
    """The dearest first; the last stands for all that have no colour of their own."""
    totals: dict[str, float] = defaultdict(float)
    for (_, name), usd in costs.items():
        totals[name] += usd
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return names if len(names) <= MOST_SERIES else [*names[: MOST_SERIES - 1], OTHERS]


def _lines(highest: float) -> tuple[Line, ...]:
    """Lines at round amounts, from nothing to above the highest column."""
    if highest <= 0:
        return (Line(usd=0.0, y=100.0), Line(usd=1.0, y=0.0))
    magnitude = 10.0 ** math.floor(math.log10(highest / LINES))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude * LINES >= highest)
    count = math.ceil(highest / step - 1e-9)
    return tuple(Line(usd=at * step, y=100 - 100 * at / count) for at in range(count + 1))


def _column(at: int, whens: Sequence[str], sums: Mapping[int, float], series: Sequence[str], top: float) -> Column:
    space = 100 / len(whens)
    parts: list[Part] = []
    below = 0.0
    for number in sorted(number for number, usd in sums.items() if usd > 0):
        height = 100 * sums[number] / top
        below += height
        name = series[number]
        parts.append(Part(series=number, name=name, usd=sums[number], y=100 - below, height=height))
    return Column(
        label=_label(whens[at]),
        when=whens[at],
        usd=sum(sums.values()),
        x=space * (at + GAP / 2),
        width=space * (1 - GAP),
        parts=tuple(parts),
        labelled=at % math.ceil(len(whens) / LABELS) == 0,
        labelled_where_narrow=at % math.ceil(len(whens) / FEW_LABELS) == 0,
    )


def _label(when: str) -> str:
    if len(when) == 7:
        return date.fromisoformat(f"{when}-01").strftime("%b %Y")
    day = date.fromisoformat(when)
    return f"{day.day} {day:%b}"


def spark(values: Sequence[float], *, width: float = 100, height: float = 24) -> str:
    """The points of a line through values that are equally far apart, from nothing at the foot to the highest."""
    highest = max(values, default=0) or 1
    step = width / max(1, len(values) - 1)
    return " ".join(
        f"{at * step:.1f},{height - 1 - (height - 2) * value / highest:.1f}" for at, value in enumerate(values)
    )


@dataclass(frozen=True, kw_only=True)
class Month:
    """What a month has cost so far, and the band in which it will end: points in a square of 100 by 100."""

    lines: tuple[Line, ...]
    spent: str
    """A line."""
    band: str
    """A polygon, from half of the times to 95 times in a hundred; empty without a forecast."""
    middle: str
    cap_y: float | None


def draw_month(
    spent: Sequence[float], band: Sequence[tuple[float, float]], *, days: int, today: float, cap: float | None
) -> Month:
    """A month of so many ``days``, of which ``today`` have passed, the last one in part.

    ``spent`` are the sums at the end of each day so far, ``band`` those of the days from today on: P50 and P95.
    """
    highest = max([*spent, cap or 0.0, *(high for _, high in band)], default=0.0)
    lines = _lines(highest)
    top = lines[-1].usd

    def point(day: float, usd: float) -> str:
        return f"{100 * day / days:.2f},{100 - 100 * usd / top:.2f}"

    ends = [(today, spent[-1], spent[-1]), *((len(spent) + at, *each) for at, each in enumerate(band))]
    past = [point(0, 0.0), *(point(at, usd) for at, usd in enumerate(spent[:-1], 1)), point(today, spent[-1])]
    upper = [point(day, high) for day, _, high in ends]
    lower = [point(day, low) for day, low, _ in ends]
    return Month(
        lines=lines,
        spent=" ".join(past),
        band=" ".join([*upper, *reversed(lower)]) if band else "",
        middle=" ".join(lower) if band else "",
        cap_y=None if cap is None else 100 - 100 * cap / top,
    )
