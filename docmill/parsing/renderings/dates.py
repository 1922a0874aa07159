"""The dates and times that a text holds, each in all the ways in which it may be meant.

``03/04/2026`` is a day in March in one country, and in April in another: it has both readings. Where the month has
a name there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time
from typing import NamedTuple

__all__ = ["DateAt", "dates_of", "numeric_dates", "times"]


class DateAt(NamedTuple):
    """A date, and where it stands."""

    day: date
    start: int
    end: int


BETWEEN = r"(?:[ \u00a0\u202f\t\n]?[./\-–—−·,'][ \u00a0\u202f\t\n]?|[ \u00a0\u202f])"
NUMERIC = re.compile(
    rf"(?<![A-Za-z\d])(?<!\d[./-])(?=(\d{{4}}|\d{{1,2}})({BETWEEN})(\d{{1,2}})({BETWEEN})(\d{{4}}|\d{{1,2}})(?!\d)(?![./-]\d))"
)
MORE = re.compile(r"(?!T\d)[A-Za-z\u00c0-\u024f]")
COMPACT = re.compile(r"(?<![\w.,-])(\d{8}|\d{6})(?=T\d|\W|$)(?![.,-]\d)")
HAN_DIGITS = {each: str(value) for value, each in enumerate("〇一二三四五六七八九")} | {
    "零": "0",
    "○": "0",
    "元": "1",
}
HAN = "".join(HAN_DIGITS) + "十"
EASTERN = re.compile(
    rf"(令和|平成|昭和|大正|民國|民国)?\s?([\d{HAN}]{{1,4}})\s?[年년]\s?([\d{HAN}]{{1,3}})\s?[月월]\s?([\d{HAN}]{{1,3}})\s?[日일号號]?"
)
ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "民國": 1911, "民国": 1911}
"""To the year before each one's first."""
BUDDHIST = 543
"""Years that Thailand's calendar is ahead."""
LAST_YEAR = 2400
CLOCK = re.compile(
    r"(?<![\d:.,])(?:(上午|下午|午前|午後|오전|오후)\s?)?(\d{1,2})(?:(?:[:.]|\s?[hH時时시]\s?)(\d{2})"
    r"(?:(?:[:.]|\s?[分분]\s?)(\d{2}))?(?!\d)\s?[분分秒초]?)?"
    r"(?:\s?([ap]\.?\s?m\b|[pμ]\.?\s?μ|[صم](?!\w)|uhr\b|h\b|[時时시点點]))?",
    re.IGNORECASE,
)
AFTERNOON = frozenset({"下午", "午後", "오후", "pm", "μμ", "م"})
MORNING = frozenset({"上午", "午前", "오전", "am", "πμ", "ص"})


def numeric_dates(text: str) -> Iterator[DateAt]:
    """Those written with numbers alone: ``12.3.2026``, ``3/12/26``, ``2026-03-12``, 2026年3月12日."""
    for found in NUMERIC.finditer(text):
        if len(found[5]) == 4 or not MORE.match(text, found.end(5)):
            for day in _of_three(*found.groups()):
                yield DateAt(day, found.start(1), found.end(5))
    for found in COMPACT.finditer(text):
        for day in _of_digits(found[1]):
            yield DateAt(day, *found.span(1))
    for found in EASTERN.finditer(text):
        for day in _of_eastern(*found.groups()):
            yield DateAt(day, found.start(), found.end())


def _of_three(first: str, one: str, second: str, other: str, third: str) -> Iterator[date]:
    """Day, month and year in the orders that their separators allow: with points the day comes first if it can."""
    if one.isspace() and other.isspace() and (len(second) < 2 or {len(first), len(third)} != {2, 4}):
        return  # columns of numbers
    if one.isspace() != other.isspace() and not (other.isspace() and len(third) == 4):
        return  # what ends beside what begins: of `3/12/2026 4/12/2026` no date lies between; `12/3 2026` is one
    if len(first) == 4:
        yield from dates_of(first, second, third)
        return
    day_first = list(dates_of(third, second, first))
    yield from day_first
    if not day_first or "." not in one + other:
        yield from dates_of(third, first, second)
    if len(first) == 2:
        yield from dates_of(first, second, third)


def dates_of(year: str, month: str, day: str) -> Iterator[date]:
    """The dates that digits may be: none, one, or (where the year has two digits) one in each century."""
    if len(day) <= 2:
        for each in _years(year):
            try:
                yield date(each, int(month), int(day))
            except ValueError:
                continue


def _years(written: str) -> tuple[int, ...]:
    number = int(written)
    if len(written) == 2:
        return (1900 + number, 2000 + number)
    if len(written) != 4:
        return ()
    return (number - BUDDHIST,) if number > LAST_YEAR else (number,)


def _of_digits(digits: str) -> Iterator[date]:
    if len(digits) == 6:
        yield from dates_of(digits[:2], digits[2:4], digits[4:])
    else:
        yield from dates_of(digits[:4], digits[4:6], digits[6:])
        yield from dates_of(digits[4:], digits[2:4], digits[:2])


def _of_eastern(era: str | None, year: str, month: str, day: str) -> Iterator[date]:
    written = _digits(year)
    yield from dates_of(f"{ERAS[era] + int(written)}" if era else written, _digits(month), _digits(day))


def _digits(numeral: str) -> str:
    """A numeral in digits: 二〇二六 is 2026, 三十一 is 31; 元 is the first year of an era."""
    tens, ten, ones = numeral.partition("十")
    if ten:
        return str(int(_digits(tens or "一")) * 10 + int(_digits(ones or "〇")))
    return "".join(HAN_DIGITS.get(each, each) for each in numeral)


def times(text: str) -> Iterator[tuple[time, int, int]]:
    """The times of day, in 24 hours or in twice 12, and where each stands."""
    for found in CLOCK.finditer(text):
        half, hour, minute, second, behind = found.groups()
        mark = re.sub(r"[.\s]", "", half or behind or "").lower()
        if minute is None and not mark:
            continue
        try:
            yield time(_hour(int(hour), mark), int(minute or 0), int(second or 0)), *found.span()
        except ValueError:
            continue


def _hour(hour: int, mark: str) -> int:
    if mark in AFTERNOON and hour < 12:
        return hour + 12
    return 0 if mark in MORNING and hour == 12 else hour
