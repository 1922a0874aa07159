"""Whether a page shows words that its text does not have: in a picture, or drawn as shapes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pypdfium2.raw as pdfium

from docmill.reading.layout.words import Word

__all__ = ["shows_more"]

FEW_WORDS = 80
"""A page with more of its own is neither a scan that somebody stamped nor a drawing with a title."""
COVERED = 0.4
"""Of a page: how much a picture covers that may be the page itself."""
OUTLINES = 300
"""Edges of filled shapes, of which about fifteen make a letter."""
LEAST_EDGES = 6
"""A frame or a bar has five."""
MOST_OBJECTS = 20_000
MOST_DEEP = 3
"""Forms within forms."""


def shows_more(page: Any, words: Sequence[Word], *, width: float, height: float) -> bool:
    """Returns whether OCR may find words on a page beside those of its text.

    Without words any picture may hold some. Words without ink upon a picture are what another OCR found in it.
    """
    if len(words) >= FEW_WORDS:
        return False
    edges, covered = 0, 0.0
    for drawn in islice(_objects(page), MOST_OBJECTS):
        kind = pdfium.FPDFPageObj_GetType(drawn)
        covered += _area(drawn) if kind == pdfium.FPDF_PAGEOBJ_IMAGE else 0.0
        edges += _edges(drawn) if kind == pdfium.FPDF_PAGEOBJ_PATH else 0
    is_picture = covered > (COVERED * width * height if words else 0.0)
    return edges >= OUTLINES or (is_picture and not any(word.doubtful for word in words))


def _objects(page: Any) -> Iterator[Any]:
    """What a page draws, and what its forms draw in its place."""
    return (each.raw for each in page.get_objects(max_depth=MOST_DEEP))


def _area(drawn: Any) -> float:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(drawn, left, bottom, right, top):
        return 0.0
    return max(0.0, right.value - left.value) * max(0.0, top.value - bottom.value)


def _edges(drawn: Any) -> int:
    """Of a shape that is filled, as letters are; lines alone are drawn round tables and under words."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not pdfium.FPDFPath_GetDrawMode(drawn, fill, stroke) or fill.value == pdfium.FPDF_FILLMODE_NONE:
        return 0
    edges = int(pdfium.FPDFPath_CountSegments(drawn))
    return edges if edges >= LEAST_EDGES else 0
