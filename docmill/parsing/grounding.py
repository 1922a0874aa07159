"""Whether a value occurs in the document.

``Annotated[str, Grounded()]`` demands it. A check of this kind catches what a model made up; a wrong value that
does occur in the document it cannot catch.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

__all__ = ["Document", "Grounded"]

# Digits with points and commas; and, for itself, digits in groups of three that spaces or apostrophes part.
NUMBER = re.compile(r"\d[\d.,]*")
GROUPED = re.compile(r"\d{1,3}(?:[ \u00a0\u202f'’]\d{3})+(?!\d)(?:[.,]\d+)?")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LOOKALIKES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-"})


class Document:
    """A document's text, prepared once for many questions."""

    def __init__(self, text: str) -> None:
        self.words = _plain(text)
        self.amounts = frozenset(
            amount for shape in (NUMBER, GROUPED) for found in shape.findall(text) for amount in _readings(found)
        )

    def holds(self, value: object) -> bool:
        """Whether the value occurs, in any of its usual renderings."""
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, date):
            return self._holds_date(value)
        if isinstance(value, int | float | Decimal):
            return abs(Decimal(str(value))).normalize() in self.amounts
        return _plain(str(value)) in self.words

    def _holds_date(self, day: date) -> bool:
        numeric = (
            rf"\b0?{day.day}\W0?{day.month}\W(?:{day.year}|{day:%y})\b",
            rf"\b0?{day.month}\W0?{day.day}\W(?:{day.year}|{day:%y})\b",
            rf"\b(?:{day.year}|{day:%y})\W?0?{day.month}\W?0?{day.day}(?!\d)",
            rf"\b{day:%d%m%Y}\b",
        )
        month = rf"{MONTHS[day.month - 1]}[a-z]*\.?"
        year = rf"(?:{day.year}|'?{day:%y})"
        number = rf"0?{day.day}(?:st|nd|rd|th)?"
        worded = (
            rf"\b{number}\W{{0,3}}(?:day of )?{month}\W{{0,3}}{year}\b",
            rf"\b{month}\W{{0,3}}{number}\W{{1,3}}{year}\b",
        )
        return any(re.search(pattern, self.words) for pattern in (*numeric, *worded))


@dataclass(frozen=True)
class Grounded:
    """The value must occur in the document, which is handed in as pydantic's context ``{"document": …}``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(_check, handler(source))


def _check(value: Any, info: ValidationInfo) -> Any:
    document = (info.context or {}).get("document")
    if document is not None and not document.holds(value):
        raise PydanticCustomError(
            "not_grounded", "does not occur in the document: copy the value from it, word for word"
        )
    return value


def _plain(text: str) -> str:
    joined = re.sub(r"(?<=\w)-\n(?=\w)", "", unicodedata.normalize("NFKC", text))
    return re.sub(r"\s+", " ", joined.translate(LOOKALIKES)).strip().casefold()


def _readings(written: str) -> set[Decimal]:
    """A written number as it may be meant: 1.234 is a thousand and more in one country, and less in another."""
    digits = re.sub(r"[^\d.,]", "", written).strip(".,")
    whole = re.sub(r"[.,]", "", digits)
    readings = {Decimal(whole).normalize()} if whole else set()
    last = re.search(r"[.,](\d+)$", digits)
    if last:
        before = re.sub(r"[.,]", "", digits[: last.start()]) or "0"
        readings.add(Decimal(f"{before}.{last[1]}").normalize())
    return readings
