"""A document cut into parts, at pages, headings and rows; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from docmill.parts.lines import Lines
from docmill.retrieval.chunking import is_heading

__all__ = ["Part", "Size", "beside", "cut", "expected_rows", "halves", "joined_spans"]

Spans = list[tuple[int, int]]

ROWS_A_PART = 40
"""A model lists so many without leaving some out."""
OVERLAP = 3
"""Lines of the part before that a part begins with: a row that goes over the cut stands whole in one of them."""
EARLIEST_CUT = 0.6
"""Of a part's room, before which it is not ended for the sake of a page or a heading."""
LONGEST_HEAD = 800
LONGEST_LINE = 240
"""Characters of the document's beginning, and of a heading or a table's header, that go along with each part."""
HEADER_LINES = 3
LOOKED_BACK = 400
"""Lines before a part in which its heading and its table's header are looked for."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one call is about. Its number is never another's within a job."""

    number: int
    spans: tuple[tuple[int, int], ...]
    """Characters of the document, in order."""
    beside: tuple[tuple[int, int], ...] = ()
    """What goes along: the document's beginning, the section's heading, the table's header."""
    rung: int = 0
    """The model, as a step of the prompt's ladder."""
    tries: int = 0
    """Rejected answers to the same stretch by the same model."""
    corrects: int | None = None
    """The part whose rejected answer this one corrects, with the ``problems`` of it."""
    problems: tuple[str, ...] = ()
    output: int | None = None
    """The output limit in tokens, where it is not the prompt's."""
    repairs: int = 0
    """Why it is asked at all: a gap that was seen in the whole so many times."""
    lost: str | None = None
    """Why it is asked no more: no model has a usable answer to it."""

    @property
    def shown(self) -> Spans:
        """All that the model is shown, in the document's order."""
        return joined_spans([*self.beside, *self.spans])

    @property
    def length(self) -> int:
        return sum(end - start for start, end in self.spans)

    def holds(self, offset: int) -> bool:
        """Returns whether the part is about the place of a character."""
        return any(start <= offset < end for start, end in self.spans)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much a part may hold."""

    tokens: int
    tokens_each: float
    """Tokens of the document for each of its characters."""
    rows: int = ROWS_A_PART
    row_tokens: float = 0.0
    """Tokens of an answer for each row, beside those of its words."""
    answer_tokens: int | None = None
    """What an answer may have."""


def expected_rows(lines: Lines) -> int:
    """Returns how many rows the tables of a document seem to have."""
    return sum(lines.is_row(line) for line in range(len(lines)))


def cut(lines: Lines, size: Size, pages: Sequence[int] = ()) -> list[Part]:
    """Cuts the whole document into parts, numbered from 1, each with a few lines of the one before it."""
    cuts = [*_cuts(lines, size, {lines.at(page) for page in pages}), len(lines)]
    parts: list[Part] = []
    for first, last in pairwise(cuts):
        begin = lines.starts[max(0, first - OVERLAP)] if first else 0
        for start, end in _within(begin, lines.span(last - 1)[1], size):
            if lines.text[start:end].strip():
                number = len(parts) + 1
                parts.append(Part(number=number, spans=((start, end),), beside=tuple(beside(lines, start))))
    return parts


def _within(start: int, end: int, size: Size) -> Iterator[tuple[int, int]]:
    """A stretch that is a single line may be longer than any part: it is cut anywhere, with overlap."""
    longest = max(200, int(size.tokens / size.tokens_each))
    if end - start <= 2 * longest:
        yield start, end
        return
    step = longest * 9 // 10
    for at in range(start, end, step):
        yield at, min(at + longest, end)


def _cuts(lines: Lines, size: Size, page_lines: set[int]) -> Iterator[int]:
    """The numbers of the lines that begin a part."""
    yield 0
    begin, used = 0, _Used()
    line = 0
    while line < len(lines):
        more = used.with_line(lines, line, size)
        if line > begin and more.over(size):
            begin = _best_cut(lines, begin, line, page_lines)
            yield begin
            line, used = begin, _Used()
            continue
        used, line = more, line + 1


@dataclass(frozen=True)
class _Used:
    tokens: float = 0.0
    rows: int = 0
    answer: float = 0.0

    def with_line(self, lines: Lines, line: int, size: Size) -> _Used:
        start, end = lines.span(line)
        tokens, row = (end - start) * size.tokens_each, lines.is_row(line)
        answer = tokens + size.row_tokens if row else 0.0
        return _Used(self.tokens + tokens, self.rows + row, self.answer + answer)

    def over(self, size: Size) -> bool:
        too_much_to_say = size.answer_tokens is not None and self.answer > size.answer_tokens
        return self.tokens > size.tokens or self.rows > size.rows or too_much_to_say


def _best_cut(lines: Lines, begin: int, end: int, page_lines: set[int]) -> int:
    """The last of the best lines to begin a part with: a page, a heading, or the row of a table."""
    earliest = begin + max(1, int((end - begin) * EARLIEST_CUT))
    return max(range(earliest, end + 1), key=lambda line: (_rank(lines, line, page_lines), line))


def _rank(lines: Lines, line: int, page_lines: set[int]) -> int:
    if line in page_lines:
        return 3
    if is_heading(lines.text, *_stripped(lines, line)) or not lines.words(line - 1):
        return 2
    return 1 if lines.is_row(line) else 0


def _stripped(lines: Lines, line: int) -> tuple[int, int]:
    start, end = lines.span(line)
    words = lines.text[start:end]
    return start + len(words) - len(words.lstrip()), start + len(words.rstrip())


def beside(lines: Lines, start: int) -> Spans:
    """Returns what a part that begins at ``start`` needs from before it, in order."""
    line = lines.at(start)
    found = [*_head(lines, line), *_heading(lines, line), *_header(lines, line)]
    return joined_spans([(begin, min(end, start)) for begin, end in found if begin < start])


def _head(lines: Lines, before: int) -> Iterator[tuple[int, int]]:
    """The beginning of the document up to its first rows: who, when, which currency."""
    end = 0
    for line in range(before):
        last = lines.span(line)[1]
        if lines.is_row(line) or last > LONGEST_HEAD:
            break
        end = last
    if end:
        yield 0, end


def _heading(lines: Lines, before: int) -> Iterator[tuple[int, int]]:
    for line in range(before - 1, max(-1, before - LOOKED_BACK), -1):
        start, end = _stripped(lines, line)
        if end > start and not lines.is_row(line) and is_heading(lines.text, start, end):
            yield lines.span(line)
            return


def _header(lines: Lines, before: int) -> Iterator[tuple[int, int]]:
    """The lines right above the last table that begins before: what its columns mean."""
    for line in range(before - 1, max(0, before - LOOKED_BACK), -1):
        if not lines.is_row(line) or lines.is_row(line - 1):
            continue
        above = line - 1
        while above >= 0 and line - above <= HEADER_LINES and lines.words(above) and not lines.is_row(above):
            start, end = lines.span(above)
            yield start, min(end, start + LONGEST_LINE)
            above -= 1
        return


def halves(lines: Lines, part: Part, numbers: Iterator[int]) -> list[Part]:
    """Cuts a part in two, at a line, with overlap; returns nothing where it is a line or two."""
    covered = [line for start, end in part.spans for line in range(lines.at(start), lines.at(end - 1) + 1)]
    if len(covered) < 2 * OVERLAP:
        return _halved_line(part, numbers)
    middle = len(covered) // 2
    sides = (covered[: middle + 1], covered[middle - 1 :])
    return [_of_lines(lines, side, part, next(numbers)) for side in sides]


def _halved_line(part: Part, numbers: Iterator[int]) -> list[Part]:
    """Of few long lines, each side has a little of the other one."""
    if len(part.spans) > 1 or part.length < 400:
        return []
    (start, end), edge = part.spans[0], part.length // 20
    middle = (start + end) // 2
    sides = ((start, middle + edge), (middle - edge, end))
    return [_like(part, number=next(numbers), spans=(side,), beside=part.beside) for side in sides]


def _of_lines(lines: Lines, chosen: Sequence[int], part: Part, number: int) -> Part:
    spans = joined_spans([lines.span(line) for line in chosen])
    return _like(part, number=number, spans=tuple(spans), beside=tuple(beside(lines, spans[0][0])))


def _like(
    part: Part, *, number: int, spans: tuple[tuple[int, int], ...], beside: tuple[tuple[int, int], ...]
) -> Part:
    return Part(
        number=number, spans=spans, beside=beside, rung=part.rung, output=part.output, repairs=part.repairs
    )


def joined_spans(spans: Sequence[tuple[int, int]]) -> Spans:
    """Sorts spans, and makes one of those that touch."""
    joined: Spans = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return joined
