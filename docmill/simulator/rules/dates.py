"""Dates as documents write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

__all__ = ["named"]

MONTHS = {
    name: number
    for number, group in enumerate(
        (
            "jan janvier januar enero gennaio",
            "feb février fevrier februar febrero febbraio",
            "mar mars märz marzo",
            "apr avril abril aprile",
            "may mai mayo maggio",
            "jun juin juni junio giugno",
            "jul juillet juli julio luglio",
            "aug août aout agosto",
            "sep septembre septiembre settembre",
            "oct octobre okt octubre ottobre",
            "nov novembre noviembre",
            "dec décembre decembre dez diciembre dicembre",
        ),
        start=1,
    )
    for name in group.split()
}
MONTH = r"(?P<month>[A-Za-zéûäü]{3,10})\.?"
NTH = r"(?:st|nd|rd|th)?"
YEAR = r"(?P<year>\d{4}|\d{2})"
SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        r"(?<!\d)(?P<year>\d{4})[-/.](?P<number>\d{1,2})[-/.](?P<day>\d{1,2})(?!\d)",
        r"(?<![\d.,])(?P<one>\d{1,2})\s?(?P<mark>[-/.])\s?(?P<two>\d{1,2})\s?(?P=mark)\s?(?P<year>\d{4}|\d{2})(?![\d])",
        rf"(?<!\d)(?P<day>\d{{1,2}}){NTH}\.?[\s-]{{0,3}}(?:(?:day\s+)?of\s+|de\s+)?{MONTH}[\s,-]{{0,4}}{YEAR}(?!\d)",
        rf"\b{MONTH}\s{{1,3}}(?P<day>\d{{1,2}}){NTH}\s?,?\s{{1,3}}(?P<year>\d{{4}})(?!\d)",
    )
)
# The best label first.
LABELS = {
    "issue": (
        *("invoice date", "date of issue", "issue date", "rechnungsdatum", "date d'émission", "facture", "datum"),
        "date",
    ),
    "due": ("due date", "payment due", "fällig", "zahlbar bis", "date limite", "échéance", "payable by", "due"),
    "effective": (
        *("effective date", "effective as of", "dated as of", "made as of", "entered into as of", "dated"),
        *("as of", "made this", "made and entered", "effective", "day of", "date"),
    ),
}
FIRST_YEAR, LAST_YEAR = 1950, 2049


def named(name: str, document: str) -> str | None:
    """The date that a field of that name means, as YYYY-MM-DD; None where there is none."""
    found = list(_dates(document))
    kind = next((kind for kind in LABELS if kind in name), None)
    if kind is not None:
        labelled = _after_label(document, found, LABELS[kind])
        if labelled is not None:
            return labelled
    first = found[0][1] if found else None
    return first if kind in (None, "issue") else None


def _after_label(document: str, found: list[tuple[int, str]], labels: tuple[str, ...]) -> str | None:
    """The date that follows the best label closely, or stands right before it."""
    words = document.casefold()
    for label in labels:
        for match in re.finditer(rf"(?<!\w){re.escape(label)}", words):
            near = [(at, day) for at, day in found if -12 <= at - match.end() <= 160]
            if near:
                return min(near, key=lambda pair: (pair[0] < match.start(), abs(pair[0] - match.end())))[1]
    return None


def _dates(document: str) -> Iterator[tuple[int, str]]:
    """(position, date) of every date, in order."""
    month_first = _month_first(document)
    matches = [match for shape in SHAPES for match in shape.finditer(document)]
    for match in sorted(matches, key=lambda match: match.start()):
        day = _date(match.groupdict(), month_first=month_first)
        if day is not None:
            yield match.start(), day.isoformat()


def _month_first(document: str) -> bool:
    """Whether numeric dates are written as in the United States: some has a second number that is no month."""
    pairs = [(int(match["one"]), int(match["two"])) for match in SHAPES[1].finditer(document)]
    american = sum(one <= 12 < two <= 31 for one, two in pairs)
    return american > sum(two <= 12 < one <= 31 for one, two in pairs)


def _date(parts: dict[str, str | None], *, month_first: bool) -> date | None:
    year = int(parts["year"] or 0)
    year += 2000 if year < 50 else 1900 if year < 100 else 0
    if parts.get("one"):
        one, two = int(parts["one"] or 0), int(parts["two"] or 0)
        orders = [(one, two), (two, one)] if month_first else [(two, one), (one, two)]
    elif parts.get("number"):
        orders = [(int(parts["number"] or 0), int(parts["day"] or 0))]
    else:
        orders = [(_month(parts.get("month") or ""), int(parts["day"] or 0))]
    for month, day in orders:
        try:
            if FIRST_YEAR <= year <= LAST_YEAR:
                return date(year, month, day)
        except ValueError:
            continue
    return None


def _month(word: str) -> int:
    """0 for a word that is no month."""
    low = word.casefold()
    return MONTHS.get(low, MONTHS.get(low[:3], 0))
