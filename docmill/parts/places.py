"""Where the items of a part's answer stand: most of each at one place, and no two at the same one; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from docmill.parsing.bounds import leaves
from docmill.parsing.grounding import Document
from docmill.parts.cutting import joined_spans
from docmill.parts.lines import Lines

__all__ = ["Placed", "Shown", "Telling", "place"]

Span = tuple[int, int]

MOST_PLACES = 400
"""Of one value that are looked at."""
MOST_CANDIDATES = 60
LINES_BEFORE, LINES_BEHIND = 3, 10
"""Lines around the one with most of an item in which the rest of it may stand: a row may go over a page's end."""
ENOUGH = 0.5
"""Of what an item's values tell that must stand together; with less it has no place."""
EXACT = 9
"""Decimals of what values tell, of which sums are compared."""


class Shown:
    """What a model was shown of a document, in which values are looked up by their places in the document.

    A few lines around it count, too: of a row at a part's edge the rest stands there.
    """

    def __init__(self, lines: Lines, spans: Sequence[Span]) -> None:
        self.lines = lines
        self._own = list(spans)
        self._spans = joined_spans([self._wider(*span) for span in spans])
        self._known: dict[tuple[type, Any], list[Span]] = {}

    def _wider(self, start: int, end: int) -> Span:
        first, last = self.lines.at(start) - LINES_BEFORE, self.lines.at(max(start, end - 1)) + LINES_BEHIND
        return self.lines.starts[max(0, first)], self.lines.span(min(last, len(self.lines) - 1))[1]

    @property
    def text(self) -> str:
        """The words, the lines around among them."""
        return "\n".join(self.lines.text[start:end] for start, end in self._spans)

    @cached_property
    def document(self) -> Document:
        return Document(self.text)

    def holds_line(self, line: int) -> bool:
        """Returns whether the model was shown something of a line."""
        first, last = self.lines.span(line)
        return any(start < last and first < end for start, end in self._own)

    def places(self, value: Any) -> list[Span]:
        """Returns where a scalar stands in the document, in order."""
        key = (type(value), value)
        if key not in self._known:
            found = self.document.places(value)[:MOST_PLACES] if _says_something(value) else []
            self._known[key] = [place for each in found if (place := self._in_document(each)) is not None]
        return self._known[key]

    def _in_document(self, span: Span) -> Span | None:
        """The place in the document; None for one that goes over two of the stretches."""
        before = 0
        for start, end in self._spans:
            length = end - start
            if span[0] < before + length:
                at = start + span[0] - before
                return (at, start + span[1] - before) if span[1] <= before + length else None
            before += length + 1
        return None


def _says_something(value: Any) -> bool:
    return value is not None and not isinstance(value, bool) and value != ""


class Telling:
    """How much each value of a kind of rows tells of where its row stands, from 0 to 1.

    What all rows share, as a currency or a period, tells nothing: a row stands where its own amount does.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._said: dict[str, set[Any]] = {}

    def add(self, item: Any) -> None:
        """Counts a row."""
        self._rows += 1
        for path, leaf in leaves(item):
            self._said.setdefault(path, set()).add(leaf)

    def of(self, path: str) -> float:
        """Returns how many different values a member has, for each row."""
        return len(self._said[path]) / self._rows if path in self._said else 1.0


class Wanted(NamedTuple):
    """A value of an item: where it stands, and how much that tells."""

    path: str
    spans: Sequence[Span]
    tells: float


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An item of a list with its place, or without one."""

    value: Any
    spans: Mapping[str, Span] = field(default_factory=dict)
    """By the path within the item; none where its place is not known."""
    line: int = -1
    """The line that has most of it; -1 where its place is not known."""
    repeated: bool = False
    """The same answer has said it already, as often as it stands."""

    @property
    def start(self) -> int:
        return min((start for start, _ in self.spans.values()), default=-1)


def place(items: Sequence[Any], shown: Shown, telling: Telling | None = None) -> Iterator[Placed]:
    """Finds each item's place, in the order of the answer: equal ones stand one after another.

    Where all of an item's places are taken it is said once too often, or says another thing of the same place.
    """
    tells = (telling or Telling()).of
    used: set[Span] = set()
    said: dict[int, list[Any]] = {}
    last = -1
    for item in items:
        wanted = [
            Wanted(path, shown.places(leaf), tells(path)) for path, leaf in leaves(item) if _says_something(leaf)
        ]
        lines = _candidates(wanted, shown)
        if not lines:
            yield Placed(value=item)
            continue
        free = [line for line in lines if _is_free(line, wanted, shown.lines, used)]
        if not free and any(_is_within(item, other) for line in lines for other in said.get(line, ())):
            yield Placed(value=item, repeated=True)
            continue
        last = next((each for each in free or lines if each >= last), (free or lines)[0])
        spans = _taken(last, wanted, shown.lines, used)
        used.update(spans.values())
        said.setdefault(last, []).append(item)
        yield Placed(value=item, spans=spans, line=last)


def _is_within(item: Any, other: Any) -> bool:
    """Whether an item says nothing that another does not say."""
    of_other = dict(leaves(other))
    return all(leaf is None or of_other.get(path) == leaf for path, leaf in leaves(item))


def _candidates(wanted: Sequence[Wanted], shown: Shown) -> list[int]:
    """The lines around which most of the item stands, in order; none where too little of it stands anywhere."""
    lines = shown.lines
    told: dict[int, float] = {}
    for each in wanted:
        for line in {lines.at(start) for start, _ in each.spans}:
            told[line] = told.get(line, 0.0) + each.tells
    held = {line: round(tells, EXACT) for line, tells in told.items() if shown.holds_line(line)}
    if not held:
        return []
    whole = round(sum(each.tells for each in wanted), EXACT)
    most = max(held.values())
    lines_with_most = sorted(line for line, tells in held.items() if tells == most)
    if most == whole or len(lines_with_most) > MOST_CANDIDATES:
        return lines_with_most if most >= ENOUGH * whole else []
    scores = {line: _score(line, wanted, lines) for line in lines_with_most}
    best = max(scores.values())
    return [line for line, score in scores.items() if score == best and score[0] >= ENOUGH * whole]


def _score(line: int, wanted: Sequence[Wanted], lines: Lines) -> tuple[float, int]:
    """How much of an item stands around a line, and how near."""
    away = [
        (each.tells, distance) for each in wanted if (distance := _distance(line, each.spans, lines)) is not None
    ]
    return round(sum(tells for tells, _ in away), EXACT), -sum(distance for _, distance in away)


def _distance(line: int, spans: Sequence[Span], lines: Lines) -> int | None:
    near = [each for start, _ in spans if -LINES_BEFORE <= (each := lines.at(start) - line) <= LINES_BEHIND]
    return min(map(abs, near), default=None)


def _is_free(line: int, wanted: Sequence[Wanted], lines: Lines, used: set[Span]) -> bool:
    """Whether no other item has most of what stands in the line."""
    here = [(each.tells, [span for span in each.spans if lines.at(span[0]) == line]) for each in wanted]
    free = sum(tells for tells, spans in here if any(span not in used for span in spans))
    return 2 * free > sum(tells for tells, spans in here if spans)


def _taken(line: int, wanted: Sequence[Wanted], lines: Lines, used: set[Span]) -> dict[str, Span]:
    """The nearest place of each of the item's values, one that no other has where there is one."""
    taken: dict[str, Span] = {}
    mine: set[Span] = set()
    for path, spans, _ in wanted:
        near = [span for span in spans if -LINES_BEFORE <= lines.at(span[0]) - line <= LINES_BEHIND]
        if near:
            taken[path] = min(
                near, key=lambda span: (span in used or span in mine, abs(lines.at(span[0]) - line), span)
            )
            mine.add(taken[path])
    return taken
