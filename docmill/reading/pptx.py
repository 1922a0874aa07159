"""PowerPoint presentations to text: what stands on each slide, its tables and its notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zipfile import BadZipFile

from lxml.etree import LxmlError
from pptx import Presentation
from pptx.exc import PythonPptxError

from docmill.errors import Unreadable
from docmill.reading.archives import require_archive
from docmill.reading.cleaning import clean
from docmill.reading.media import PPTX
from docmill.reading.values import Limits, Reading, reading_of, require_length

PAGE_BREAK = "\n\n"
MOST_GROUPS_DEEP = 20


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The presentation's text, a page a slide. Raises Unreadable: encrypted, corrupt, too_large."""
    archive = require_archive(body)
    try:
        slides = [clean("\n".join(_lines(slide))) for slide in Presentation(archive).slides]
    except (PythonPptxError, LxmlError, BadZipFile, KeyError, ValueError, AttributeError) as error:
        raise Unreadable(
            "corrupt", f"it is no whole presentation ({type(error).__name__}): save it again"
        ) from error
    starts, at = [], 0
    for text in slides:
        starts.append(at)
        at += len(text) + len(PAGE_BREAK)
    require_length(at, limits)
    return reading_of(PAGE_BREAK.join(slides), PPTX, pages=tuple(starts))


def _lines(slide: Any) -> Iterator[str]:
    for shape in slide.shapes:
        yield from _shape(shape, MOST_GROUPS_DEEP)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text


def _shape(shape: Any, depth: int) -> Iterator[str]:
    if hasattr(shape, "shapes") and depth > 0:
        for inner in shape.shapes:
            yield from _shape(inner, depth - 1)
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            yield "\t".join(" ".join(cell.text.split()) for cell in row.cells)
    elif shape.has_text_frame:
        yield shape.text_frame.text
