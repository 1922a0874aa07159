"""Answers as rows: JSON lines, CSV, or a workbook, in which each list of an answer is a sheet of its own.

What is added waits in a file until all columns are known, so that memory stays small however many there are.
No text is ever a formula, and a number is a number, also below zero.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from docmill.errors import Misconfigured
from docmill.visible import visible

__all__ = ["FORMATS", "MAIN", "Sheets", "no_formula"]

FORMATS = (".jsonl", ".csv", ".xlsx")
MAIN = "jobs"
"""The sheet with a row a job; a list's is named by its place in the answer."""
FIGURE = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:\s?%)?")
MOST_COLUMNS = 1000
"""Of a sheet; what an answer has beyond stands as JSON in the last, ``more``."""
MORE = "more"
LONGEST_CELL = 32_767
MOST_ROWS = 1_048_576
"""Of a workbook's sheet, as the format has it."""
LARGEST_EXACT = 10**15
"""Spreadsheets round whole numbers beyond: they are written as texts."""
NOT_IN_TITLES = re.compile(r"[\[\]:*?/\\\x00-\x1f]")

Cell = str | int | float | bool | Decimal | None
Row = dict[str, Any]


def no_formula(cell: str) -> str:
    """A cell of CSV that no spreadsheet takes for a formula; a number below zero stays one."""
    begins = cell.startswith(("=", "+", "-", "@", "\t", "\r")) and not FIGURE.fullmatch(cell)
    return f"'{cell}" if begins else cell


def rows_of(value: Any, sheet: str = "", at: str = "") -> Iterator[tuple[str, str, Row]]:
    """An answer's rows: sheet, place in the answer, and cells by their column. The answer itself comes first."""
    row: Row = {}
    lists: list[tuple[str, str, list[Any]]] = []
    _flatten(value, "", at, row, lists)
    yield sheet, at, row
    for column, place, items in lists:
        below = f"{sheet}.{column}" if sheet else column
        for number, item in enumerate(items):
            yield from rows_of(item, below, f"{place}.{number}")


def _flatten(value: Any, column: str, at: str, row: Row, lists: list[tuple[str, str, list[Any]]]) -> None:
    """Scalars and members of objects to the row, lists apart."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            below, place = (f"{column}.{name}" if column else str(name)), (f"{at}.{name}" if at else str(name))
            _flatten(each, below, place, row, lists)
    elif isinstance(value, list):
        lists.append((column or "value", at, value))
    elif value is not None or column:
        row[column or "value"] = value


class Columns:
    """The columns of a sheet, in the order in which they were met."""

    def __init__(self, first: Iterable[str]) -> None:
        self.names = list(first)
        self._known = set(self.names)

    def note(self, row: Mapping[str, Any]) -> None:
        for name in row:
            if name not in self._known:
                self._known.add(MORE if self._is_full else name)
                if not self._is_full:
                    self.names.append(name)
                elif MORE not in self.names:
                    self.names.append(MORE)

    @property
    def _is_full(self) -> bool:
        return len(self.names) >= MOST_COLUMNS

    def cells(self, row: Mapping[str, Any]) -> list[Cell]:
        """The row's cells; what has no column is JSON in the last one."""
        placed = set(self.names)
        rest = {name: each for name, each in row.items() if name not in placed}
        whole = {**row, MORE: json.dumps(rest, ensure_ascii=False)} if rest else row
        return [whole.get(name) for name in self.names]


class Sheets:
    """Answers to be written once all of them are known: ``add`` each, then ``write``."""

    def __init__(self) -> None:
        self._waiting = tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass")  # noqa: SIM115 - closed by close
        self.columns: dict[str, Columns] = {}
        self.jobs = 0
        self.cut = 0
        """Cells that a workbook had no room for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.close()

    def add(self, facts: Mapping[str, Any], value: Any) -> None:
        """Adds a job, of which ``facts`` stand before its answer; ``id`` and ``path`` stand in every sheet."""
        self.jobs += 1
        who = {name: facts.get(name) for name in ("id", "path")}
        for sheet, at, row in rows_of(value):
            whole = (
                {**facts, **_apart(row, facts)}
                if not sheet
                else {**who, "at": at, **_apart(row, ("id", "path", "at"))}
            )
            name = sheet or MAIN if sheet != MAIN else f"{MAIN}.{MAIN}"
            self.columns.setdefault(name, Columns(facts if not sheet else (*who, "at"))).note(whole)
            self._waiting.write(json.dumps([name, whole], ensure_ascii=False) + "\n")

    def _rows(self) -> Iterator[tuple[str, Row]]:
        self._waiting.seek(0)
        for line in self._waiting:
            sheet, row = json.loads(line, parse_float=Decimal)
            yield sheet, row

    def write(self, path: Path) -> list[Path]:
        """Writes files, and returns them: one, or with CSV one a list, too. Raises Misconfigured, OSError."""
        self.columns.setdefault(MAIN, Columns(()))
        if path.suffix == ".csv":
            return self._write_csv(path)
        if path.suffix == ".xlsx":
            return self._write_workbook(path)
        raise Misconfigured(f"{path.name} is no {', '.join(FORMATS)} file")

    def _write_csv(self, path: Path) -> list[Path]:
        titles = _titles(name for name in self.columns if name != MAIN)
        paths = {name: path.with_name(_file_name(path, title)) for name, title in titles.items()} | {MAIN: path}
        with ExitStack() as files:
            opened = {
                name: files.enter_context(each.open("w", encoding="utf-8", newline=""))
                for name, each in paths.items()
            }
            self.write_csv(opened)
        return list(paths.values())

    def write_csv(self, files: Mapping[str, TextIO]) -> None:
        """The sheets for which there is a file."""
        writers = {name: csv.writer(file, lineterminator="\r\n") for name, file in files.items()}
        for name, writer in writers.items():
            writer.writerow(map(no_formula, self.columns.setdefault(name, Columns(())).names))
        for name, row in self._rows():
            if name in writers:
                writers[name].writerow(map(_csv_cell, self.columns[name].cells(row)))

    def _write_workbook(self, path: Path) -> list[Path]:
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        titles = _titles(self.columns)
        sheets: dict[str, _Sheet] = {name: book.create_sheet(titles[name]) for name in self.columns}
        written = dict.fromkeys(sheets, 1)
        for name, columns in self.columns.items():
            sheets[name].append([self._cell(sheets[name], each) for each in columns.names])
        for name, row in self._rows():
            written[name] += 1
            if written[name] > MOST_ROWS:
                raise Misconfigured(f"a sheet has at most {MOST_ROWS:,} rows: export fewer jobs, or as .csv")
            sheets[name].append([self._cell(sheets[name], each) for each in self.columns[name].cells(row)])
        book.save(path)
        return [path]

    def _cell(self, sheet: Any, value: Cell) -> Any:
        """A cell whose kind is said, so that no text is guessed to be a formula."""
        from openpyxl.cell import WriteOnlyCell

        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float | Decimal) and -LARGEST_EXACT < value < LARGEST_EXACT:
            return value
        text = _printable(str(value))
        if len(text) > LONGEST_CELL:
            self.cut += 1
            mark = f"… cut here, of {len(text)} characters"
            text = text[: LONGEST_CELL - len(mark)] + mark
        cell = WriteOnlyCell(sheet)
        cell.value = text
        cell.data_type = "s"
        return cell


class _Sheet(Protocol):
    def append(self, row: list[Any], /) -> None: ...


def _apart(row: Row, taken: Iterable[str]) -> Row:
    """Fields of an answer that are named as a fact of its job get a name of their own."""
    names = set(taken)
    return {f"answer.{name}" if name in names else name: each for name, each in row.items()}


def _csv_cell(value: Cell) -> object:
    if isinstance(value, str):
        return no_formula(value)
    return f"{value:f}" if isinstance(value, Decimal) else value


def _printable(text: str) -> str:
    """What XML has no character for, as its escape; lines and tabs stay."""
    return re.sub(r"[^\n\t]+", lambda found: visible(found[0]), text)


def _file_name(path: Path, sheet: str) -> str:
    safe = re.sub(r"[^\w.-]", "_", sheet)[:80]
    return f"{path.stem}.{safe}{path.suffix}"


def _titles(names: Iterable[str]) -> Mapping[str, str]:
    """A title for each sheet: at most 31 characters, and no two alike."""
    titles: dict[str, str] = {}
    for name in names:
        plain = NOT_IN_TITLES.sub("_", name).strip("'")[:31] or "_"
        number, title = 2, plain
        while title.lower() in {each.lower() for each in titles.values()}:
            title = f"{plain[: 30 - len(str(number))]}~{number}"
            number += 1
        titles[name] = title
    return titles
