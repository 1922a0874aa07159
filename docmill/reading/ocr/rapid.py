"""RapidOCR: models for Latin and Chinese scripts that come in its package, run on this machine's processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy
from PIL import Image, ImageDraw, ImageFont
from rapidocr import RapidOCR

from docmill.reading.layout.composing import usual_turns
from docmill.reading.layout.words import Word
from docmill.reading.ocr.lettering import Part, words_of

__all__ = ["load", "words_in"]

THREADS = 1
"""A page takes one core, so that who reads beside it has the others."""
LEAST_SCORE = 0.5
EXCESS = 0.2
"""Of a box's height: so much higher the engine draws it than the line, half above and half below."""
DOUBTFUL = 0.85
"""A line with a lower score is read a second time, the other way round."""
UPRIGHT = 1.5
"""A line that is so many times as high as wide runs down the page, or up."""


class _Flipped(str):
    """The text of a line that stands on its head."""

    __slots__ = ()


class _Engine(RapidOCR):
    """Reads each line as it lies, and one that reads badly the other way round as well.

    The package's own guess at which way a line lies, made before it is read, turns lines that lay well, and no
    letter of them is right then.
    """

    def recognize_txt(self, img: list[Any]) -> Any:
        """Returns the lines' texts, scores and words, of both ways the better one."""
        found: Any = super().recognize_txt(img)
        doubtful = [at for at, score in enumerate(found.scores) if score < DOUBTFUL]
        if not doubtful:
            return found
        turned: Any = super().recognize_txt([numpy.ascontiguousarray(img[at][::-1, ::-1]) for at in doubtful])
        texts, scores, words = list(found.txts), list(found.scores), list(found.word_results)
        for at, text, score, parts in zip(doubtful, turned.txts, turned.scores, turned.word_results, strict=True):
            if score > scores[at]:
                texts[at], scores[at], words[at] = _Flipped(text), score, parts
        found.txts, found.scores, found.word_results = tuple(texts), tuple(scores), tuple(words)
        return found


@cache
def load() -> Any:
    """Loads the models, which takes seconds; before rights to open files are given up."""
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": THREADS for kind in ("intra", "inter")}
    how = {"Global.log_level": "critical", "Global.text_score": LEAST_SCORE, "Global.use_cls": False}
    engine = _Engine(params={**threads, **how})
    # The first line that it finds in a picture makes the engine open the models that it opens late.
    first = Image.new("RGB", (400, 100), "white")
    ImageDraw.Draw(first).text((20, 20), "TOTAL 12.50", fill="black", font=ImageFont.load_default(48))
    engine(numpy.asarray(first), return_word_box=True)
    return engine


def words_in(picture: Image.Image, *, within_s: float) -> list[Word]:  # noqa: ARG001 - engines share a shape
    """Returns the words of a picture in its own dots. Its time is bounded by the process that it runs in."""
    words = _read(picture)
    turns = usual_turns(words)
    if not turns:
        return words
    # Lines that run down the page are found in pieces: it is read as a person would turn it.
    level = _read(picture.rotate(-90 * turns, expand=True))
    right = picture.width if turns in (2, 3) else 0
    down = picture.height if turns in (1, 2) else 0
    return [_moved(word.turned(-turns), right, down) for word in level]


def _moved(word: Word, right: int, down: int) -> Word:
    return replace(word, x0=word.x0 + right, y0=word.y0 + down, x1=word.x1 + right, y1=word.y1 + down)


def _read(picture: Image.Image) -> list[Word]:
    pixels = numpy.asarray(picture.convert("RGB"))[:, :, ::-1]
    found = load()(pixels, return_word_box=True)
    if not found.txts:
        return []  # what it says of the words of nothing has another shape
    lines = zip(found.txts, found.boxes, found.word_results, strict=True)
    return [word for number, line in enumerate(lines) for word in _words(*line, number)]


def _words(text: str, corners: Any, parts: Sequence[Any], number: int) -> Iterator[Word]:
    """The words of one line, which may run in each of the four ways."""
    line = _box(corners)
    flipped = isinstance(text, _Flipped)
    upright = line[3] - line[1] >= UPRIGHT * (line[2] - line[0])
    # What runs down the page has its letters turned with the clock: three quarters against it.
    turns = (3 if upright else 0) + (2 if flipped else 0)
    placed = [
        Part(said, _mirrored(_box(box), line) if flipped else _box(box)) for said, _, box in parts if len(box)
    ]
    for at, (said, box) in enumerate(words_of(text, placed, runs_down=upright)):
        yield Word(said, *box, number * 1000 + at, turns % 4)


def _box(corners: Any) -> tuple[float, float, float, float]:
    xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _mirrored(
    box: tuple[float, float, float, float], line: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """Where a part of a line stands that was found on the line as it is turned round."""
    across, down = line[0] + line[2], line[1] + line[3]
    return across - box[2], down - box[3], across - box[0], down - box[1]
