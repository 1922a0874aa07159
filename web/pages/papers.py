"""A document as pages show it: pictures of its pages with rectangles on them, or its text with marks in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from db import documents
from docmill.reading.layout.geometry import unpack
from docmill.reading.layout.places import Geometry
from docmill.reading.media import PDF, PICTURES
from web.pages.answers import Box, Value, boxes_on

__all__ = ["Paper", "Part", "Sheet", "geometry_of", "paper_of"]

MOST_SHEETS = 30
MOST_CHARS = 200_000
"""Of a text that is shown."""
DRAWN = frozenset({PDF, *PICTURES})
"""Kinds of documents whose pages can be drawn."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A page that is drawn."""

    number: int
    picture: str
    """Its address."""
    boxes: Sequence[Box]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the text: a value, or what stands between two."""

    text: str
    start: int
    path: str | None = None
    doubted: bool = False


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A document to be looked at."""

    id: int
    name: str | None
    media_type: str
    erased: bool
    sheets: Sequence[Sheet]
    more_sheets: int
    parts: Sequence[Part]
    more_chars: int


def paper_of(
    connection: Connection, document_id: int | None, tenant: str, values: Sequence[Value]
) -> Paper | None:
    """The job's document with the places of its values; None where it was deleted."""
    found = None if document_id is None else documents.shown(connection, document_id, tenant)
    if found is None:
        return None
    text = documents.text_of(connection, found.id, tenant) or ""
    # What is cited stands in documents of a collection.
    here = [value for value in values if value.place is not None and value.place.document_id == found.id]
    is_drawn = found.media_type in DRAWN and found.bytes is not None
    pages = max(1, len(_starts(found))) if is_drawn else 0
    geometry = geometry_of(found)
    sheets = [
        Sheet(
            number=page,
            picture=f"/v1/documents/{found.id}/pages/{page}.png?dpi=110",
            boxes=boxes_on(page, here, geometry),
        )
        for page in range(1, min(pages, MOST_SHEETS) + 1)
    ]
    return Paper(
        id=found.id,
        name=found.name,
        media_type=found.media_type,
        erased=found.bytes is None,
        sheets=sheets,
        more_sheets=pages - len(sheets),
        parts=_marked(text[:MOST_CHARS], here),
        more_chars=max(0, len(text) - MOST_CHARS),
    )


def geometry_of(document: documents.Shown) -> Geometry:
    """Returns where its words stand; nowhere, of a document that was read before that was kept."""
    try:
        return Geometry(_starts(document), unpack(bytes(document.layout or b"")))
    except ValueError:
        return Geometry((), ())


def _starts(document: documents.Shown) -> list[int]:
    """Where its pages begin, of a row that may hold anything."""
    kept: object = document.pages
    return [each for each in kept if isinstance(each, int)] if isinstance(kept, list) else []


def _marked(text: str, values: Sequence[Value]) -> list[Part]:
    """The text, cut where values begin and end; of two that overlap, the first one is marked."""
    parts: list[Part] = []
    at = 0
    for value in sorted(values, key=lambda each: each.place.start if each.place else 0):
        start, end = (value.place.start, value.place.end) if value.place else (0, 0)
        if start < at or end > len(text) or start >= end:
            continue
        if start > at:
            parts.append(Part(text=text[at:start], start=at))
        parts.append(Part(text=text[start:end], start=start, path=value.path, doubted=bool(value.doubts)))
        at = end
    if at < len(text):
        parts.append(Part(text=text[at:], start=at))
    return parts
