"""Workbooks beside xlsx to text: the old binary kind (xls), the newer one (xlsb), and OpenDocument's (ods).

A library reads their values. What lies upon their cells (drawings, comments) and how numbers are shown it does not
tell: dates come in the form of ISO 8601, numbers as they are kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

from docmill.errors import Unreadable
from docmill.reading.archives import require_archive, require_unlocked
from docmill.reading.cleaning import clean
from docmill.reading.media import OLE_SIGNATURE, XLS, office_kind
from docmill.reading.values import SEPARATOR, Limits, Reading, reading_of, require_length, warned

__all__ = ["read_body"]


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Reads each sheet that is shown, a page a sheet. Raises Unreadable: encrypted, corrupt, too_large."""
    kind = XLS if body.startswith(OLE_SIGNATURE) else office_kind(body) or XLS
    if not body.startswith(OLE_SIGNATURE):
        require_archive(body)
        require_unlocked(body)
    hidden: list[str] = []
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(body))
        sheets = list(_sheets(workbook, limits, hidden))
    except PasswordError as error:
        raise Unreadable("encrypted", "it is locked with a password: submit it without one") from error
    except (CalamineError, ValueError, OSError) as error:
        raise Unreadable("corrupt", f"it is no whole workbook ({type(error).__name__}): save it again") from error
    starts, at = [], 0
    for text in sheets:
        starts.append(at)
        at += len(text) + len(SEPARATOR)
    warnings = [warned("hidden_sheet", hidden)] if hidden else []
    return reading_of(SEPARATOR.join(sheets), kind, pages=tuple(starts), warnings=warnings)


def _sheets(workbook: CalamineWorkbook, limits: Limits, hidden: list[str]) -> Iterator[str]:
    length = 0
    for sheet in workbook.sheets_metadata:
        if sheet.typ != SheetTypeEnum.WorkSheet:
            continue
        if sheet.visible != SheetVisibleEnum.Visible:
            hidden.append(f"sheet {sheet.name}")
            continue
        lines = []
        for row in workbook.get_sheet_by_name(sheet.name).to_python():
            line = "\t".join(map(_shown, row)).rstrip("\t")
            length += len(line) + 1
            require_length(length, limits)
            if line:
                lines.append(line)
        yield clean("\n".join([sheet.name, *lines])) if lines else ""


def _shown(value: Any) -> str:
    """A cell as text: a line break within it would end its row."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
        case datetime():
            return value.isoformat(sep=" ").removesuffix(" 00:00:00")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
    return " ".join(str(value).split())
