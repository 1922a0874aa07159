"""Words of a page that nobody sees: white on white, under a picture, or drawn without ink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docmill.reading.layout.words import Word
from docmill.reading.pdf.words import Page

__all__ = ["unseen"]

MOST_DOTS = 4_000_000
"""Of the page as it is drawn to look at it."""
INK = 24
"""Of 255: how much the lightest and the darkest dot of a word differ, where there is any ink."""


def unseen(page: Any, shown: Page, doubtful: Sequence[Word]) -> frozenset[Word]:
    """Returns those of the words behind which the page, as it is drawn, has one colour and no picture.

    Invisible words over a picture are what OCR found on a scan: that a person sees, in the picture.
    """
    scale = min(2.0, (MOST_DOTS / max(shown.width * shown.height, 1.0)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    rows = memoryview(bitmap.buffer).cast("B")
    return frozenset(word for word in doubtful if not _has_ink(rows, bitmap, word, scale))


def _has_ink(rows: memoryview, bitmap: Any, word: Word, scale: float) -> bool:
    left, right = max(0, int(word.x0 * scale)), min(bitmap.width, int(word.x1 * scale) + 1)
    top, bottom = max(0, int(word.y0 * scale)), min(bitmap.height, int(word.y1 * scale) + 1)
    darkest, lightest = 255, 0
    for line in range(top, bottom):
        dots = rows[line * bitmap.stride + left : line * bitmap.stride + right]
        if len(dots):
            darkest, lightest = min(darkest, *dots, 255), max(lightest, *dots, 0)
    return lightest - darkest >= INK
