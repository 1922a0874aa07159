"""Where the items of a part's answer stand: most of each at one place, and no two at the same one; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from docmill.parsing.bounds import leaves
from docmill.parsing.grounding import Document
from docmill.parts.cutting import joined_spans
from docmill.parts.lines import Lines

__all__ = ["Placed", "Shown", "place"]

Span = tuple[int, int]

MOST_PLACES = 400
"""Of one value that are looked at."""
MOST_CANDIDATES = 60
LINES_BEFORE, LINES_BEHIND = 3, 10
"""Lines around the one with most of an item in which the rest of it may stand: a row may go over a page's end."""
ENOUGH = 0.5
"""Of an item's values that stand together; with fewer it has no place."""


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
        """Whether the model was shown something of a line."""
        first, last = self.lines.span(line)
        return any(start < last and first < end for start, end in self._own)

    def places(self, value: Any) -> list[Span]:
        """Where a scalar stands in the document, in order."""
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


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An item of a list with its place, or without one."""

    value: Any
    spans: Mapping[str, Span] = field(default_factory=dict)
    """By the path within the item; none where its place is not known."""
    line: int = -1
    """The line that has most of it; -1 where its place is not known."""
    repeated: bool = False
    """Everywhere it could stand another item of the same answer stands."""

    @property
    def start(self) -> int:
        return min((start for start, _ in self.spans.values()), default=-1)


def place(items: Sequence[Any], shown: Shown) -> Iterator[Placed]:
    """Each item with its place, in the order of the answer: equal ones stand one after another."""
    used: set[Span] = set()
    last = -1
    for item in items:
        wanted = [(path, shown.places(leaf)) for path, leaf in leaves(item) if _says_something(leaf)]
        lines = _candidates(wanted, shown)
        if not lines:
            yield Placed(value=item)
            continue
        free = [line for line in lines if _is_free(line, wanted, shown.lines, used)]
        if not free:
            yield Placed(value=item, repeated=True)
            continue
        line = next((each for each in free if each >= last), free[0])
        spans = _taken(line, wanted, shown.lines, used)
        last = line
        used.update(spans.values())
        yield Placed(value=item, spans=spans, line=line)


Wanted = Sequence[tuple[str, Sequence[Span]]]


def _candidates(wanted: Wanted, shown: Shown) -> list[int]:
    """The lines around which most of the item stands, in order; none where too little of it stands anywhere."""
    lines = shown.lines
    held: Counter[int] = Counter()
    for _, spans in wanted:
        held.update({lines.at(start) for start, _ in spans})
    held = Counter({line: count for line, count in held.items() if shown.holds_line(line)})
    if not held:
        return []
    most = max(held.values())
    lines_with_most = sorted(line for line, count in held.items() if count == most)
    if most == len(wanted) or len(lines_with_most) > MOST_CANDIDATES:
        return lines_with_most if most >= ENOUGH * len(wanted) else []
    scores = {line: _score(line, wanted, lines) for line in lines_with_most}
    best = max(scores.values())
    return [line for line, score in scores.items() if score == best and score[0] >= ENOUGH * len(wanted)]


def _score(line: int, wanted: Wanted, lines: Lines) -> tuple[int, int]:
    """How much of an item stands around a line, and how near."""
    away = [distance for _, spans in wanted if (distance := _distance(line, spans, lines)) is not None]
    return len(away), -sum(away)


def _distance(line: int, spans: Sequence[Span], lines: Lines) -> int | None:
    near = [each for start, _ in spans if -LINES_BEFORE <= (each := lines.at(start) - line) <= LINES_BEHIND]
    return min(map(abs, near), default=None)


def _is_free(line: int, wanted: Wanted, lines: Lines, used: set[Span]) -> bool:
    """Whether no other item has most of what stands in the line."""
    here = [[span for span in spans if lines.at(span[0]) == line] for _, spans in wanted]
    here = [spans for spans in here if spans]
    free = sum(any(span not in used for span in spans) for spans in here)
    return 2 * free > len(here)


def _taken(line: int, wanted: Wanted, lines: Lines, used: set[Span]) -> dict[str, Span]:
    """The nearest place of each of the item's values, one that no other has where there is one."""
    taken: dict[str, Span] = {}
    mine: set[Span] = set()
    for path, spans in wanted:
        near = [span for span in spans if -LINES_BEFORE <= lines.at(span[0]) - line <= LINES_BEHIND]
        if near:
            taken[path] = min(
                near, key=lambda span: (span in used or span in mine, abs(lines.at(span[0]) - line), span)
            )
            mine.add(taken[path])
    return taken
