"""Whether anything is drawn on a page on which OCR found no word: handwriting, stamps; and not the paper alone."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

__all__ = ["shows_ink"]

LONG_SIDE = 800
"""Dots to which a page is made smaller: strokes stay, and the paper's grain goes."""
MARGIN = 0.06
"""Of each side, where scanners leave shadows, and folders their holes."""
AROUND = 15
"""Dots around, whose mean is the paper's shade at a place: a shadow across the page is none of its ink."""
DARKER = 40
"""Of 255: by so much ink differs from the paper around it."""
LEAST_SHARE = 0.0004
"""Of the page's dots: a name in thin letters has some more, specks of dust have less."""


def shows_ink(picture: Image.Image) -> bool:
    """Returns whether so much on a page differs from the paper around it that it may say something."""
    gray = picture.convert("L")
    gray.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.BOX)
    edges = (round(gray.width * MARGIN), round(gray.height * MARGIN))
    inner = gray.crop(
        (*edges, max(edges[0] + 1, gray.width - edges[0]), max(edges[1] + 1, gray.height - edges[1]))
    )
    paper = inner.filter(ImageFilter.GaussianBlur(AROUND))
    differing = sum(ImageChops.difference(inner, paper).histogram()[DARKER:])
    return differing >= LEAST_SHARE * inner.width * inner.height
