"""Where each leaf of an answer stands: in the text, and on its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docmill.parsing.grounding import Document, Span
from docmill.parsing.placing.objects import place_object
from docmill.parsing.placing.records import Path, Record, leaves, records_of
from docmill.parsing.placing.rows import place_rows
from docmill.parsing.placing.text import Shown
from docmill.reading.layout.geometry import Box, By
from docmill.reading.layout.places import Geometry
from docmill.reading.values import Reading

__all__ = ["Place", "locate", "place_at", "places_of"]

LONGEST_QUOTE = 500


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a value stands, or that it stands nowhere."""

    found: bool
    page: int | None = None
    """Counted from 1; None where the document has no pages."""
    boxes: tuple[Box, ...] = ()
    """One a line: left, upper, right and lower edge as shares of the page as it is shown, from its upper left
    corner. Empty where nobody knows where the page's words stand."""
    start: int | None = None
    end: int | None = None
    """In the document's text, in characters."""
    quote: str = ""
    """What stands there."""
    by: By | None = None
    """``ocr`` where the words are guessed from a picture."""
    occurrences: int = 0
    """In how many places the value stands."""

    def as_json(self) -> dict[str, Any]:
        """Returns it as evidence keeps it."""
        if not self.found:
            return {"found": False}
        return {**vars(self), "boxes": [list(box) for box in self.boxes]}


def locate(value: object, reading: Reading) -> dict[str, Place]:
    """Finds where each scalar leaf of a value stands, by its path, as ``lines.0.name``.

    Of several places of a value the one that fits its neighbours is taken: the fields of a list's item stand
    together, its items in their order, a field near its label, and no two on one place that have another.
    """
    return places_of(dict(leaves(value)), reading, [(0, len(reading.text))])


def places_of(
    found: Mapping[Path, object], reading: Reading, passages: Sequence[Span], *, known: Document | None = None
) -> dict[str, Place]:
    """Finds the place of each leaf within the passages alone, which are offsets in the text.

    ``known`` is a passage's text that values were looked up in already.
    """
    geometry = Geometry(reading.pages, reading.layout)
    shown = Shown(reading.text, passages, geometry, known=known)
    spans = _spans(shown, records_of(found))
    return {".".join(map(str, path)): _place(shown, value, spans.get(path)) for path, value in found.items()}


def _spans(shown: Shown, records: Sequence[Record]) -> dict[Path, Span]:
    """Lists first: the places of their items are told by most."""
    lists: dict[Path, list[Record]] = {}
    for record in records:
        if record.rows is not None:
            lists.setdefault(record.rows, []).append(record)
    taken: set[Span] = set()
    spans: dict[Path, Span] = {}
    for items in lists.values():
        spans |= place_rows(shown, items, taken)
    rows = frozenset(shown.line(span[0]) for span in spans.values())
    objects = [record for record in records if record.rows is None]
    for record in sorted(objects, key=lambda each: -len(each.path)):
        spans |= place_object(shown, record, taken, rows)
    return spans


def _place(shown: Shown, value: object, span: Span | None) -> Place:
    if span is None:
        return Place(found=False)
    return place_at(span, shown.text, shown.geometry, occurrences=len(shown.find(value).spans))


def place_at(span: Span, text: str, geometry: Geometry, *, occurrences: int) -> Place:
    """The place that a span of a document's text is."""
    start, end = span
    page = geometry.page_of(start)
    return Place(
        found=True,
        page=page,
        boxes=tuple(geometry.boxes(start, end)),
        start=start,
        end=end,
        quote=text[start : min(end, start + LONGEST_QUOTE)],
        by=geometry.by(page),
        occurrences=occurrences,
    )
