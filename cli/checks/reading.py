"""Whether files can be read, and scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from docmill.settings import Settings

__all__ = ["examine_ocr", "examine_reading"]


def examine_reading(_: Settings) -> str:
    from docmill.reading import Reader

    with Reader() as reader:
        found = reader.confinement()
    user = "as root: this one may become nobody else" if found.uid == 0 else f"as user {found.uid}"
    network = "with the network open: this system cannot close it" if found.network else "without network"
    return f"in a process of its own, {user}, {network}"


def examine_ocr(settings: Settings) -> str:
    from docmill.reading.engines import installed
    from docmill.reading.ocr import tesseract

    if settings.ocr == "tesseract" and tesseract.found() is None:
        raise Misconfigured(f"DOCMILL_OCR is tesseract, and {tesseract.MISSING}")
    if settings.ocr == "on" and not installed():
        raise Misconfigured("DOCMILL_OCR is on, and RapidOCR is not installed: install docmill[app]")
    return settings.ocr
