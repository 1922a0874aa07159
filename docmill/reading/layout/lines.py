"""From the words of a page to its lines: rows of tables stay rows, columns of prose stay columns; pure geometry.

The words of one line are pieces, parted by gaps. Pieces that stand side by side are a row. Where rows have a gap
in common, and what lies on both sides of it reads like prose, they are columns, read one after the other. Else
they are a table: a tab parts its columns, an empty cell leaves its gap, and a cell that wraps stays with its row.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from docmill.reading.layout.words import Word

__all__ = ["Line", "lines_of"]

GAP = 1.0
"""Of the words' height: a wider gap parts two pieces."""
COLUMN_GAP = 0.35
"""Of the words' height: what parts two columns of a table at the least."""
PROSE_WORDS = 4
"""Words of a piece of prose, as most pieces have them."""
PROSE_ROWS = 4
FILLED = 0.55
"""Of a column's width: what most lines of prose fill."""
MOST_LINES = 12
"""Of a cell that wraps."""
CLOSER = 0.75
"""Of the distance between rows: lines of one cell are so close at the most."""
LEAST_ENTRIES = 3
"""Rows of each of two tables that stand side by side."""
MOST_DIGITS = 10
_AMOUNT = re.compile(
    r"[-+(]?(?:[€$£¥]|[A-Z]{3}\s)?\s?[-+]?\d{1,3}(?:[., '’\u00a0\u202f]?\d{3}){0,3}(?:[.,]\d{1,4})?"
    r"\)?\s?(?:%|[A-Z]{3}|[€$£¥]|kr)?-?"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that follow one another on a line without a gap."""

    words: tuple[Word, ...]
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def centre(self) -> float:
        return (self.x0 + self.x1) / 2

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text: its cells, each of words; one cell where it is no row of a table."""

    cells: tuple[tuple[Word, ...], ...]
    paragraph: bool = False
    """Whether a paragraph begins with it."""


@dataclass(slots=True)
class _Row:
    """Pieces side by side."""

    pieces: list[Piece] = field(default_factory=list)
    y0: float = 0.0
    y1: float = 0.0

    @property
    def height(self) -> float:
        return max(piece.height for piece in self.pieces)

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2


def lines_of(words: Sequence[Word]) -> list[Line]:
    """Returns the lines of a page in the order in which a person reads them."""
    level = [word for word in words if word.level]
    lines = list(_region(_pieces(level)))
    # What stands upright beside the text tears no line of it.
    upright = [word for word in words if not word.level]
    return [*lines, *(Line((piece.words,)) for piece in _upright_pieces(upright))]


# --- pieces and rows ---


def _pieces(words: Iterable[Word]) -> list[Piece]:
    """Joins words that the page draws one after the other on one line."""
    pieces: list[Piece] = []
    run: list[Word] = []
    for word in words:
        if run and not _follows(run[-1], word):
            pieces.append(_piece(run))
            run = []
        run.append(word)
    if run:
        pieces.append(_piece(run))
    return pieces


def _follows(last: Word, word: Word) -> bool:
    height = max(last.height, word.height, 0.1)
    if min(last.y1, word.y1) - max(last.y0, word.y0) < 0.5 * min(last.height, word.height):
        return False
    gap = max(word.x0 - last.x1, last.x0 - word.x1)
    return gap < GAP * height and abs(word.x0 - last.x1) < 40 * height


def _piece(words: Sequence[Word]) -> Piece:
    return Piece(
        tuple(words),
        min(word.x0 for word in words),
        min(word.y0 for word in words),
        max(word.x1 for word in words),
        max(word.y1 for word in words),
    )


def _upright_pieces(words: Sequence[Word]) -> list[Piece]:
    pieces: list[Piece] = []
    run: list[Word] = []
    for word in words:
        if run and min(run[-1].x1, word.x1) - max(run[-1].x0, word.x0) < 0:
            pieces.append(_piece(run))
            run = []
        run.append(word)
    return [*pieces, _piece(run)] if run else pieces


def _rows(pieces: Iterable[Piece]) -> list[_Row]:
    """Puts pieces that stand side by side into rows, from the top down."""
    rows: list[_Row] = []
    for piece in sorted(pieces, key=lambda each: (each.middle, each.x0)):
        row = rows[-1] if rows else None
        if row is not None and _beside(row, piece):
            row.pieces.append(piece)
            row.y0, row.y1 = min(row.y0, piece.y0), max(row.y1, piece.y1)
        else:
            rows.append(_Row([piece], piece.y0, piece.y1))
    for row in rows:
        row.pieces.sort(key=lambda each: each.x0)
    return rows


def _beside(row: _Row, piece: Piece) -> bool:
    """Whether the piece stands on the row's line, and upon no other piece of it."""
    last = row.pieces[-1]
    shared = min(last.y1, piece.y1) - max(last.y0, piece.y0)
    if shared < 0.5 * min(last.height, piece.height):
        return False
    return all(min(each.x1, piece.x1) - max(each.x0, piece.x0) < 0.3 * piece.height for each in row.pieces)


# --- columns of prose ---


def _region(pieces: Sequence[Piece]) -> Iterator[Line]:
    """The lines of a part of the page: runs of rows with a gap in common are columns, or a table."""
    rows = _rows(pieces)
    at = 0
    while at < len(rows):
        run, gutter = _columns_from(rows, at)
        if gutter is None:
            run = _until_columns(rows, at)
            yield from _block(rows[at : at + run])
        else:
            for side in _sides(rows[at : at + run], gutter):
                yield from _region(side)
        at += run


def _sides(rows: Sequence[_Row], gutter: float) -> tuple[list[Piece], list[Piece]]:
    """The pieces on the left and on the right of a gap."""
    pieces = [piece for row in rows for piece in row.pieces]
    return [each for each in pieces if each.centre < gutter], [each for each in pieces if each.centre >= gutter]


def _until_columns(rows: Sequence[_Row], at: int) -> int:
    """How many rows there are before the next columns of prose."""
    for end in range(at + 1, len(rows)):
        if len(rows[end].pieces) > 1 and _columns_from(rows, end)[1] is not None:
            return end - at
    return len(rows) - at


def _columns_from(rows: Sequence[_Row], at: int) -> tuple[int, float | None]:
    """How many rows from here on have a gap in common between prose on its left and right, and where it is."""
    for gap in _gaps(rows[at]):
        end, common = at + 1, gap
        while end < len(rows) and (narrowed := _narrowed(rows[end], *common)) is not None:
            end, common = end + 1, narrowed
        middle = sum(common) / 2
        if end - at >= PROSE_ROWS and _is_prose(rows[at:end], middle):
            return end - at, middle
    return 1, None


def _gaps(row: _Row) -> Iterator[tuple[float, float]]:
    for left, right in zip(row.pieces, row.pieces[1:], strict=False):
        if right.x0 > left.x1:
            yield left.x1, right.x0


def _narrowed(row: _Row, low: float, high: float) -> tuple[float, float] | None:
    """What is left of a gap beside a row's pieces; None where one of them crosses it."""
    for piece in row.pieces:
        if piece.x1 <= high and piece.x0 < low and piece.x1 > low:
            low = piece.x1
        elif piece.x0 >= low and piece.x1 > high and piece.x0 < high:
            high = piece.x0
        elif piece.x0 < high and piece.x1 > low:
            return None
    return (low, high) if high - low >= 0.5 * row.height else None


def _is_prose(rows: Sequence[_Row], gutter: float) -> bool:
    """Whether both sides of a gap read like prose: lines of several words that fill their column."""
    for side in (True, False):
        pieces = _sides(rows, gutter)[0 if side else 1]
        if len(pieces) < PROSE_ROWS:
            return False
        width = max(piece.x1 for piece in pieces) - min(piece.x0 for piece in pieces)
        if statistics.median(len(piece.words) for piece in pieces) < PROSE_WORDS:
            return False
        if statistics.median(piece.x1 - piece.x0 for piece in pieces) < FILLED * width:
            return False
    return True


# --- tables ---


def _between_tables(rows: Sequence[_Row]) -> float | None:
    """Where a gap parts two tables whose rows do not stand on the same lines; None where it is one table."""
    for gap in _gaps(max(rows, key=lambda row: len(row.pieces))):
        common: tuple[float, float] | None = gap
        for row in rows:
            common = common and _narrowed(row, *common)
        if common is not None and _are_two(rows, sum(common) / 2):
            return sum(common) / 2
    return None


def _are_two(rows: Sequence[_Row], gutter: float) -> bool:
    """Whether both sides of a gap have rows with names and amounts, some of them beside nothing of the other side.

    Below a table's last row its sums stand on the right alone; they do not make it two.
    """
    left = {at: side for at, row in enumerate(rows) if (side := _entry(row, gutter, on_left=True))}
    right = {at: side for at, row in enumerate(rows) if (side := _entry(row, gutter, on_left=False))}
    if min(len(left), len(right)) < LEAST_ENTRIES:
        return False
    if any(_is_amount(side[0].text) for row in rows if (side := _sides([row], gutter)[1])):
        return False  # a table's own first column has names
    begun = [at for at, row in enumerate(rows) if _sides([row], gutter)[0]]
    if any(at in right and at not in left and above not in left for above, at in pairwise(begun)):
        return False  # names on the left whose amounts stand on the right: no further lines of a name
    alone = [at for at in right if at < max(left) and not _sides([rows[at]], gutter)[0]]
    others = [at for at in left if at < max(right) and not _sides([rows[at]], gutter)[1]]
    return len(alone) >= 1 or len(others) > 1


def _entry(row: _Row, gutter: float, *, on_left: bool) -> list[Piece]:
    """The pieces of a row on one side of a gap, where these are several, and an amount among them."""
    side = _sides([row], gutter)[0 if on_left else 1]
    return side if len(side) > 1 and any(_is_amount(piece.text) for piece in side) else []


def _block(rows: Sequence[_Row]) -> Iterator[Line]:
    """Rows without columns of prose: runs of those with several pieces are tables."""
    at = 0
    above: _Row | None = None
    while at < len(rows):
        end = _table_end(rows, at)
        table = rows[at:end]
        begins = above is not None and table[0].y0 - above.y1 > 0.8 * table[0].height
        if end - at == 1:
            yield Line(tuple(piece.words for piece in table[0].pieces), paragraph=begins)
        elif (gutter := _between_tables(table)) is not None:
            for side in _sides(table, gutter):
                yield from _region(side)
        else:
            lines = _table(table)
            yield from (replace(line, paragraph=begins and place == 0) for place, line in enumerate(lines))
        above = table[-1]
        at = end


def _table_end(rows: Sequence[_Row], at: int) -> int:
    """Where the table ends that begins here. Rows of one piece belong to it between others, and right below."""
    if len(rows[at].pieces) < 2:
        return at + 1
    end = at + 1
    for place in range(at + 1, len(rows)):
        far = rows[place].y0 - rows[place - 1].y1 > 2.5 * rows[place].height
        if far:
            break
        if len(rows[place].pieces) > 1:
            end = place + 1
        elif place - end >= 3:
            break
    following = end
    while following < min(len(rows), end + MOST_LINES) and _goes_on(rows[following - 1], rows[following]):
        following += 1
    return following


def _goes_on(above: _Row, row: _Row) -> bool:
    return len(row.pieces) == 1 and row.y0 - above.y1 < 0.4 * row.height


@dataclass(slots=True)
class _TableRow:
    """A table's row: what stands in each of its columns."""

    cells: list[list[Word]]
    middle: float
    height: float

    @property
    def filled(self) -> list[int]:
        return [place for place, cell in enumerate(self.cells) if cell]


def _table(rows: Sequence[_Row]) -> list[Line]:
    columns = _columns(rows)
    table = [_placed(row, columns) for row in rows]
    return [Line(_trimmed(row.cells)) for row in _unwrapped(table)]


def _columns(rows: Sequence[_Row]) -> list[tuple[float, float]]:
    """Where the table's columns lie: spans that pieces cover, parted by gaps that hardly any piece crosses."""
    gap = COLUMN_GAP * statistics.median(row.height for row in rows)
    most = max(len(row.pieces) for row in rows)
    # Headings and sums that reach over columns would join them: rows with many pieces know the columns best.
    telling = [row for row in rows if len(row.pieces) > 1 and len(row.pieces) * 2 > most]
    spans = _joined_spans(((piece.x0, piece.x1) for row in telling for piece in row.pieces), gap)
    spans = [part for span in spans for part in _parted(span, telling, gap)]
    others = [(piece.x0, piece.x1) for row in rows if row not in telling for piece in row.pieces]
    # What stands beside all of them has a column of its own.
    beside = [(x0, x1) for x0, x1 in others if all(x1 + gap < left or right + gap < x0 for left, right in spans)]
    return _joined_spans([*spans, *beside], gap)


def _parted(span: tuple[float, float], rows: Sequence[_Row], gap: float) -> list[tuple[float, float]]:
    """A span in parts, where only a few pieces that reach over them had joined them: a heading of two columns."""
    inside = [[piece for piece in row.pieces if piece.x0 >= span[0] and piece.x1 <= span[1]] for row in rows]
    pieces = sorted((piece for row in inside for piece in row), key=lambda piece: piece.x0 - piece.x1)
    if not any(len(row) > 1 for row in inside):
        return [span]
    for few in range(1, 1 + len(pieces) // 5):
        parts = _joined_spans(((piece.x0, piece.x1) for piece in pieces[few:]), gap)
        if len(parts) > 1 and any(len({_column(each.x0, each.x1, parts) for each in row}) > 1 for row in inside):
            return parts
    return [span]


def _joined_spans(spans: Iterable[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for x0, x1 in sorted(spans):
        if joined and x0 < joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], x1))
        else:
            joined.append((x0, x1))
    return joined


def _placed(row: _Row, columns: Sequence[tuple[float, float]]) -> _TableRow:
    cells: list[list[Word]] = [[] for _ in columns]
    for piece in row.pieces:
        for word in piece.words if _crosses(piece, columns) else ():
            cells[_column(word.x0, word.x1, columns)].append(word)
        if not _crosses(piece, columns):
            cells[_column(piece.x0, piece.x1, columns)] += piece.words
    return _TableRow(cells, row.middle, row.height)


def _crosses(piece: Piece, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether the words of a piece stand in several columns, each word in one: cells set without a gap."""
    touched = [place for place, (x0, x1) in enumerate(columns) if piece.x0 < x1 and piece.x1 > x0]
    if len(touched) < 2:
        return False
    edges = [columns[place] for place in touched]
    return all(any(x0 - 1 <= word.x0 and word.x1 <= x1 + 1 for x0, x1 in edges) for word in piece.words)


def _column(x0: float, x1: float, columns: Sequence[tuple[float, float]]) -> int:
    """The column that a piece shares most with; the first of several; else the nearest."""
    shared = [min(x1, right) - max(x0, left) for left, right in columns]
    best = max(shared)
    if best > 0:
        return next(place for place, width in enumerate(shared) if width > 0)
    return shared.index(best)


def _trimmed(cells: Sequence[Sequence[Word]]) -> tuple[tuple[Word, ...], ...]:
    last = max((place for place, cell in enumerate(cells) if cell), default=-1)
    return tuple(tuple(cell) for cell in cells[: last + 1])


def _unwrapped(rows: Sequence[_TableRow]) -> list[_TableRow]:
    """Joins a cell's further lines with the row that they belong to: the nearest one that has an amount."""
    anchors = _anchor_columns(rows)
    if not anchors:
        return list(rows)
    result: list[_TableRow] = []
    pending: list[_TableRow] = []
    """Rows without an amount that belong to none yet."""
    last: tuple[_TableRow, float] | None = None
    """The last row with an amount, and how far down its lines reach."""
    gaps = _gaps_below(rows, anchors)
    for row, gap in zip(rows, gaps, strict=True):
        if last is not None and not pending and _continues(last[0], last[1], row, anchors, gap):
            result[-1] = _merged([last[0], row])
            last = (result[-1], row.middle)
        elif anchors.intersection(row.filled):
            taken = _taken_from_above(pending, row, last)
            result += pending[: len(pending) - len(taken)]
            result.append(_merged([*taken, row]))
            pending, last = [], (result[-1], row.middle)
        else:
            pending.append(row)
    return [*result, *pending]


def _anchor_columns(rows: Sequence[_TableRow]) -> frozenset[int]:
    """The columns that hold amounts, by most of their cells from the first amount on; not the first column."""
    found = set()
    for place in range(1, len(rows[0].cells)):
        cells = [" ".join(word.text for word in row.cells[place]) for row in rows if row.cells[place]]
        amounts = [bool(_is_amount(cell)) for cell in cells]
        below = amounts[amounts.index(True) :] if True in amounts else []
        if below and sum(below) * 5 >= len(below) * 3:
            found.add(place)
    return frozenset(found)


def _is_amount(cell: str) -> bool:
    """Whether a cell holds a number that may be summed; longer ones name something."""
    return sum(map(str.isdigit, cell)) <= MOST_DIGITS and _AMOUNT.fullmatch(cell) is not None


def _gaps_below(rows: Sequence[_TableRow], anchors: frozenset[int]) -> list[float]:
    """For each row how far the next one with an amount lies below what is above that; for the last the least."""
    gaps: list[float] = []
    gap = 0.0
    for at in range(len(rows) - 1, -1, -1):
        gaps.append(gap)
        if at and anchors.intersection(rows[at].filled):
            gap = rows[at].middle - rows[at - 1].middle
    known = [each for each in gaps if each]
    return [each or min(known, default=0.0) for each in reversed(gaps)]


def _continues(
    above: _TableRow, reaches: float, row: _TableRow, anchors: frozenset[int], gap_below: float
) -> bool:
    """Whether a row goes on with the cells of the one above it: set as closely as its lines, in cells that it has.

    A row with an amount of its own goes on only where its first column is empty, and no amount meets another:
    where cells are centred, an amount stands beside the second line of its row. A line of the first column alone
    may be a row or a heading; it goes on where it is clearly closer to what is above it than rows are.
    """
    if row.middle - reaches >= 1.45 * row.height:
        return False
    if row.filled == [0]:
        return bool(above.cells[0]) and row.middle - reaches <= CLOSER * gap_below
    own = anchors.intersection(row.filled)
    if own:
        return not row.cells[0] and not own.intersection(above.filled) and bool(above.cells[0])
    return all(above.cells[place] for place in row.filled)


def _taken_from_above(
    pending: Sequence[_TableRow], row: _TableRow, above: tuple[_TableRow, float] | None
) -> list[_TableRow]:
    """Lines above a row that belong to its cells, where its amount stands beside their middle."""
    taken: list[_TableRow] = []
    edge = row.middle
    for line in reversed(pending):
        if edge - line.middle > 1.3 * line.height or line.filled == [0]:
            break
        if above is not None and line.middle - above[1] < edge - line.middle:
            break
        taken.insert(0, line)
        edge = line.middle
    # Above the first amount there is the heading; a row that begins there has its first column in it.
    return taken if above is not None or not row.cells[0] else []


def _merged(rows: Sequence[_TableRow]) -> _TableRow:
    cells = [[word for row in rows for word in row.cells[place]] for place in range(len(rows[0].cells))]
    return _TableRow(cells, rows[-1].middle, rows[-1].height)
