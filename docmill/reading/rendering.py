"""A page of a document as a picture: for people who look at it, and for models that see."""

from __future__ import annotations

import io

from PIL import Image

from docmill.errors import Unreadable
from docmill.reading import media
from docmill.reading.ocr.pictures import DOTS_AN_INCH
from docmill.reading.ocr.pictures import picture_at as picture_in_file
from docmill.reading.pdf import picture_at as picture_of_page
from docmill.reading.values import MOST_DOTS_AN_INCH

__all__ = ["render_page"]


MOST_COLOURS = 4096
"""Of letters and lines, which PNG keeps sharp and small; a photograph has more."""
QUALITY = 90


def render_page(
    body: bytes,
    page: int,
    dots_an_inch: int,
    *,
    name: str = "",
    media_type: str | None = None,
    compact: bool = False,
) -> bytes:
    """Draws a page, counted from 0, as a PNG; a photograph as a JPEG where it is to be ``compact``.

    Raises Unreadable (unsupported where the document has no pages to be shown, or not so many).
    """
    kind = media.media_type(body[: media.HEAD], name, media_type)
    dots = max(1, min(dots_an_inch, MOST_DOTS_AN_INCH))
    if kind == media.PDF:
        picture = picture_of_page(body, page, dots_an_inch=dots)
    elif kind in media.PICTURES:
        picture = _smaller(picture_in_file(body, page), dots / DOTS_AN_INCH)
    else:
        raise Unreadable("unsupported", f"a document of the kind {kind} has no pages to be shown: read its text")
    written = io.BytesIO()
    if compact and picture.getcolors(MOST_COLOURS) is None:
        picture.save(written, "JPEG", quality=QUALITY)
    else:
        picture.save(written, "PNG", compress_level=4)
    return written.getvalue()


def _smaller(picture: Image.Image, scale: float) -> Image.Image:
    if scale >= 1:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
