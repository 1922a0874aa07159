"""Where each word of a page's text stands on the page as it is shown, packed: some five bytes a word."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["BLANK", "Box", "By", "PageLayout", "Placed", "check_page", "pack", "pack_page", "unpack"]

By: TypeAlias = Literal["text", "ocr"]
"""Who found a page's words: its own text says them, or OCR guessed them."""
Box: TypeAlias = tuple[float, float, float, float]
"""Left, upper, right and lower edge as shares of the page's width and height, from its upper left corner."""
NAMES: tuple[By, ...] = ("text", "ocr")

GRID = 8192
"""Steps across a page, in which boxes are kept: less than a tenth of a point of an ordinary one."""
SHARES = tuple(round(step / GRID, 5) for step in range(GRID + 1))
"""What each step is of the page."""
LARGEST = 32_767
MOST_WORDS = 300_000
"""Of one page; the places of those behind are not kept."""
LONGEST_SIDE = 1e6
"""Points of a page's width or height."""
WORD = struct.calcsize("<IIhhhh")
"""Bytes of a word as it is before it is compressed."""
HEAD = struct.Struct("<ffBBI")
"""Of a page: width, height, turns, who found its words, and the bytes that follow."""
VERSION = b"\x01"


class Placed(NamedTuple):
    """A word: where it stands in its page's text, and on the page."""

    start: int
    end: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, kw_only=True)
class PageLayout:
    """A page as it is shown, and its words."""

    width: float
    """In points; 0 where it is not known, as of a page that nobody read."""
    height: float
    turns: int = 0
    """Quarters of a turn, clockwise, that the page makes to be shown."""
    by: By = "text"
    packed: bytes = b""

    def words(self) -> list[Placed]:
        """Returns the page's words in the order of its text. Raises ValueError for bytes that hold none."""
        if not self.packed:
            return []
        starts, ends, *edges = _columns(self.packed)
        return list(map(Placed._make, zip(starts, ends, *edges, strict=True)))


BLANK = PageLayout(width=0, height=0)
"""Of a page whose places nobody knows."""


def pack_page(
    words: Iterable[tuple[int, int, Box]], *, width: float, height: float, turns: int = 0, by: By = "text"
) -> PageLayout:
    """Packs a page's words: each with its start and end in the page's text, in order, and its box in points."""
    across, down = GRID / max(width, 0.01), GRID / max(height, 0.01)
    rows = [
        (start, end, _step(x0 * across), _step(y0 * down), _step(x1 * across), _step(y1 * down))
        for start, end, (x0, y0, x1, y1) in list(words)[:MOST_WORDS]
    ]
    size = {"width": _side(width), "height": _side(height)}
    return PageLayout(**size, turns=turns % 4, by=by, packed=_packed(rows))


def _step(value: float) -> int:
    return max(0, min(GRID, round(value)))


def _side(length: float) -> float:
    return max(0.0, min(LONGEST_SIDE, length))


def _packed(rows: Sequence[tuple[int, int, int, int, int, int]]) -> bytes:
    """The columns one after the other, each value as its difference from what it most likely is."""
    if not rows:
        return b""
    before = [(0, 0, 0, 0, 0, 0), *rows]
    pairs = list(pairwise(before))
    gaps = [row[0] - last[1] for last, row in pairs]
    lengths = [row[1] - row[0] for row in rows]
    shifts = [row[2] - last[4] for last, row in pairs]
    falls = [row[3] - last[3] for last, row in pairs]
    widths = [row[4] - row[2] for row in rows]
    heights = [row[5] - row[3] for row in rows]
    count = len(rows)
    plain = struct.pack(f"<{2 * count}I{4 * count}h", *gaps, *lengths, *shifts, *falls, *widths, *heights)
    return zlib.compress(plain, 6)


def _columns(packed: bytes) -> list[list[float]]:
    """Starts, ends, and the four edges as shares of the page. Raises ValueError."""
    plain = _unpressed(packed)
    count, rest = divmod(len(plain), WORD)
    if rest:
        raise ValueError("a page's layout is cut")
    numbers = struct.unpack(f"<{2 * count}I{4 * count}h", plain)
    gaps, lengths, shifts, falls, widths, heights = (numbers[at * count : (at + 1) * count] for at in range(6))
    ends = list(accumulate(map(sum, zip(gaps, lengths, strict=True))))
    starts = [end - length for end, length in zip(ends, lengths, strict=True)]
    rights = list(accumulate(map(sum, zip(shifts, widths, strict=True))))
    lefts = [right - width for right, width in zip(rights, widths, strict=True)]
    tops = list(accumulate(falls))
    bottoms = [top + height for top, height in zip(tops, heights, strict=True)]
    return [starts, ends, *([_share(each) for each in edge] for edge in (lefts, tops, rights, bottoms))]


def _share(step: int) -> float:
    return SHARES[max(0, min(GRID, step))]


def _unpressed(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, MOST_WORDS * WORD + 1)
    except zlib.error as error:
        raise ValueError("a page's layout is not compressed") from error
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("a page's layout is cut, or too long")
    return plain


def pack(pages: Sequence[PageLayout]) -> bytes:
    """Makes one run of bytes of all pages, for keeping."""
    parts = [VERSION]
    for page in pages:
        head = HEAD.pack(page.width, page.height, page.turns, NAMES.index(page.by), len(page.packed))
        parts += [head, page.packed]
    return b"".join(parts)


def unpack(kept: bytes) -> tuple[PageLayout, ...]:
    """Returns the pages that were packed; their words are not looked at. Raises ValueError."""
    if kept[:1] != VERSION:
        raise ValueError("a layout of another version")
    pages, at = [], 1
    while at < len(kept):
        page, at = _page_at(kept, at)
        pages.append(page)
    return tuple(pages)


def _page_at(kept: bytes, at: int) -> tuple[PageLayout, int]:
    if len(kept) - at < HEAD.size:
        raise ValueError("a layout is cut")
    width, height, turns, by, length = HEAD.unpack_from(kept, at)
    at += HEAD.size
    sizes_fit = 0 <= width <= LONGEST_SIDE and 0 <= height <= LONGEST_SIDE  # what is no number does not
    if turns > 3 or by >= len(NAMES) or length > len(kept) - at or not sizes_fit:
        raise ValueError("a layout makes no sense")
    page = PageLayout(width=width, height=height, turns=turns, by=NAMES[by], packed=kept[at : at + length])
    return page, at + length


def check_page(page: PageLayout, length: int) -> None:
    """Raises ValueError unless the words stand in order within a page's text of that length."""
    last = 0
    for word in page.words():
        if not last <= word.start <= word.end <= length:
            raise ValueError("a word stands where no text is")
        last = word.end
