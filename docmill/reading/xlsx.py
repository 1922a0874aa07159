"""Excel workbooks to text: each sheet's rows, cells parted by tabs, with the values that were last computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from docmill.errors import Unreadable
from docmill.reading.archives import require_archive
from docmill.reading.cleaning import clean
from docmill.reading.media import XLSX
from docmill.reading.values import Limits, Reading, reading_of, require_length

PAGE_BREAK = "\n\n"


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The workbook's text, a page a sheet. Raises Unreadable: encrypted, corrupt, too_large."""
    archive = require_archive(body)
    try:
        workbook = load_workbook(archive, read_only=True, data_only=True)
        sheets = [_sheet(sheet, limits) for sheet in workbook.worksheets]
        workbook.close()
    except (InvalidFileException, BadZipFile, ParseError, KeyError, ValueError, TypeError, OSError) as error:
        raise Unreadable("corrupt", f"it is no whole workbook ({type(error).__name__}): save it again") from error
    starts, at = [], 0
    for text in sheets:
        starts.append(at)
        at += len(text) + len(PAGE_BREAK)
    return reading_of(PAGE_BREAK.join(sheets), XLSX, pages=tuple(starts))


def _sheet(sheet: Any, limits: Limits) -> str:
    sheet.reset_dimensions()  # what a file says of its size need not be so
    lines: list[str] = []
    length = 0
    for line in _lines(sheet):
        length += len(line) + 1
        require_length(length, limits)
        lines.append(line)
    return clean("\n".join([str(sheet.title), *lines])) if lines else ""


def _lines(sheet: Any) -> Iterator[str]:
    for row in sheet.iter_rows(values_only=True):
        line = "\t".join("" if value is None else str(value) for value in row).rstrip("\t")
        if line:
            yield line
