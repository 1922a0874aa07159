"""The words of a PDF page with their boxes, as PDFium finds them, in the page's place as it is shown."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from docmill.reading.layout.words import Word

__all__ = ["Page", "page_of", "placing_of"]

SPLIT_AT = 0.28
"""Of a character's height: a wider gap parts two words that no space parts, as of two cells."""
INVISIBLE = pdfium.FPDF_TEXTRENDERMODE_INVISIBLE
LAYER = "OC\0".encode("utf-16-le")
WHITE = 250
"""Of 255, in each colour."""
SMALLEST = 1.5
"""Points: nobody reads what is smaller."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as it is shown: its size in points, and its words."""

    width: float
    height: float
    turns: int
    words: Sequence[Word]
    unmapped: int
    """Words whose font does not say which characters they are of."""
    outside: int
    """Words beyond the edges of the page as it is shown."""


@dataclass
class _Open:
    """A word that is being put together."""

    letters: list[str]
    x0: float
    y0: float
    x1: float
    y1: float
    first: int
    turns: int
    """Quarters of a turn, against the clock, by which its letters are turned on the page."""

    def takes(self, found: pdfium.FS_RECTF, letter: str) -> bool:
        """Returns whether a character stands close behind the last one; before it where one writes to the left."""
        word, box = (self.x0, self.y0, self.x1, self.y1), (found.left, found.bottom, found.right, found.top)
        if self.turns:
            word, box = _level(self.turns, *word), _level(self.turns, *box)
        height = max(word[3] - word[1], box[3] - box[1], 0.1)
        if min(word[3], box[3]) - max(word[1], box[1]) < 0.3 * height:
            return False
        gap = box[0] - word[2]
        if gap > SPLIT_AT * height:
            return False
        if gap < -0.5 * height and (box[0] < word[0] - 0.1 * height):
            return _runs_to_the_left(letter) and word[0] - box[2] < SPLIT_AT * height
        return True

    def add(self, box: pdfium.FS_RECTF, letter: str) -> None:
        self.letters.append(letter)
        self.x0, self.x1 = min(self.x0, box.left), max(self.x1, box.right)
        self.y0, self.y1 = min(self.y0, box.bottom), max(self.y1, box.top)


def page_of(page: Any, text_page: Any) -> Page:
    """Reads a page's words; ``text_page`` is PDFium's text page of it."""
    width, height = page.get_size()
    place = placing_of(page, width, height)
    raw = text_page.raw
    count = text_page.count_chars()
    words: list[Word] = []
    unmapped = outside = 0
    for found in _words(raw, count):
        unmapped += pdfium.FPDFText_HasUnicodeMapError(raw, found.first) == 1
        word = place.word(found, _is_doubtful(raw, found))
        if place.shows(word):
            words.append(word)
        else:
            outside += 1
    return Page(width=width, height=height, turns=place.turns, words=words, unmapped=unmapped, outside=outside)


def _words(raw: Any, count: int) -> Iterator[_Open]:
    box = pdfium.FS_RECTF()
    pointer = ctypes.byref(box)
    word: _Open | None = None
    for at in range(count):
        code = pdfium.FPDFText_GetUnicode(raw, at)
        letter = chr(code) if 0 < code < 0x110000 else ""
        if pdfium.FPDFText_IsHyphen(raw, at) == 1:
            letter = "-"
        elif not letter or letter.isspace() or code < 32 or pdfium.FPDFText_IsGenerated(raw, at) == 1:
            if word is not None and code != 0xAD:
                yield word
                word = None
            continue
        pdfium.FPDFText_GetLooseCharBox(raw, at, pointer)
        if word is not None and word.takes(box, letter):
            word.add(box, letter)
            continue
        if word is not None:
            yield word
        word = _Open([letter], box.left, box.bottom, box.right, box.top, at, _turns(raw, at))
    if word is not None:
        yield word


def _runs_to_the_left(letter: str) -> bool:
    return "\u0590" <= letter <= "\u08ff" or "\ufb1d" <= letter <= "\ufdff" or "\ufe70" <= letter <= "\ufeff"


def _level(turns: int, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    """A box as it would lie if its letters were not turned."""
    return {1: (y0, -x1, y1, -x0), 2: (-x1, -y1, -x0, -y0), 3: (-y1, x0, -y0, x1)}[turns]


def _turns(raw: Any, at: int) -> int:
    """Quarters of a turn; PDFium tells radians, with the clock. Letters that lean are taken for the nearest."""
    angle: float = pdfium.FPDFText_GetCharAngle(raw, at)
    return -round(angle / (math.pi / 2)) % 4


def _is_doubtful(raw: Any, word: _Open) -> bool:
    if word.y1 - word.y0 < SMALLEST:
        return True
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if pdfium.FPDFText_GetFillColor(raw, word.first, red, green, blue, alpha) and (
        alpha.value == 0 or min(red.value, green.value, blue.value) >= WHITE
    ):
        return True
    drawn = pdfium.FPDFText_GetTextObject(raw, word.first)
    # What is marked may lie on a layer that is switched off.
    return bool(drawn) and (pdfium.FPDFTextObj_GetTextRenderMode(drawn) == INVISIBLE or _is_layered(drawn))


def _is_layered(drawn: Any) -> bool:
    for place in range(max(0, min(pdfium.FPDFPageObj_CountMarks(drawn), 8))):
        name = (ctypes.c_ushort * 4)()
        size = ctypes.c_ulong()
        mark = pdfium.FPDFPageObj_GetMark(drawn, place)
        pdfium.FPDFPageObjMark_GetName(mark, name, 8, ctypes.byref(size))
        if bytes(name)[:6] == LAYER:
            return True
    return False


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Where a box of the page's own coordinates lies on the page as it is shown."""

    left: float
    bottom: float
    width: float
    height: float
    turns: int
    """Quarters of a turn, clockwise."""

    def word(self, found: _Open, doubtful: bool) -> Word:
        """Returns a word as it is shown."""
        left, top, right, bottom = self._shown(found.x0, found.y0, found.x1, found.y1)
        turns = (found.turns - self.turns) % 4
        return Word("".join(found.letters), left, top, right, bottom, found.first, turns, doubtful)

    def sign(self, text: str, x0: float, y0: float, x1: float, y1: float) -> Word:
        """Returns a sign that stands for something drawn in a box of the page."""
        return Word(text, *self._shown(x0, y0, x1, y1), order=-1, turns=None)

    def _shown(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        x0, x1, y0, y1 = x0 - self.left, x1 - self.left, y0 - self.bottom, y1 - self.bottom
        return {
            0: (x0, self.height - y1, x1, self.height - y0),
            1: (y0, x0, y1, x1),
            2: (self.width - x1, y0, self.width - x0, y1),
            3: (self.width - y1, self.height - x1, self.width - y0, self.height - x0),
        }[self.turns]

    def shows(self, word: Word) -> bool:
        middle = (word.x0 + word.x1) / 2
        return -1 <= middle <= self.width + 1 and -1 <= word.middle <= self.height + 1


def placing_of(page: Any, width: float, height: float) -> Placing:
    """Returns how a page's own coordinates are shown; width and height are those that it is shown with."""
    left, bottom, _, _ = page.get_bbox()
    return Placing(left=left, bottom=bottom, width=width, height=height, turns=page.get_rotation() // 90 % 4)
