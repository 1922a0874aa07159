"""The text that values are looked up in: their places, lines, columns, and the words before them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from docmill.parsing.grounding import Document, Span
from docmill.reading.layout.places import Geometry

__all__ = ["NOWHERE", "WORD", "Found", "Shown", "apart"]

CELL = re.compile(r"\t| {2,}|\|")
WORD = re.compile(r"[^\W\d_]+|\d+")
LINE_END = re.compile("\n")
ORDINARY_WIDTH = 595.0
"""Points of a page's width."""
LABEL = 80
"""Characters before a value in which its label is looked for."""


class Found(NamedTuple):
    """A value's places in order, and the line of each."""

    spans: Sequence[Span]
    lines: Sequence[int]


NOWHERE = Found((), ())


class Shown:
    """The parts of a document's text that a model was shown. Only there is looked."""

    def __init__(
        self, text: str, passages: Sequence[Span], geometry: Geometry, *, known: Document | None = None
    ) -> None:
        self.text = text
        self.geometry = geometry
        self._parts = [(start, _document(text[start:end], known)) for start, end in passages]
        self._ends = sorted(
            end
            for start, after in passages
            for end in (*(found.start() for found in LINE_END.finditer(text, start, after)), after)
        )
        self._known: dict[tuple[type, object], Found] = {}
        self.column = lru_cache(maxsize=20_000)(self._column)
        self.label = lru_cache(maxsize=20_000)(self._label)

    def find(self, value: object) -> Found:
        """Returns everywhere the value stands."""
        key = (type(value), value if not isinstance(value, float) else repr(value))
        known = self._known.get(key)
        if known is None:
            spans = [(start + a, start + b) for start, part in self._parts for a, b in part.places(value)]
            known = self._known[key] = Found(spans, [self.line(span[0]) for span in spans])
        return known

    def line(self, at: int) -> int:
        """Returns the number of the line that a place is on."""
        return bisect_right(self._ends, at - 1)

    def line_start(self, line: int) -> int:
        """Returns where a line begins."""
        return self._ends[line - 1] + 1 if line > 0 else 0

    def line_span(self, line: int) -> Span:
        """Returns where a line begins and ends, at most some thousand characters of it."""
        start = self.line_start(line)
        end = self._ends[line] if line < len(self._ends) else len(self.text)
        return start, max(start, min(end, start + 4000))

    def _column(self, span: Span) -> tuple[float, float, float]:
        """Left edge, middle and right edge on the page; where nothing is laid out the number of the cell."""
        boxes = self.geometry.boxes(*span)
        if boxes:
            # Pages of a table may lie across; what stays from one to the next are its columns' places in points.
            along = self.geometry.along(self.geometry.page_of(span[0]) or 1, boxes[0])
            left, right = (edge / ORDINARY_WIDTH for edge in along)
            return left, (left + right) / 2, right
        start = max(self.line_start(self.line(span[0])), span[0] - 4000)
        cell = len(CELL.findall(self.text, start, span[0])) * 0.1
        return cell, cell, cell

    def _label(self, span: Span) -> tuple[Sequence[str], Sequence[str]]:
        """The words before a place on its line, the nearest last, and those of the line above."""
        line = self.line(span[0])
        start = self.line_start(line)
        before = WORD.findall(self.text[max(start, span[0] - LABEL) : span[0]].lower())
        above = self.line_span(line - 1) if line else (0, 0)
        return before, WORD.findall(self.text[above[0] : above[0] + LABEL].lower())


def _document(text: str, known: Document | None) -> Document:
    """What was looked up in already, where it is that text."""
    return known if known is not None and known.text == text else Document(text)


def apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Returns how far two columns lie apart, from 0 to 1, by the edge or the middle at which they are nearest."""
    return min(1.0, 10 * min(abs(a - b) for a, b in zip(one, other, strict=True)))
