"""From a span of a document's text to rectangles on its pages, by the geometry that reading kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise

from docmill.reading.layout.geometry import Box, By, PageLayout, Placed
from docmill.reading.layout.words import turned

__all__ = ["Geometry"]

PAGES_UNPACKED = 32
"""Pages whose words are held at once: a document may have thousands."""


class Geometry:
    """A document's pages: where each begins in the text, and where the words of each stand."""

    def __init__(self, starts: Sequence[int], layout: Sequence[PageLayout]) -> None:
        self._starts = starts
        self._layout = layout
        self._words = lru_cache(maxsize=PAGES_UNPACKED)(self._unpacked)
        self._turns = cache(self._usual_turns)

    def page_of(self, at: int) -> int | None:
        """Returns the page, counted from 1, on which a place of the text is; None where there are no pages."""
        if not self._starts:
            return None
        # Of pages that begin at one place all but the last are empty.
        return max(1, bisect_right(self._starts, at))

    def by(self, page: int | None) -> By:
        """Returns who found the words of a page."""
        return self._layout[page - 1].by if page is not None and page <= len(self._layout) else "text"

    def along(self, page: int, box: Box) -> tuple[float, float]:
        """Returns where a box begins and ends along its page's lines, in points; the page may be shown turned."""
        shape, turns = self._layout[page - 1], self._turns(page)
        edge = turned((0, 0, shape.width, shape.height), turns)[0]
        x0, y0, x1, y1 = box
        scaled = (x0 * shape.width, y0 * shape.height, x1 * shape.width, y1 * shape.height)
        left, _, right, _ = turned(scaled, turns)
        return left - edge, right - edge

    def boxes(self, start: int, end: int) -> list[Box]:
        """Returns the rectangles of a span on the page where it begins, one a line, in the text's order."""
        page = self.page_of(start)
        if page is None or page > len(self._layout):
            return []
        first = self._starts[page - 1]
        starts, words = self._words(page - 1)
        at = max(0, bisect_right(starts, start - first) - 1)
        after = bisect_left(starts, end - first)
        shape = self._layout[page - 1]
        lines = _Lines(shape.width / shape.height if shape.height else 1.0)
        for word in words[at:after]:
            box = _part(word, start - first, end - first)
            if box is not None:
                lines.add(box, word.end - word.start)
        return lines.boxes

    def words_on(self, page: int) -> list[tuple[int, int, Box]]:
        """Returns each word of a page, counted from 1: where it begins and ends in the text, and its box."""
        if not 1 <= page <= min(len(self._layout), len(self._starts)):
            return []
        first = self._starts[page - 1]
        return [
            (first + word.start, first + word.end, (word.x0, word.y0, word.x1, word.y1))
            for word in self._words(page - 1)[1]
        ]

    def _usual_turns(self, page: int) -> int:
        """Quarters of a turn, against the clock, by which a page's lines are turned, as its words tell."""
        shape, words = self._layout[page - 1], self._words(page - 1)[1]
        long = [word for word in words if word.end - word.start > 2]
        upright = sum((each.y1 - each.y0) * shape.height > (each.x1 - each.x0) * shape.width for each in long)
        if 2 * upright > len(long):
            down = sum(_sign(word.y0 - last.y0) for last, word in pairwise(words) if _on_one(last, word, 2, 4))
            return 3 if down > 0 else 1
        right = sum(_sign(word.x0 - last.x0) for last, word in pairwise(words) if _on_one(last, word, 3, 5))
        return 2 if right < 0 else 0

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


class _Lines:
    """Boxes of words, those joined that stand on one line: side by side, or upright one upon the other."""

    def __init__(self, aspect: float) -> None:
        self.boxes: list[Box] = []
        self._aspect = aspect
        """Width of the page by its height."""
        self._upright = False

    def add(self, box: Box, letters: int) -> None:
        """Adds a word's box."""
        if letters > 2:
            self._upright = (box[3] - box[1]) > 1.2 * (box[2] - box[0]) * self._aspect
        if self.boxes and self._goes_on(self.boxes[-1], box):
            last = self.boxes[-1]
            self.boxes[-1] = (*map(min, last[:2], box[:2]), *map(max, last[2:], box[2:]))  # type: ignore[assignment] # mypy counts no members
        else:
            self.boxes.append(box)

    def _goes_on(self, last: Box, box: Box) -> bool:
        if self._upright:
            gap = max(box[1] - last[3], last[1] - box[3])
            return _shared(last[0], last[2], box[0], box[2]) > 0.5 and gap < 2 * (box[2] - box[0]) * self._aspect
        gap = (last[0] - box[2]) * self._aspect  # to the left: where one writes so, or upside down
        return _shared(last[1], last[3], box[1], box[3]) > 0.5 and gap < 2 * (box[3] - box[1])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _on_one(last: Placed, word: Placed, low: int, high: int) -> bool:
    """Whether two words share a line, by the members that are its edges."""
    return _shared(last[low], last[high], word[low], word[high]) > 0.5


def _shared(low: float, high: float, other_low: float, other_high: float) -> float:
    """How much two spans share, by the shorter one."""
    shorter = max(1e-9, min(high - low, other_high - other_low))
    return (min(high, other_high) - max(low, other_low)) / shorter
