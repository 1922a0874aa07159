"""Whether a value occurs in the document, and where.

``Annotated[str, Grounded()]`` demands it. A check of this kind catches what a model made up; a wrong value that
does occur in the document it cannot catch.

The text is read once, into indexes: a value is looked up, and never searched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from docmill.parsing.renderings.characters import Plain
from docmill.parsing.renderings.dates import numeric_dates, times
from docmill.parsing.renderings.names import names
from docmill.parsing.renderings.numbers import Numbers, written_number
from docmill.parsing.renderings.spelled import spelled_dates
from docmill.parsing.renderings.words import BROKEN, TOGETHER, Words

__all__ = ["Document", "Grounded", "PartlyRead", "Span", "holds"]

K = TypeVar("K")
Span = tuple[int, int]
"""Where something begins and ends, as offsets in the text."""
SIGNS = re.compile("[%‰+#$\u00a2-\u00a5\u20a0-\u20c0\u0e3f]")
"""Signs that change what the words beside them mean."""
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
CODE = re.compile(r"[A-Z]{3}")
SPACE = re.compile(r"\s")
LEADING_ZERO = re.compile(r"[-+]?0\d+$")
TIME_BEHIND = 30
"""Characters between a date and the time that belongs to it."""


def holds(text: str, value: object) -> bool:
    """Returns whether the value occurs in the text, in any of its usual renderings."""
    return Document(text).holds(value)


class Document:
    """A document's text, prepared once for many questions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._plain = Plain(text)
        self._signed = cache(self._signs_of)
        self._known: dict[tuple[type, object], list[Span]] = {}

    def holds(self, value: object) -> bool:
        """Returns whether the value occurs, each part of it where it has some. What says nothing holds."""
        parts = _parts(value)
        if parts is not None:
            return all(map(self.holds, parts))
        if _says_nothing(value):
            return True
        # A date that stands there in figures needs no names of months, which are half a second's reading.
        return any(self._kinds(value)) if _is_moment(value) else bool(self.places(value))

    def find(self, value: object) -> Span | None:
        """Returns where the value first occurs; None where it does not, or says nothing."""
        if _says_nothing(value):
            return None
        return next((self._source(min(places)) for places in self._kinds(value) if places), None)

    def places(self, value: object) -> list[Span]:
        """Everywhere the value occurs, in order. It is looked up once: rows by the thousand say the same."""
        if _says_nothing(value):
            return []
        key = (type(value), repr(value) if isinstance(value, float) else value)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._everywhere(value)
        return known

    def _everywhere(self, value: object) -> list[Span]:
        return [self._source(span) for span in sorted({span for places in self._kinds(value) for span in places})]

    def _source(self, span: Span) -> Span:
        return self._plain.span(*span)

    def _kinds(self, value: object) -> Iterator[Sequence[Span]]:
        """Where the value stands in each kind of its renderings; the cheaper to look up come first."""
        if isinstance(value, Enum):
            yield from self._kinds(value.value)
        elif isinstance(value, datetime):
            yield from (self._with_time(places, value.time()) for places in self._dated(value.date()))
        elif isinstance(value, date):
            yield from self._dated(value)
        elif isinstance(value, time):
            yield self._times.get(value.replace(microsecond=0, tzinfo=None), [])
        elif isinstance(value, int | float | Decimal):
            yield self._numbers.places(value)
        else:
            yield from self._written(Plain(str(value)).text)

    def _written(self, value: str) -> Iterator[Sequence[Span]]:
        """A text: by its words, and as numbers, dates and currencies are written where it is one."""
        plain = value.strip()
        number, day = written_number(plain), _date_of(plain) if ISO_DATE.fullmatch(plain) else None
        if day is not None:
            # What ends beside what begins is no date: `2026` and `03/03` of two cells.
            yield [span for span in self._worded(value, number) if not SPACE.search(self._plain.text, *span)]
        elif not number or plain[0].isdigit():
            yield self._worded(value, number)
        if number and not LEADING_ZERO.match(plain):
            yield self._numbers.meaning(number)
        if day is not None:
            yield from self._dated(day)
        if CODE.fullmatch(plain):
            yield self._signed(plain)

    def _worded(self, value: str, number: Sequence[str]) -> Sequence[Span]:
        """Its words in their order, whatever stands between them: a form's ruling gets lost, a line is broken."""
        wanted = Words(value)
        if not wanted.words:
            return self._exactly(value.strip())
        found = [span for span in self._runs(self._words, wanted, value) if self._numbers.allows(span, number)]
        if not found and self._has_broken_words:
            found = list(self._runs(self._together, Words(value, TOGETHER), value))
        return [self._with_ends(span, value, wanted) for span in found]

    def _runs(self, words: Words, wanted: Words, value: str) -> Iterator[Span]:
        signs = set(SIGNS.findall(value))
        for first, after in words.runs(wanted.words):
            if not signs or signs <= set(words.around(self._plain.text, first, after)):
                yield words.starts[first], words.ends[after - 1]

    def _with_ends(self, span: Span, value: str, wanted: Words) -> Span:
        """With what stands before the first word and behind the last in the value, if it does in the text."""
        (start, end), text = span, self._plain.text
        before, behind = value[: wanted.starts[0]].lstrip(), value[wanted.ends[-1] :].rstrip()
        if before and text.endswith(before, 0, start):
            start -= len(before)
        return start, end + len(behind) if text.startswith(behind, end) else end

    def _exactly(self, value: str) -> Sequence[Span]:
        if not value:
            return []
        return [found.span() for found in re.finditer(re.escape(value), self._plain.text)]

    def _signs_of(self, code: str) -> Sequence[Span]:
        """The signs of a currency; the dollar's alone, which many have, is that of the United States."""
        signs = names().symbols.get(code, set()) - (set() if code == "USD" else {"$"})
        patterns = [rf"(?<![^\W\d]){re.escape(sign)}(?![^\W\d])" for sign in signs]
        return [found.span() for pattern in patterns for found in re.finditer(pattern, self._plain.text)]

    def _dated(self, day: date | None) -> Iterator[Sequence[Span]]:
        yield self._numeric_dates.get(day, [])
        yield self._spelled_dates.get(day, [])

    def _with_time(self, dates: Sequence[Span], at: time) -> Sequence[Span]:
        """Dates with the time behind them; midnight need not be written, and another may stand elsewhere."""
        clocks = self._times.get(at.replace(microsecond=0, tzinfo=None), [])
        joined = [
            (start, clock[1]) for start, end in dates for clock in clocks if 0 <= clock[0] - end <= TIME_BEHIND
        ]
        return joined or (dates if clocks or at == time(0) else [])

    @cached_property
    def _words(self) -> Words:
        return Words(self._plain.text)

    @cached_property
    def _has_broken_words(self) -> bool:
        return BROKEN.search(self._plain.text) is not None

    @cached_property
    def _together(self) -> Words:
        """The words with those whole that a hyphen parts, at a line's end and elsewhere."""
        return Words(self._plain.text, TOGETHER)

    @cached_property
    def _numbers(self) -> Numbers:
        return Numbers(self._plain.text)

    @cached_property
    def _numeric_dates(self) -> dict[date | None, list[Span]]:
        return _by_first((day, (start, end)) for day, start, end in numeric_dates(self._plain.text))

    @cached_property
    def _spelled_dates(self) -> dict[date | None, list[Span]]:
        found = spelled_dates(self._words, self._plain.text, names())
        return _by_first((day, (start, end)) for day, start, end in found)

    @cached_property
    def _times(self) -> dict[time, list[Span]]:
        return _by_first((at, (start, end)) for at, start, end in times(self._plain.text))


class PartlyRead(Document):
    """A document with pages that a model saw and nobody could read: what is not in its text may be there."""

    def holds(self, value: object) -> bool:  # noqa: ARG002 - as of a document that was read
        return True


@dataclass(frozen=True)
class Grounded:
    """The value must occur in the document, which is handed in as pydantic's context ``{"document": …}``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(_check, handler(source))


def _check(value: Any, info: ValidationInfo) -> Any:
    document = (info.context or {}).get("document")
    if document is not None and not document.holds(value):
        raise PydanticCustomError(
            "not_grounded", "does not occur in the document: copy the value from it, word for word"
        )
    return value


def _says_nothing(value: object) -> bool:
    return value is None or isinstance(value, bool) or (isinstance(value, str) and not value.strip())


def _is_moment(value: object) -> bool:
    return isinstance(value, date | time) or (
        isinstance(value, str) and ISO_DATE.fullmatch(value.strip()) is not None
    )


def _parts(value: object) -> Iterable[object] | None:
    """What a value is made of; None where it is one thing."""
    if isinstance(value, BaseModel):
        return [member for _, member in value]
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list | tuple | set | frozenset) else None


def _date_of(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _by_first(pairs: Iterable[tuple[K, Span]]) -> dict[K, list[Span]]:
    found: dict[K, list[Span]] = {}
    for key, span in pairs:
        found.setdefault(key, []).append(span)
    return found
