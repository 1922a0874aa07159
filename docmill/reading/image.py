"""Pictures to text, where OCR is allowed."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from docmill.errors import Unreadable
from docmill.reading import media, ocr
from docmill.reading.cleaning import tidy
from docmill.reading.values import Limits, Reading, reading_of, require_length, warned

MOST_PIXELS = 120_000_000
"""Of one picture: a page of A2 at 400 dots an inch has 62 million."""

Image.MAX_IMAGE_PIXELS = None  # the limit above is looked at before anything is unpacked


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """What is written in the picture.

    Raises Unreadable: unsupported (without OCR), corrupt, timeout, too_large.
    """
    if not limits.ocr:
        raise Unreadable("unsupported", f"the file is a picture, and {ocr.OFF}")
    deadline = ocr.deadline_of(limits)
    _require_bearable(body)
    text = tidy(ocr.text_in(body, deadline=deadline))
    require_length(len(text), limits)
    kind = media.media_type(body[: media.HEAD])
    return reading_of(text, kind, warnings=[warned("ocr_guessed" if text.strip() else "ocr_empty")])


def _require_bearable(body: bytes) -> None:
    try:
        with Image.open(io.BytesIO(body)) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Unreadable("corrupt", f"it is no whole picture ({type(error).__name__}): save it again") from error
    if width * height > MOST_PIXELS:
        raise Unreadable(
            "too_large", f"the picture has {width:,} × {height:,} dots; {MOST_PIXELS:,} are read: make it smaller"
        )
