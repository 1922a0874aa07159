"""The dates of a text whose month has a name, in any language and order: ``12. März 2026``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from docmill.parsing.renderings.dates import DateAt, dates_of
from docmill.parsing.renderings.names import Names, bare
from docmill.parsing.renderings.words import Words

__all__ = ["spelled_dates"]

MOST_FILLERS = 12
"""Words between a month and its day or year, a script's letters that count as words among them."""
LONGEST_GAP = 40
"""Characters between two words of a date, white space mostly."""
WIDEST_GAP = 3
"""The same, white space counted once."""
NOWHERE = -1
PART_BEFORE = re.compile(r"\d[.,':]")
PART_BEHIND = re.compile(r"[.,':](?!\d{4}(?!\d))\d")
MORE_DIGITS = re.compile(r"[-/.,:]\d")
TO = frozenset({
    "to", "until", "till", "bis", "und", "and", "et", "au", "a", "al", "y", "e", "i", "og", "och", "en",
    "tot", "do", "až", "до", "по", "и", "ja",
})  # fmt: skip
"""Between the two days of ``5 to 12 March 2026``."""
DASH = re.compile(r"[-–—−/&+]")


class _Month(NamedTuple):
    """A month's name: the numbers of its first word and of the one after its last, and which months it may be."""

    first: int
    after: int
    months: frozenset[int]


class _Dated(NamedTuple):
    """A month with the numbers of the words that are its day and its year."""

    month: _Month
    day: int
    year: int


def spelled_dates(words: Words, text: str, names: Names) -> Iterator[DateAt]:
    """Each date with its place. ``words`` are those of ``text``."""
    reader = _Reader(words, text, names)
    later: _Dated | None = None
    for month in reversed(reader.months):
        found = list(reader.dated(month)) or list(reader.with_the_year_of(month, later))
        for each in found:
            yield from reader.dates(each)
        later = found[0] if found else None


class _Reader:
    """Reads what stands around the names of months."""

    def __init__(self, words: Words, text: str, names: Names) -> None:
        self._words = words
        self._text = text
        self._names = names
        self._bare = {word: bare(word) for word in words.index}
        self.months = self._months()
        self._within = {at for month in self.months for at in range(month.first, month.after)}

    def _months(self) -> list[_Month]:
        """In the text's order; a name within a longer one (一月 in 十一月) is left out."""
        starts = [
            at
            for word, plain in self._bare.items()
            if plain in self._names.months
            for at in self._words.index[word]
        ]
        found: list[_Month] = []
        for at in sorted(starts):
            month = self._month_at(at)
            if month and (not found or at >= found[-1].after):
                found.append(month)
        return found

    def _month_at(self, at: int) -> _Month | None:
        """The longest name that begins with this word."""
        longest = 0
        months = set[int]()
        second = self._bare[self._words.words[at + 1]] if at + 1 < len(self._words.words) else None
        for name, number in self._names.months[self._word(at)]:
            if len(name) < longest or (len(name) > 1 and name[1] != second):
                continue
            if tuple(self._bare[word] for word in self._words.words[at : at + len(name)]) == name:
                longest = len(name)
                months.add(number)
        return _Month(at, at + longest, frozenset(months)) if months else None

    def dated(self, month: _Month) -> Iterator[_Dated]:
        """With each day and year that may belong to it: before it, behind it, or around it."""
        left, right = self._number(month.first, -1), self._number(month.after - 1, 1)
        farther, beyond = self._number(left, -1), self._number(right, 1)
        if self._is_day(left):
            year_behind = self._is_year(right)
            if year_behind or (self._is_short_year(month.after - 1, right) and not self._is_year(beyond)):
                yield _Dated(month, left, right)
                yield from (_Dated(month, day, right) for day in self._days_to(left))
            elif self._is_year(farther):
                yield _Dated(month, left, farther)
        if self._is_day(right):
            if self._is_year(left):
                yield _Dated(month, right, left)
            yield from (_Dated(month, day, year) for day, year in self._behind(right, beyond, self._is_day(left)))

    def _behind(self, day: int, beyond: int, has_day: bool) -> Iterator[tuple[int, int]]:
        """The day and the year of ``March 12, 2026``, and both days of ``March 5-12, 2026``."""
        year = self._number(beyond, 1)
        if self._is_year(beyond):
            yield day, beyond
        elif self._is_year(year) and self._is_range(day, beyond) and not DASH.search(self._gap(beyond)):
            yield from ((day, year), (beyond, year))
        elif self._is_short_year(day, beyond) and not has_day:
            yield day, beyond

    def with_the_year_of(self, month: _Month, later: _Dated | None) -> Iterator[_Dated]:
        """The first day of ``1 January to 31 December 2026``, which leaves out what the second says."""
        if later is None or later.month.first - month.after > MOST_FILLERS:
            return
        day = self._number(month.first, -1) if later.day < later.month.first else self._number(month.after - 1, 1)
        if self._is_day(day) and self._joins(month.after - 1, later.month.first):
            yield _Dated(month, day, later.year)

    def dates(self, found: _Dated) -> Iterator[DateAt]:
        ends = (found.month.first, found.month.after - 1, found.day, found.year)
        start, end = self._words.starts[min(ends)], self._words.ends[max(ends)]
        for number in sorted(found.month.months):
            for day in dates_of(self._word(found.year), str(number), self._word(found.day)):
                yield DateAt(day, start, end)

    def _number(self, at: int, step: int) -> int:
        """The next word in a direction that is a number, past what may stand within a date; else NOWHERE."""
        if at == NOWHERE:
            return NOWHERE
        for _ in range(MOST_FILLERS):
            if not 0 <= at + step < len(self._words.words) or len(self._gap(min(at, at + step))) > WIDEST_GAP:
                return NOWHERE
            at += step
            if self._word(at).isdigit():
                return at if self._is_whole(at) else NOWHERE
            if self._word(at) not in self._names.fillers or at in self._within:
                return NOWHERE
        return NOWHERE

    def _days_to(self, day: int) -> Iterator[int]:
        """The first day of ``5 to 12 March 2026``."""
        for at in range(day - 1, max(-1, day - 4), -1):
            if self._word(at).isdigit():
                if self._is_range(at, day):
                    yield at
                return

    def _is_range(self, first: int, last: int) -> bool:
        """Whether two days, the earlier first, are those of ``5 to 12 March``."""
        days = self._is_day(first) and self._is_day(last)
        return days and int(self._word(first)) < int(self._word(last)) and self._joins(first, last)

    def _joins(self, first: int, last: int) -> bool:
        """Whether nothing but a dash, or a word that means ``to`` or ``and``, stands between two words."""
        between = range(first + 1, last)
        words = [self._word(at) for at in between]
        if any(word not in TO and word not in self._names.fillers and not word.isdigit() for word in words):
            return False
        gaps = [self._gap(at) for at in range(first, last)]
        joined = not TO.isdisjoint(words) or any(DASH.search(gap) for gap in gaps)
        return joined and max(map(len, gaps)) <= WIDEST_GAP

    def _is_day(self, at: int) -> bool:
        return at != NOWHERE and len(self._word(at)) <= 2 and 1 <= int(self._word(at)) <= 31

    def _is_year(self, at: int) -> bool:
        return at != NOWHERE and len(self._word(at)) == 4

    def _is_short_year(self, before: int, at: int) -> bool:
        """Two digits right behind a month or a day, as in ``12 March '26``, and not the day of ``12/05/2026``."""
        is_next = at == before + 1 and len(self._word(at)) == 2
        return is_next and not MORE_DIGITS.match(self._text, self._words.ends[at])

    def _is_whole(self, at: int) -> bool:
        """Whether a number is not the part of an amount or of a time."""
        start, end = self._words.starts[at], self._words.ends[at]
        is_part = end - start < 4 and PART_BEFORE.match(self._text, max(0, start - 2), start)
        return not (is_part or PART_BEHIND.match(self._text, end))

    def _gap(self, at: int) -> str:
        """What stands between a word and the next, each run of white space as one."""
        gap = self._text[self._words.ends[at] : self._words.starts[at + 1]][:LONGEST_GAP]
        return re.sub(r"\s+", " ", gap)

    def _word(self, at: int) -> str:
        return self._bare[self._words.words[at]]
