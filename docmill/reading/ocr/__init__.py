"""Words out of pictures: photographs, scans, and pages whose text cannot be trusted.

What OCR gives is a guess. Each reading that holds some of it says so.
"""

from __future__ import annotations

from PIL import Image

from docmill.reading.cleaning import clean
from docmill.reading.layout.composing import compose
from docmill.reading.layout.lines import lines_of
from docmill.reading.ocr import tesseract
from docmill.reading.values import OcrEngine

__all__ = ["text_in"]


def text_in(picture: Image.Image, engine: OcrEngine, *, within_s: float) -> str:
    """Returns what is written in a picture, in the order in which a person reads it.

    Raises Unreadable (unsupported where the engine is not installed, timeout), and ImportError.
    """
    if engine == "tesseract":
        words = tesseract.words_in(picture, within_s=within_s)
    else:
        from docmill.reading.ocr import rapid

        words = rapid.words_in(picture, within_s=within_s)
    return clean(compose(lines_of(words)).text)
