"""Tables in which no figure is ever cut, and no word of a document acts.

A table that is too wide folds its texts between words. Where that does not do, each row is a card, a line a field;
nothing is dropped. Into a pipe or a file a table is as wide as it has to be.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from docmill.sheets import no_formula
from docmill.visible import visible

__all__ = ["made_console", "no_formula", "print_table"]

FIGURE = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:\s?%)?")
LONGEST_WORD = 24
"""A word may be broken beyond; a figure never is."""
BETWEEN = 2
"""Columns of space between two of a table."""
NEEDS_SOMEBODY = {
    "failed": "red",
    "wrong": "red",
    "needs_review": "yellow",
    "held": "yellow",
}
"""What has a colour; NO_COLOR takes it away."""


def made_console() -> Console:
    """Prints what it is given: no brackets are markup, no colons are pictures, and nothing is cut at an edge."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


def _width() -> int | None:
    """Of the terminal, or as COLUMNS says; None for as wide as it has to be."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return max(20, shutil.get_terminal_size().columns)
    return None


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, total: Sequence[object] | None = None
) -> None:
    """A table; figures stand to the right. ``total`` is a last row, set apart."""
    texts = [[_shown(cell) for cell in row] for row in [*rows, *([total] if total is not None else [])]]
    width = _width()
    widths = _widths(columns, texts, width)
    if widths is None:
        lines = _cards(columns, texts, width or 0)
    else:
        lines = _table(columns, texts, widths, has_total=total is not None)
    console = made_console()
    console.print(Text(visible(title), style="bold"))
    for line in lines:
        console.print(line)


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:f}" if isinstance(cell, Decimal) else visible(str(cell))


def _is_figures(at: int, texts: Sequence[Sequence[str]]) -> bool:
    """Whether a column holds figures, and what stands for one that is not known."""
    cells = [row[at] for row in texts if row[at] not in ("", "unknown", "total")]
    return bool(cells) and all(FIGURE.fullmatch(cell) for cell in cells)


def _natural(at: int, columns: Sequence[str], texts: Sequence[Sequence[str]]) -> int:
    return max(cell_len(columns[at]), *(cell_len(row[at]) for row in texts), 1)


def _least(at: int, columns: Sequence[str], texts: Sequence[Sequence[str]]) -> int:
    """How narrow a column may be: no figure is broken, nor a word that is not very long."""
    words = [word for row in texts for word in row[at].split()] or [""]
    figures = [cell_len(word) for word in words if any(character.isdigit() for character in word)]
    usual = min(LONGEST_WORD, max(cell_len(word) for word in words))
    return max(*(cell_len(word) for word in columns[at].split()), usual, *(figures or [1]))


def _widths(columns: Sequence[str], texts: Sequence[Sequence[str]], width: int | None) -> list[int] | None:
    """How wide each column is; None where the table has no place."""
    widths = [_natural(at, columns, texts) for at in range(len(columns))]
    if width is None:
        return widths
    over = sum(widths) + BETWEEN * len(widths) - width
    for at in sorted(range(len(columns)), key=lambda at: -widths[at]):
        if over > 0 and not _is_figures(at, texts):
            given = min(over, max(0, widths[at] - _least(at, columns, texts)))
            widths[at] -= given
            over -= given
    return widths if over <= 0 else None


def _table(
    columns: Sequence[str], texts: Sequence[Sequence[str]], widths: Sequence[int], *, has_total: bool
) -> Iterator[Text]:
    right = [_is_figures(at, texts) for at in range(len(columns))]
    rule = Text("─" * (sum(widths) + BETWEEN * (len(widths) - 1)), style="dim")
    yield from _row(columns, widths, right, style="bold")
    yield rule
    for number, row in enumerate(texts, start=1):
        if has_total and number == len(texts):
            yield rule
        yield from _row(row, widths, right)


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], style: str = "") -> Iterator[Text]:
    folded = [_folded(cell, wide) for cell, wide in zip(cells, widths, strict=True)]
    for number in range(max(map(len, folded), default=0)):
        line = Text()
        for cell, lines, wide, to_right in zip(cells, folded, widths, right, strict=True):
            part = lines[number] if number < len(lines) else ""
            space = " " * max(0, wide - cell_len(part))
            line.append(space if to_right else "").append(part, style=style or _style(cell))
            line.append(("" if to_right else space) + " " * BETWEEN)
        line.rstrip()
        yield line


def _cards(columns: Sequence[str], texts: Sequence[Sequence[str]], width: int) -> Iterator[Text]:
    """A line a field, the value behind its name; a value too long for that goes on below it."""
    indent = max((cell_len(name) for name in columns), default=0) + BETWEEN
    for row in texts:
        for name, cell in zip(columns, row, strict=True):
            for number, part in enumerate(_folded(cell, max(10, width - indent))):
                yield Text(("" if number else name).ljust(indent), style="dim").append(part, style=_style(cell))
        yield Text("")


def _folded(cell: str, width: int) -> list[str]:
    """The cell in lines, broken between words; a word that is too long is broken, and one with figures never."""
    lines = [""]
    for word in cell.split(" "):
        for part in _broken(word, width):
            if lines[-1] and cell_len(lines[-1]) + 1 + cell_len(part) <= width and part == word:
                lines[-1] += f" {part}"
            elif lines[-1]:
                lines.append(part)
            else:
                lines[-1] = part
    return lines


def _broken(word: str, width: int) -> Iterator[str]:
    if any(character.isdigit() for character in word):
        yield word
        return
    while cell_len(word) > width:
        part = word[:width] if cell_len(word[:width]) <= width else word[: max(1, width // 2)]
        yield part
        word = word[len(part) :]
    yield word


def _style(cell: str) -> str:
    return NEEDS_SOMEBODY.get(cell.partition(" ")[0], "")
