"""Excel workbooks to text: each sheet's rows, cells parted by tabs, as a person sees them.

The parts are walked directly, because a workbook is to be read whatever its styles, properties and dates are like.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from docmill.errors import Unreadable
from docmill.reading.cellformats import Formats
from docmill.reading.cleaning import clean
from docmill.reading.drawing import drawn_lines, paragraph_text
from docmill.reading.media import XLSX
from docmill.reading.package import Element, Package, Part, attribute, children, first, local
from docmill.reading.values import (
    Limits,
    Reading,
    ReadingWarning,
    WarningKind,
    reading_of,
    require_length,
    warned,
    warnings_of,
)

PAGE_BREAK = "\n\n"
MOST_COLUMNS = 16_384
"""Of a sheet, by the standard."""
_REFERENCE = re.compile(r"([A-Z]{1,3})[0-9]")
_BREAKS = re.compile(r"(?<!\s)[^\S\t\r\n]*+[\t\r\n]\s*+")
_PRINTED = re.compile(r"&(?:\"[^\"]*\"|[0-9]+|K[0-9A-F]{6}|[A-Za-z+&-])", re.IGNORECASE)
"""Codes in the text of a printed header: fonts, sizes, colours, page numbers."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Reads each sheet that is shown, a page a sheet. Raises Unreadable: encrypted, corrupt, too_large."""
    workbook = _Workbook(Package(body), limits)
    try:
        sheets = [workbook.sheet_text(name, part) for name, part in workbook.sheets()]
    except (etree.LxmlError, ValueError) as error:
        raise Unreadable("corrupt", f"it is no whole workbook ({type(error).__name__}): save it again") from error
    starts, at = [], 0
    for text in sheets:
        starts.append(at)
        at += len(text) + len(PAGE_BREAK)
    return reading_of(PAGE_BREAK.join(sheets), XLSX, pages=tuple(starts), warnings=workbook.warnings())


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Which cells of a sheet are shown."""

    hidden_columns: Sequence[tuple[int, int]]

    def column(self, place: int) -> bool:
        return not any(start <= place <= end for start, end in self.hidden_columns)


class _Workbook:
    """One workbook while it is read: what its sheets share, and what was met in them."""

    def __init__(self, package: Package, limits: Limits) -> None:
        self._package = package
        self._limits = limits
        self._strings = list(_shared_strings(package))
        main = package.main.root
        styles = next(package.related(package.main, "styles"), None)
        properties, calculation = first(main, "workbookPr"), first(main, "calcPr")
        self._formats = Formats.of(
            None if styles is None else styles.root,
            from_1904=properties is not None and attribute(properties, "date1904") in ("1", "true"),
        )
        self._to_be_computed = calculation is not None and attribute(calculation, "fullCalcOnLoad") in (
            "1",
            "true",
        )
        """A program wrote the formulas, and left their results to whoever opens the file."""
        self._unread: Counter[WarningKind] = Counter()
        self._hidden: list[str] = []
        self._length = 0

    def sheets(self) -> Iterator[tuple[str, Part]]:
        """Yields the sheets that are shown, by name."""
        listed = first(self._package.main.root, "sheets")
        for reference in () if listed is None else children(listed, "sheet"):
            name = attribute(reference, "name") or ""
            key = next((str(value) for at, value in reference.attrib.items() if at.endswith("}id")), None)
            _, target = self._package.main.targets.get(key or "", ("", ""))
            if attribute(reference, "state") in ("hidden", "veryHidden"):
                self._hidden.append(f"sheet {name}")
            elif target:
                yield name, Part(name=target, root=None, targets=self._package.targets_of(target))

    def warnings(self) -> list[ReadingWarning]:
        """Returns what was left out of the text, or only guessed."""
        told = warnings_of(self._unread)
        return [*told, warned("hidden_sheet", self._hidden)] if self._hidden else told

    def sheet_text(self, name: str, part: Part) -> str:
        """Returns a sheet's name and what stands on it; nothing for an empty one."""
        lines = [*self._rows(part), *self._beside(part)]
        return clean("\n".join([name, *lines])) if lines else ""

    # --- cells ---

    def _rows(self, part: Part) -> Iterator[str]:
        seen = _Seen(hidden_columns=())
        for element in self._package.stream(part.name, ("cols", "row", "headerFooter", "p")):
            if local(element) == "cols":
                seen = _Seen(hidden_columns=list(_hidden_columns(element)))
                continue
            if local(element) == "row":
                line = self._row(element, seen)
            elif local(element) == "headerFooter":
                line = _printed(element)
            else:  # a chart sheet holds a drawing alone
                continue
            if line:
                self._length += len(line) + 1
                require_length(self._length, self._limits)
                yield line

    def _row(self, row: Element, seen: _Seen) -> str:
        cells: list[str] = []
        hidden = attribute(row, "hidden") in ("1", "true")
        for cell in children(row, "c"):
            column = _column(attribute(cell, "r"), len(cells))
            words = self._cell(cell)
            # A filter hides rows as well as a person does, so they are read, and told.
            self._unread["hidden_cell"] += bool(words) and (hidden or not seen.column(column))
            cells += [""] * (column + 1 - len(cells))
            cells[column] = words
        return "\t".join(cells).rstrip("\t")

    def _cell(self, cell: Element) -> str:
        kind = attribute(cell, "t") or "n"
        if kind == "inlineStr":
            return _one_line(_rich_text(first(cell, "is")))
        formula, value = first(cell, "f"), first(cell, "v")
        said = "" if value is None else value.text or ""
        if formula is not None and (not said or (said == "0" and self._to_be_computed)) and kind != "str":
            self._unread["formula"] += 1
            return f"={_one_line(formula.text or '')}"
        if kind == "s":
            return _one_line(self._strings[int(said)]) if said.isdigit() and int(said) < len(self._strings) else ""
        if kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(said, said)
        if kind != "n" or not said:
            return _one_line(said)
        return _one_line(self._formats.shown(said, attribute(cell, "s")))

    # --- what lies upon the cells ---

    def _beside(self, part: Part) -> Iterator[str]:
        for drawing in self._package.related(part, "drawing"):
            for element in drawing.root.iter():
                if local(element) == "txBody":
                    yield from (paragraph_text(paragraph) for paragraph in children(element, "p"))
                elif local(element) == "graphicFrame":
                    yield from drawn_lines(self._package, drawing, element)
                self._unread["picture"] += local(element) == "blip"
        yield from self._controls(part)
        yield from self._comments(part)
        self._unread["embedded"] += len(part.named("oleObject")) + len(part.named("package"))

    def _controls(self, part: Part) -> Iterator[str]:
        """The words upon buttons and beside boxes to tick, and whether these are ticked."""
        for drawing in self._package.related(part, "vmlDrawing"):
            for shape in (each for each in drawing.root.iter() if local(each) == "shape"):
                data = first(shape, "ClientData")
                kind = None if data is None else attribute(data, "ObjectType")
                box = first(shape, "textbox")
                words = "" if box is None or kind == "Note" else _one_line("".join(box.itertext()))
                if words and kind in ("Checkbox", "Radio"):
                    ticked = first(data, "Checked")
                    words = f"{'☐' if ticked is None or ticked.text == '0' else '☒'} {words}"
                if words:
                    yield words

    def _comments(self, part: Part) -> Iterator[str]:
        threads = [
            each for found in self._package.related(part, "threadedComment") for each in _comments_in(found)
        ]
        # Beside a thread, the older kind of comment only says that there is one.
        taken = {attribute(thread, "ref") for thread in threads}
        older = (each for found in self._package.related(part, "comments") for each in _comments_in(found))
        for comment in [*(each for each in older if attribute(each, "ref") not in taken), *threads]:
            words = _one_line(_rich_text(comment))
            if words:
                yield f"Comment on {attribute(comment, 'ref')}: {words}"


def _comments_in(part: Part) -> Iterator[Element]:
    return (each for each in part.root.iter() if local(each) in ("comment", "threadedComment"))


def _shared_strings(package: Package) -> Iterator[str]:
    for name in package.main.named("sharedStrings"):
        for item in package.stream(name, ("si",)):
            yield _rich_text(item)


def _rich_text(element: Element | None) -> str:
    """The text of a cell, without the reading aid of Japanese (``rPh``)."""
    if element is None:
        return ""
    texts = (each for each in element.iter() if local(each) in ("t", "text"))
    return "".join(each.text or "" for each in texts if local(each.getparent()) != "rPh")


def _one_line(text: str) -> str:
    """A cell's line breaks and tabs would end its row or its column."""
    return _BREAKS.sub(" ", text).strip()


def _column(reference: str | None, otherwise: int) -> int:
    """The number of a cell's column, from 0: ``C5`` is in column 2. A cell without a reference comes next."""
    found = _REFERENCE.match(reference or "")
    if found is None:
        return min(otherwise, MOST_COLUMNS - 1)
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return min(number, MOST_COLUMNS) - 1


def _hidden_columns(columns: Element) -> Iterator[tuple[int, int]]:
    for column in children(columns, "col"):
        start, end = attribute(column, "min") or "", attribute(column, "max") or ""
        if attribute(column, "hidden") in ("1", "true") and start.isdigit() and end.isdigit():
            yield int(start) - 1, int(end) - 1


def _printed(element: Element) -> str:
    """What stands above and below the printed sheet, on its first and even pages as well where they differ."""
    kinds = ["odd"]
    kinds += ["even"] if attribute(element, "differentOddEven") in ("1", "true") else []
    kinds += ["first"] if attribute(element, "differentFirst") in ("1", "true") else []
    names = {f"{kind}{where}" for kind in kinds for where in ("Header", "Footer")}
    parts = (child.text for child in element if local(child) in names and child.text)
    return _one_line(" ".join(_PRINTED.sub(" ", part) for part in parts))
