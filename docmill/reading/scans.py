"""One page of a document, read by OCR: in a process of its own, which holds the engine's models."""

from __future__ import annotations

from contextlib import suppress

from PIL import Image

from docmill.reading import media
from docmill.reading.ocr import scan_of
from docmill.reading.ocr.pictures import picture_at as picture_in_file
from docmill.reading.pdf import picture_at as picture_of_page
from docmill.reading.values import Limits, Scan, require_length

__all__ = ["picture_of", "preload", "read_scan"]


def preload() -> None:
    """Loads the engine; one that is not installed is missed when it is asked for."""
    with suppress(ImportError):
        from docmill.reading.ocr import rapid

        rapid.load()


def read_scan(body: bytes, page: int, *, name: str = "", media_type: str | None = None, limits: Limits) -> Scan:
    """Returns what OCR finds on a page, counted from 0, of a PDF or of a file of pictures.

    Raises Unreadable, and ImportError where the engine is not installed.
    """
    picture = picture_of(body, page, name=name, media_type=media_type)
    scan = scan_of(picture, limits.ocr_engine, within_s=limits.ocr_timeout_s)
    require_length(len(scan.text), limits)
    return scan


def picture_of(body: bytes, page: int, *, name: str = "", media_type: str | None = None) -> Image.Image:
    """Returns a page as OCR is shown it. Raises Unreadable."""
    kind = media.media_type(body[: media.HEAD], name, media_type)
    return picture_of_page(body, page) if kind == media.PDF else picture_in_file(body, page)
