"""RapidOCR: models for Latin and Chinese scripts that come in its package, run on this machine's processor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy
from PIL import Image, ImageDraw, ImageFont
from rapidocr import RapidOCR

from docmill.reading.layout.words import Word

__all__ = ["load", "words_in"]

THREADS = 1
"""A page takes one core, so that who reads beside it has the others."""
LEAST_SCORE = 0.5
EXCESS = 0.2
"""Of a box's height: so much higher the engine draws it than the line, half above and half below."""


@cache
def load() -> Any:
    """Loads the models, which takes seconds; before rights to open files are given up."""
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": THREADS for kind in ("intra", "inter")}
    engine = RapidOCR(params={**threads, "Global.log_level": "critical", "Global.text_score": LEAST_SCORE})
    # The first line that it finds in a picture makes the engine open the models that it opens late.
    first = Image.new("RGB", (400, 100), "white")
    ImageDraw.Draw(first).text((20, 20), "TOTAL 12.50", fill="black", font=ImageFont.load_default(48))
    engine(numpy.asarray(first), return_word_box=True)
    return engine


def words_in(picture: Image.Image, *, within_s: float) -> list[Word]:  # noqa: ARG001 - engines share a shape
    """Returns the words of a picture in its own dots. Its time is bounded by the process that it runs in."""
    pixels = numpy.asarray(picture.convert("RGB"))[:, :, ::-1]
    found = load()(pixels, return_word_box=True)
    if not found.txts:
        return []  # what it says of the words of nothing has another shape
    return [word for number, line in enumerate(found.word_results) for word in _words(line, number)]


def _words(line: Any, number: int) -> Iterator[Word]:
    for at, (text, _, corners) in enumerate(line):
        if text.strip() and len(corners):
            xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
            yield Word(text.strip(), min(xs), min(ys), max(xs), max(ys), number * 1000 + at)
