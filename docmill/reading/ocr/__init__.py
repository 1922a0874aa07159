"""Words out of pictures: photographs, scans, and pages whose text cannot be trusted.

What OCR gives is a guess. Each reading that holds some of it says so.
"""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from docmill.reading.layout.composing import compose_page
from docmill.reading.layout.geometry import pack_page
from docmill.reading.ocr import tesseract
from docmill.reading.ocr.parting import parted
from docmill.reading.ocr.pictures import DOTS_AN_INCH
from docmill.reading.values import OcrEngine, Scan

__all__ = ["scan_of"]


def scan_of(picture: Image.Image, engine: OcrEngine, *, within_s: float) -> Scan:
    """Returns what is written in a picture, in the order in which a person reads it, and where.

    Raises Unreadable (unsupported where the engine is not installed, timeout), and ImportError.
    """
    if engine == "tesseract":
        words, excess = tesseract.words_in(picture, within_s=within_s), tesseract.EXCESS
    else:
        from docmill.reading.ocr import rapid

        words, excess = rapid.words_in(picture, within_s=within_s), rapid.EXCESS
    found = compose_page([part for word in words for part in parted(word)], excess=excess)
    width, height = picture.size
    layout = pack_page(found.places(), width=width, height=height, by="ocr")
    points = 72 / DOTS_AN_INCH
    return Scan(text=found.text, layout=replace(layout, width=width * points, height=height * points))
