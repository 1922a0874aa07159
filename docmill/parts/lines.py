"""A text by its lines, and what kind of line each is; pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

__all__ = ["Lines"]

BETWEEN = re.compile(r"[\s|;]+|,(?!\d)|(?<!\d),")
"""What parts the cells of a line; a comma within a number does not."""
LONGEST_SHAPE = 24
SHARED = 4
"""Lines of one shape that make a table."""


class Lines:
    """Where each line of a text begins and ends, and its shape: where it has numbers, and where words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, offset: int) -> int:
        """The number of the line that holds a character."""
        return bisect_right(self.starts, offset) - 1

    def span(self, line: int) -> tuple[int, int]:
        """A line's characters, with the break that ends it."""
        return self.starts[line], self.starts[line + 1] if line + 1 < len(self.starts) else len(self.text)

    def words(self, line: int) -> str:
        start, end = self.span(line)
        return self.text[start:end].strip()

    @cached_property
    def shapes(self) -> Sequence[str]:
        """Of each line: ``n`` for a cell with a digit, ``w`` for words; empty for a line without either."""
        return [_shape(self.words(line)) for line in range(len(self))]

    @cached_property
    def tabular(self) -> frozenset[str]:
        """The shapes with a number that several lines share, as the rows of a table do."""
        counted = Counter(shape for shape in self.shapes if "n" in shape and len(shape) > 1)
        return frozenset(shape for shape, lines in counted.items() if lines >= SHARED)

    def is_row(self, line: int) -> bool:
        """Returns whether a line looks like a row of some table, before any row of it is known."""
        return self.shapes[line] in self.tabular

    def rows_in(self, start: int, end: int) -> int:
        """Returns how many lines that look like rows begin within a stretch."""
        first, last = self.at(start), self.at(max(start, end - 1))
        return sum(self.is_row(line) for line in range(first, last + 1))


def _shape(words: str) -> str:
    shape = ""
    for cell in BETWEEN.split(words):
        kind = "n" if any(map(str.isdigit, cell)) else "w" if any(map(str.isalpha, cell)) else ""
        if kind != "w" or not shape.endswith("w"):
            shape += kind
        if len(shape) >= LONGEST_SHAPE:
            break
    return shape
