"""The fields of an object that is no item of a list: each near its label, and near the others of its object."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Collection, Sequence

from docmill.parsing.grounding import Span
from docmill.parsing.placing.labels import label_cost
from docmill.parsing.placing.records import Path, Record
from docmill.parsing.placing.text import Found, Shown

__all__ = ["place_object"]

MOST_CHOICES = 200
"""Places of a value that are looked at: those near its object's others."""
TAKEN = 2.0
AMONG_ROWS = 0.8
"""What a place costs on the line of a list's item."""
FAR = 20
"""Lines from which on two fields of an object stand far apart."""


def place_object(shown: Shown, record: Record, taken: set[Span], rows: Collection[int]) -> dict[Path, Span]:
    """Returns a place for each field of an object that stands somewhere, by its whole path.

    ``rows`` are the lines that items of lists stand on.
    """
    found = [(name, shown.find(value)) for name, value in record.fields.items()]
    chosen: dict[Path, Span] = {}
    for name, places in sorted(found, key=lambda each: len(each[1].spans)):
        if places.spans:
            path = (*record.path, *name)
            beside = [shown.line(span[0]) for span in chosen.values()]
            near = statistics.median_low(beside) if beside else None
            costs = [
                (_cost(shown, path, span, near, rows) + TAKEN * (span in taken), span)
                for span in _some(places, near)
            ]
            chosen[path] = min(costs)[1]
            taken.add(chosen[path])
    return chosen


def _some(places: Found, near: int | None) -> Sequence[Span]:
    """Of many places those near a line; else the first."""
    low = 0 if near is None else max(0, bisect_left(places.lines, near) - MOST_CHOICES // 2)
    return places.spans[low : low + MOST_CHOICES]


def _cost(shown: Shown, path: Path, span: Span, near: int | None, rows: Collection[int]) -> float:
    line = shown.line(span[0])
    cost = label_cost(path, *shown.label(span)) + AMONG_ROWS * (line in rows)
    if near is not None:
        # An object of its own stands together; what the whole answer is made of stands all over the document.
        cost += (1.0 if len(path) > 1 else 0.3) * min(1.0, abs(line - near) / FAR)
    return cost
