"""A text with its characters made alike, and the way back to where each stood."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cached_property, lru_cache
from itertools import accumulate

__all__ = ["Plain", "folded"]

UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u0640\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]+"
)
"""What no reader sees: soft hyphens, joiners, marks of direction, variation selectors, the stretching kashida."""
COMMON_SPACE = re.compile(r"[^\W\d] (?=[^\W\d])")
FIXED_SPACE = re.compile("[^\\W\\d]\u00a0(?=[^\\W\\d])")
SOFT_BREAK = re.compile("\u00ad(?=[^\\S\n]{0,40}\n)")
"""A soft hyphen at a line's end is one that is seen."""
ALIKE = {
    "‘": "'", "’": "'", "‛": "'", "ʼ": "'", "′": "'", "`": "'", "´": "'", "＇": "'",
    "‐": "-", "‑": "-", "﹣": "-", "－": "-",
    "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"', "＂": '"',
    "٫": ".", "．": ".", "٬": ",", "，": ",", "、": ",", "％": "%", "٪": "%", "（": "(", "）": ")",
    "：": ":", "／": "/", "＋": "+", "＃": "#", "￠": "¢", "￡": "£", "￥": "¥", "￦": "₩", "＄": "$",
}  # fmt: skip
"""One character for each of those that look or mean the same; dashes that are no hyphens stay what they are."""
LAST_DIGIT = 0x20000
"""Beyond it Unicode has no script with digits."""


class Plain:
    """A text without what is unseen, with ASCII's digits for those of all scripts.

    Each of its characters stands for one of the text: ``span`` tells for which.
    """

    def __init__(self, text: str) -> None:
        self.source = text
        if text.isascii():
            self.text = text
            self._removed: tuple[tuple[int, int], ...] = ()
            return
        whole = SOFT_BREAK.sub("-", text)
        self._removed = tuple(found.span() for found in UNSEEN.finditer(whole))
        plain = UNSEEN.sub("", whole).translate(_alike())
        # Some programs write no other space than the one that must not break: then it says nothing about numbers.
        is_common = len(FIXED_SPACE.findall(plain)) > len(COMMON_SPACE.findall(plain))
        self.text = plain.replace("\u00a0", " ") if is_common else plain

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Returns where a part of the plain text stands in the text itself; the part is not empty."""
        return (start, end) if not self._removed else (self._at(start), self._at(end - 1) + 1)

    def _at(self, place: int) -> int:
        return place + self._lengths[bisect_right(self._kept, place)]

    @cached_property
    def _lengths(self) -> list[int]:
        """How many characters are removed before the first removal's end, before the second's, and so on."""
        return [0, *accumulate(end - start for start, end in self._removed)]

    @cached_property
    def _kept(self) -> list[int]:
        """Where in the plain text each removal took place."""
        return [start - gone for (start, _), gone in zip(self._removed, self._lengths, strict=False)]


@lru_cache(maxsize=1)
def _alike() -> dict[int, str]:
    """What each character is translated to. Made when a text first needs it."""
    digits = {at: str(unicodedata.decimal(chr(at))) for at in range(0x80, LAST_DIGIT) if chr(at).isdecimal()}
    return digits | {ord(one): other for one, other in ALIKE.items()}


def folded(text: str) -> str:
    """A word as it compares: without regard to case, ligatures, full width, and the Turks' two letters i."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().replace("i\u0307", "i").replace("ı", "i")
