"""A page's lines as text, with the box of each word by its place in the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from docmill.reading.cleaning import clean
from docmill.reading.layout.geometry import Box
from docmill.reading.layout.lines import Line, lines_of
from docmill.reading.layout.words import Word, turned

__all__ = ["Span", "compose", "compose_page", "usual_turns"]

HYPHENS = "-\u2010"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a word stands: in the text, from ``start`` to ``end``, and on the page, in points."""

    start: int
    end: int
    x0: float
    y0: float
    x1: float
    y1: float

    def lowered(self, share: float) -> Span:
        """Returns it with a share of its height less, half above and half below."""
        less = (self.y1 - self.y0) * share / 2
        return Span(self.start, self.end, self.x0, self.y0 + less, self.x1, self.y1 - less)

    def turned(self, quarters: int) -> Span:
        """Returns it on the page that is turned, by quarters of a turn with the clock."""
        return Span(self.start, self.end, *turned((self.x0, self.y0, self.x1, self.y1), quarters))


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A page's text, and its words in it."""

    text: str
    spans: Sequence[Span]

    def places(self) -> Iterator[tuple[int, int, Box]]:
        """Yields each word's start and end in the text, and its box."""
        for span in self.spans:
            yield span.start, span.end, (span.x0, span.y0, span.x1, span.y1)


def compose_page(words: Sequence[Word], *, excess: float = 0.0) -> Composed:
    """Writes the words of a page in the order in which a person reads them, who turns it as most letters are.

    ``excess`` is the share of its height by which each box is told too high, above and below its line.
    """
    turns = usual_turns(words)
    found = compose(lines_of([word.turned(turns) for word in words] if turns else words))
    if turns or excess:
        spans = [span.lowered(excess).turned(-turns) for span in found.spans]
        return Composed(text=found.text, spans=spans)
    return found


def usual_turns(words: Sequence[Word]) -> int:
    """Returns by how many quarters of a turn, against the clock, most letters of a page are turned."""
    letters: Counter[int] = Counter()
    for word in words:
        if word.turns is not None:
            letters[word.turns] += len(word.text)
    return max(letters, key=lambda turns: (letters[turns], -turns), default=0)


def compose(lines: Sequence[Line]) -> Composed:
    """Writes the lines: a space between words, a tab between cells, an empty line before a paragraph."""
    writer = _Writer()
    for line in lines:
        writer.line(line)
    return Composed(text="".join(writer.parts), spans=writer.spans)


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.spans: list[Span] = []
        self._length = 0

    def line(self, line: Line) -> None:
        """Adds a line; one that goes on with a divided word joins its last one."""
        cells = [[(word, text) for word in cell if (text := _said(word))] for cell in line.cells]
        if not any(cells):
            return
        joined = len(cells) == 1 and self._joins(cells[0][0][1])
        if self.parts and not joined:
            self._write("\n\n" if line.paragraph else "\n")
        for place, cell in enumerate(cells):
            if place:
                self._write("\t")
            for number, (word, text) in enumerate(cell):
                if number and not (_wraps(cell[number - 1][0], word) and self._joins(text)):
                    self._write(" ")
                self._word(word, text)

    def _joins(self, text: str) -> bool:
        """Whether a word divided at the end of the last line goes on here; its hyphen stays where it may belong.

        Before a small letter the hyphen was typography; before a capital or a digit it may be part of a name or
        a number.
        """
        if not self.parts or not _is_divided(self.parts[-1], text):
            return False
        if text[0].islower() and self.parts[-1][-2].isalpha():
            self.parts[-1] = self.parts[-1][:-1]
            self._length -= 1
            last = self.spans[-1]
            self.spans[-1] = Span(last.start, last.end - 1, last.x0, last.y0, last.x1, last.y1)
        return True

    def _word(self, word: Word, text: str) -> None:
        start = self._length
        self._write(text)
        self.spans.append(Span(start, self._length, word.x0, word.y0, word.x1, word.y1))

    def _write(self, text: str) -> None:
        self.parts.append(text)
        self._length += len(text)


def _wraps(last: Word, word: Word) -> bool:
    """Whether a word begins a further line of its cell."""
    return word.middle - last.middle > 0.6 * last.height


def _is_divided(last: str, text: str) -> bool:
    if len(last) < 2 or not text[0].isalnum():
        return len(text) > 1 and text[0] in HYPHENS and text[1].isalpha() and last[-1:].isalpha()
    if last[-1] not in HYPHENS or not last[-2].isalnum():
        return False
    return text[0].isalpha() or last[-2].isdigit()


def _said(word: Word) -> str:
    return clean(word.text).strip()
