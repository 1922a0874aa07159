"""The words of a text, and where a run of them stands in it."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property

from docmill.parsing.renderings.characters import folded

__all__ = ["APART", "BROKEN", "TOGETHER", "Words", "words_of"]

# Marks that belong to the letter before them, which `\w` leaves out; of India's scripts the whole blocks.
MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0970-\u0df3\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f"
)
UNSPACED = (
    "\u0e01-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3041-\u3098\u309d-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
"""Scripts that part no words, or whose words have endings glued on: each of their letters counts as a word."""
UNSPACED_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1160-\u11ff\u17b4-\u17d3\u3099\u309a\uff9e\uff9f"
)
RAISED = "\u00b2\u00b3\u00b9\u2070-\u209c\u2460-\u24ff"
"""Digits of footnotes and powers, which are no part of the word or number before them."""

LETTER = rf"[^\W\d_{UNSPACED}{RAISED}]"
LINE_END = r"[-¬][^\S\n]{0,40}\n\s{0,80}"
HYPHEN = rf"(?:{LINE_END}|[-¬])"


def _tokens(within: str) -> re.Pattern[str]:
    """Whatever counts as a word; ``within`` may part the letters of one."""
    return re.compile(
        rf"(?P<digits>\d+)|(?P<letters>{LETTER}(?:{within}(?:{LETTER}|[{MARKS}]))*)"
        rf"|(?P<single>[{UNSPACED}][{UNSPACED_MARKS}]*)|(?P<raised>[{RAISED}])"
    )


APART = _tokens("")
ASCII = re.compile("[0-9]+|[A-Za-z]+")
"""What ``APART`` finds where there is nothing else."""
TOGETHER = _tokens(f"{HYPHEN}?")
BROKEN = re.compile(rf"(?<={LETTER}){LINE_END}(?={LETTER})")
PARTS = re.compile(r"[-¬\s]+")
OFTEN = 200
"""Times that each of some words stands in a text, from which on they are looked up together."""
TOGETHER_MOST = 4
"""Words that are looked up together: more of them stand hardly anywhere by chance."""
ADJOINING = frozenset({"digits", "letters"})


class Words:
    """The words of a text, numbered, with where each stands; looked up by an index, not by a search."""

    def __init__(self, text: str, pattern: re.Pattern[str] = APART) -> None:
        self.words: list[str] = []
        self.starts = array("q")
        self.ends = array("q")
        self._followings: dict[int, tuple[array[int], array[int]]] = {}
        self._adjoined: set[int] = set()
        """Words that begin where another ends, as in ``A4``: they are the inside of something."""
        known: dict[str, str] = {}
        if pattern is APART and text.isascii():
            self._read_ascii(text, known)
            return
        last, end = "", -1
        for at, found in enumerate(pattern.finditer(text)):
            written, kind = found.group(), found.lastgroup or ""
            start = found.start()
            if start == end and kind in ADJOINING and last in ADJOINING:
                self._adjoined.add(at)
            last, end = kind, found.end()
            word = known.get(written)
            if word is None:
                word = known[written] = folded(PARTS.sub("", written))
            self.words.append(word)
            self.starts.append(start)
            self.ends.append(end)

    def _read_ascii(self, text: str, known: dict[str, str]) -> None:
        """The same for a text whose letters and digits need no telling apart, in half the time."""
        end = -1
        for at, found in enumerate(ASCII.finditer(text)):
            written, start = found[0], found.start()
            if start == end:
                self._adjoined.add(at)
            end = found.end()
            self.words.append(known.get(written) or known.setdefault(written, written.lower()))
            self.starts.append(start)
            self.ends.append(end)

    @cached_property
    def index(self) -> dict[str, list[int]]:
        """Each word's numbers."""
        index: dict[str, list[int]] = {}
        for at, word in enumerate(self.words):
            index.setdefault(word, []).append(at)
        return index

    def runs(self, wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Returns where these words follow one another: the number of the first, and of the one after the last.

        Nothing may be cut: what begins or ends with half of ``A4`` is another thing.
        """
        if not wanted:
            return
        wanted = list(wanted)
        rarest = min(range(len(wanted)), key=lambda at: len(self.index.get(wanted[at], ())))
        alone = self.index.get(wanted[rarest], ())
        rare = len(alone) <= OFTEN or len(wanted) == 1
        for first in (at - rarest for at in alone) if rare else self._where_some_follow(wanted):
            after = first + len(wanted)
            if first >= 0 and self.words[first:after] == wanted and not {first, after} & self._adjoined:
                yield first, after

    def _where_some_follow(self, wanted: Sequence[str]) -> list[int]:
        """Where a run may begin, by those of its words that follow one another in the fewest places.

        In a list of thousands of rows every single word stands thousands of times.
        """
        length = min(len(wanted), TOGETHER_MOST)
        hashes, places = self._following(length)
        found = []
        for first in range(len(wanted) - length + 1):
            key = hash(tuple(wanted[first : first + length]))
            low, high = bisect_left(hashes, key), bisect_right(hashes, key)
            found.append((high - low, first, low))
        count, first, low = min(found)
        return [at - first for at in places[low : low + count]]

    def _following(self, length: int) -> tuple[array[int], array[int]]:
        """Where so many words follow one another: hashes of them in order, and each one's first word's number.

        Two arrays take a tenth of the room that a dictionary does.
        """
        known = self._followings.get(length)
        if known is None:
            follow = zip(*(self.words[first:] for first in range(length)), strict=False)
            hashes = array("q", map(hash, follow))
            places = array("q", sorted(range(len(hashes)), key=hashes.__getitem__))
            known = self._followings[length] = array("q", map(hashes.__getitem__, places)), places
        return known

    def around(self, text: str, first: int, after: int) -> str:
        """A run of words with all that stands beside it, up to the words before and behind."""
        start = self.ends[first - 1] if first else 0
        end = self.starts[after] if after < len(self.starts) else len(text)
        return text[max(start, self.starts[first] - 8) : min(end, self.ends[after - 1] + 8)]


def words_of(text: str, pattern: re.Pattern[str] = APART) -> list[str]:
    return Words(text, pattern).words
