"""Picture files: how many pictures one holds, and each upright, in colours that an engine reads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from docmill.errors import Unreadable
from docmill.reading import media
from docmill.reading.values import SEPARATOR, Limits, Reading, reading_of, require_page, warned

__all__ = ["DOTS_AN_INCH", "picture_at", "read_body"]

OFF = "OCR is off: set DOCMILL_OCR=on"
MOST_DOTS = 120_000_000
"""Of one picture: a page of A2 at 400 dots an inch has 62 million."""
LONGEST_SIDE = 4000
"""Dots of what is shown: letters of a page at 300 dots an inch stay as large as OCR needs."""
DOTS_AN_INCH = 200
"""Of a picture, whatever it says of itself: what it says is as often wrong as not."""

with suppress(ImportError):  # then pictures of that kind are refused
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # the limit above is looked at before anything is unpacked
Image.init()  # what opens each format is imported at the first picture else, and can be out of reach by then


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Reads no text: all pages are left to OCR, one a picture, and one for a moving picture.

    Raises Unreadable: unsupported (OCR is off), corrupt, too_large.
    """
    kind = media.media_type(body[: media.HEAD])
    if not limits.ocr and not limits.leave_scans:
        raise Unreadable("unsupported", f"the file is a picture, and {OFF}")
    with _opened(body) as picture:
        frames = getattr(picture, "n_frames", 1) if kind == "image/tiff" else 1
        picture.load()
    if frames > limits.max_pages:
        raise Unreadable("too_large", f"it holds {frames:,} pictures; at most {limits.max_pages:,} are read")
    starts = tuple(number * len(SEPARATOR) for number in range(frames))
    warnings = [warned("ocr_off", [f"page {number + 1}" for number in range(frames)])]
    text = SEPARATOR * (frames - 1)
    return reading_of(text, kind, pages=starts, warnings=warnings, scans=range(frames))


def picture_at(body: bytes, page: int) -> Image.Image:
    """Returns a file's picture, upright, in eight bits of red, green and blue, on white where it was clear.

    Raises Unreadable: corrupt, too_large, unsupported.
    """
    with _opened(body) as file:
        require_page(page, getattr(file, "n_frames", 1))
        try:
            picture = next(frame for at, frame in enumerate(ImageSequence.Iterator(file)) if at == page)
            return _plain(picture.copy())
        except (StopIteration, OSError, ValueError, SyntaxError, EOFError) as error:
            raise _broken(error) from error


def _plain(picture: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I") or upright.mode == "F":
        # Sixteen bits and more, of which eight are enough for letters.
        low, high = upright.convert("F").getextrema()
        scale = 255 / max(high - low, 1.0)  # type: ignore[operator] # one band has a pair of numbers
        upright = upright.convert("F").point(lambda dot: dot * scale - low * scale).convert("L")  # type: ignore[operator] # as above
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    plain = upright.convert("RGB")
    plain.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return plain


@contextmanager
def _opened(body: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(body)) as picture:
            width, height = picture.size
            if width * height > MOST_DOTS:
                raise Unreadable(
                    "too_large",
                    f"the picture has {width:,} × {height:,} dots; {MOST_DOTS:,} are read: make it smaller",
                )
            yield picture
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> Unreadable:
    return Unreadable("corrupt", f"it is no whole picture ({type(error).__name__}): save it again")
