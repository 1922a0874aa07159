"""How a workbook shows its numbers: with leading zeros, as a percentage, as a date."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from xlfmt import format_value

from docmill.reading.package import Element, attribute, children, first

__all__ = ["Formats"]

# ECMA-376, part 1, 18.8.30; those from 14 on are dates and times, which differ from land to land.
BUILT_IN: Mapping[int, str] = {
    0: "General",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    14: "yyyy-mm-dd",
    15: "yyyy-mm-dd",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm",
    19: "h:mm:ss",
    20: "h:mm",
    21: "h:mm:ss",
    22: "yyyy-mm-dd h:mm",
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss",
    48: "##0.0E+0",
    49: "@",
}
LONGEST_CODE = 255
_QUOTED = re.compile(r"\"[^\"]*\"|\\.|_.|\*.|\[[^\[\]]*\]")
_DATED = re.compile(r"[dyj]|m{1,5}(?=[^a-z]|$)", re.IGNORECASE)
_TIMED = re.compile(r"[hs]", re.IGNORECASE)
_ELAPSED = re.compile(r"\[[hms]+\]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Formats:
    """The number formats of a workbook's cells."""

    codes: Sequence[str]
    """By the index of a cell's style."""
    from_1904: bool
    """Whether days are counted from 1904 and not from 1900."""

    @classmethod
    def of(cls, styles: Element | None, *, from_1904: bool) -> Formats:
        """Reads the formats out of a workbook's styles; broken ones are General."""
        numbered = dict(BUILT_IN)
        table = first(styles, "numFmts")
        for each in () if table is None else children(table, "numFmt"):
            numbered[_number(attribute(each, "numFmtId"))] = attribute(each, "formatCode") or "General"
        cells = first(styles, "cellXfs")
        codes = [
            numbered.get(_number(attribute(each, "numFmtId")), "General")
            for each in (() if cells is None else children(cells, "xf"))
        ]
        return cls(codes=codes, from_1904=from_1904)

    def shown(self, number: str, style: str | None) -> str:
        """Returns a cell's number as its format shows it, and a date in the form of ISO 8601."""
        place = _number(style)
        code = self.codes[place] if 0 <= place < len(self.codes) else "General"
        try:
            value = float(number)
        except ValueError:
            return number
        if code.lower() in ("general", "@", "") or len(code) > LONGEST_CODE or abs(value) > 1e15:
            return _plain(number, value)
        return self._dated(value, code) or _formatted(value, code) or _plain(number, value)

    def _dated(self, days: float, code: str) -> str | None:
        """A day, a time, or both; None for what is neither, or only a month or a duration."""
        letters = _QUOTED.sub("", code.partition(";")[0])
        if _ELAPSED.search(code) or "0" in letters or "#" in letters:
            return None
        dated, timed = "d" in letters.lower() and "y" in letters.lower(), bool(_TIMED.search(letters))
        if not dated and (not timed or _DATED.search(letters.lower().replace("mm", "").replace("m", ""))):
            return None
        start = datetime(1904, 1, 1) if self.from_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 - a day has no zone
        try:
            moment = start + timedelta(days=days, microseconds=500)
        except OverflowError:
            return None
        shape = ("%Y-%m-%d" * dated + " " * (dated and timed)) + "%H:%M:%S" * timed
        return moment.strftime(shape).removesuffix(":00" if timed and "s" not in letters.lower() else "\0")


def _formatted(value: float, code: str) -> str | None:
    try:
        return str(format_value(value, code)).strip() or None
    except (ValueError, ArithmeticError, LookupError, TypeError):
        return None


def _plain(number: str, value: float) -> str:
    """All digits that the file has, without the noise of binary fractions."""
    if math.isnan(value) or abs(value) >= 1e15:
        return number
    return str(int(value)) if value.is_integer() else f"{value:.15g}"


def _number(written: str | None) -> int:
    return (
        int(written) if written is not None and written.isascii() and written.isdigit() and len(written) < 9 else 0
    )
