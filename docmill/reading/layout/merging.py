"""A page's own words, and those that OCR found beside them on the same page; pure."""

from __future__ import annotations

from collections.abc import Sequence

from docmill.reading.layout.geometry import PageLayout, Placed, pack_page

__all__ = ["BREAK", "found_beside"]

BREAK = "\n\n"
"""Between what was found and the page's own words."""
REACH = 0.004
"""Of the page: how far a word's box may lie from where OCR sees the same word."""


def found_beside(text: str, layout: PageLayout, own: PageLayout) -> tuple[str, PageLayout]:
    """Returns what OCR found on a page (its text and layout) without the words that the page has itself.

    The layout that is returned has the page's own words too, as if their text followed after a break.
    """
    mine = own.words()
    kept: list[tuple[Placed, str]] = [
        (word, text[word.start : word.end]) for word in layout.words() if not _stands_in(word, mine)
    ]
    parts: list[str] = []
    placed: list[tuple[int, int, tuple[float, float, float, float]]] = []
    length, end = 0, 0
    for word, said in kept:
        between = _between(text[end : word.start]) if parts else ""
        parts += [between, said]
        length += len(between) + len(said)
        placed.append((length - len(said), length, _box(word, own)))
        end = word.end
    after = length + (len(BREAK) if parts else 0)
    placed += [(after + word.start, after + word.end, _box(word, own)) for word in mine]
    merged = pack_page(placed, width=own.width, height=own.height, turns=own.turns, by="ocr")
    return "".join(parts), merged


def _stands_in(word: Placed, others: Sequence[Placed]) -> bool:
    """Whether a word's middle lies in the box of another, or the other's middle in its own."""
    return any(_has_middle(other, word) or _has_middle(word, other) for other in others)


def _has_middle(box: Placed, word: Placed) -> bool:
    across, down = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return box.x0 - REACH <= across <= box.x1 + REACH and box.y0 - REACH <= down <= box.y1 + REACH


def _between(gap: str) -> str:
    """What parts two words between which others stood: the strongest of what stood there."""
    breaks = "".join(sign for sign in gap if sign in "\n\t ")
    if "\n" in breaks:
        return "\n\n" if "\n\n" in breaks else "\n"
    return "\t" if "\t" in breaks else " "


def _box(word: Placed, page: PageLayout) -> tuple[float, float, float, float]:
    return word.x0 * page.width, word.y0 * page.height, word.x1 * page.width, word.y1 * page.height
