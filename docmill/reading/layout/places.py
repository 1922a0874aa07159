"""From a span of a document's text to rectangles on its pages, by the geometry that reading kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache

from docmill.reading.layout.geometry import Box, By, PageLayout, Placed

__all__ = ["Geometry"]

PAGES_UNPACKED = 8
"""Pages whose words are held at once: a document may have thousands."""


class Geometry:
    """A document's pages: where each begins in the text, and where the words of each stand."""

    def __init__(self, starts: Sequence[int], layout: Sequence[PageLayout]) -> None:
        self._starts = starts
        self._layout = layout
        self._words = lru_cache(maxsize=PAGES_UNPACKED)(self._unpacked)

    def page_of(self, at: int) -> int | None:
        """Returns the page, counted from 1, on which a place of the text is; None where there are no pages."""
        if not self._starts:
            return None
        # Of pages that begin at one place all but the last are empty.
        return max(1, bisect_right(self._starts, at))

    def by(self, page: int | None) -> By:
        """Returns who found the words of a page."""
        return self._layout[page - 1].by if page is not None and page <= len(self._layout) else "text"

    def boxes(self, start: int, end: int) -> list[Box]:
        """Returns the rectangles of a span on the page where it begins, one a line, in the text's order."""
        page = self.page_of(start)
        if page is None or page > len(self._layout):
            return []
        first = self._starts[page - 1]
        starts, words = self._words(page - 1)
        at = max(0, bisect_right(starts, start - first) - 1)
        after = bisect_left(starts, end - first)
        inside = (_part(word, start - first, end - first) for word in words[at:after])
        return _by_lines(box for box in inside if box is not None)

    def _unpacked(self, page: int) -> tuple[list[int], list[Placed]]:
        words = self._layout[page].words()
        return [word.start for word in words], words


def _part(word: Placed, start: int, end: int) -> Box | None:
    """The box of what a span has of a word: in proportion to its letters, where it runs from left to right."""
    first, last = max(start, word.start), min(end, word.end)
    if first >= last:
        return None
    x0, y0, x1, y1 = word.x0, word.y0, word.x1, word.y1
    length, width = word.end - word.start, word.x1 - word.x0
    if last - first < length and width > y1 - y0:
        x0, x1 = x0 + width * (first - word.start) / length, x1 - width * (word.end - last) / length
    return round(x0, 5), y0, round(x1, 5), y1


def _by_lines(boxes: Iterable[Box]) -> list[Box]:
    """Joins boxes that stand side by side on one line."""
    lines: list[Box] = []
    for box in boxes:
        if lines and _goes_on(lines[-1], box):
            last = lines[-1]
            lines[-1] = (min(last[0], box[0]), min(last[1], box[1]), max(last[2], box[2]), max(last[3], box[3]))
        else:
            lines.append(box)
    return lines


def _goes_on(last: Box, box: Box) -> bool:
    shared = min(last[3], box[3]) - max(last[1], box[1])
    return shared > 0.5 * min(last[3] - last[1], box[3] - box[1]) and box[0] >= last[0]
