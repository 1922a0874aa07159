"""Whether a value occurs in the document.

``Annotated[str, Grounded()]`` demands it. A check of this kind catches what a model made up; a wrong value that
does occur in the document it cannot catch.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

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
        self.text = text
        self.words = _plain(text)
        self.amounts = frozenset(
            amount for shape in (NUMBER, GROUPED) for found in shape.findall(text) for amount in _readings(found)
        )

    def holds(self, value: object) -> bool:
        """Whether the value occurs, in any of its usual renderings."""
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, date):
            return any(re.search(pattern, self.words) for pattern in _renderings(value))
        if isinstance(value, int | float | Decimal):
            return _amount(value) in self.amounts
        plain = _plain(str(value))
        # A name over two lines is written with a comma, and a form's ruling gets lost: the words decide.
        return plain in self.words or (bool(run := _run(plain)) and run in self._run)

    def find(self, value: object) -> tuple[int, int] | None:
        """Where the value first occurs, as offsets in the text; None where it does not, or is no value."""
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, int | float | Decimal):
            return self._find_amount(_amount(value))
        patterns = _renderings(value) if isinstance(value, date) else _wordings(_plain(str(value)))
        return next(filter(None, map(self._find, patterns)), None)

    def _find_amount(self, amount: Decimal) -> tuple[int, int] | None:
        spans = (found.span() for shape in (GROUPED, NUMBER) for found in shape.finditer(self.text))
        return next((span for span in spans if amount in _readings(self.text[slice(*span)])), None)

    def _find(self, pattern: str) -> tuple[int, int] | None:
        found = re.search(pattern, self.words)
        if found is None or found.start() == found.end() or not self._atoms:
            return None
        return self._span(found.start())[0], self._span(found.end() - 1)[1]

    def _span(self, at: int) -> tuple[int, int]:
        """The part of the text that a character of ``words`` stands for."""
        atom = self._atoms[bisect_right(self._atoms, at, key=_begins) - 1]
        if atom.each:
            start = atom.start + at - atom.at
            return start, start + 1
        return atom.start, atom.end

    @cached_property
    def _run(self) -> str:
        return _run(self.words)

    @cached_property
    def _atoms(self) -> list[_Atom]:
        """What ``words`` is made of, in order.

        Empty where characters make others across what is taken for one here: no place is better than a wrong one.
        """
        atoms, words, last = list[_Atom](), list[str](), " "
        at = 0
        for found in ATOMS.finditer(self.text):
            piece = _folded(found.group(), found.lastgroup)
            if last == " " and piece.startswith(" "):
                piece = piece[1:]
            if piece:
                atoms.append(_Atom(at, *found.span(), found.lastgroup == "ascii"))
                words.append(piece)
                at, last = at + len(piece), piece[-1]
        return atoms if "".join(words).rstrip(" ") == self.words else []


class _Atom(NamedTuple):
    """Where one thing begins in the plain text, and what it is in the text itself."""

    at: int
    start: int
    end: int
    each: bool
    """Whether each of its characters stands for itself."""


def _begins(atom: _Atom) -> int:
    return atom.at


# Whatever is one thing in the plain text: a hyphen at a line's end, white space, a letter with its accents; and
# the most of most documents, letters and digits of ASCII, each of which stands for itself.
ATOMS = re.compile(
    r"(?P<ascii>[A-Za-z0-9]+(?![\u0300-\u036f]))"
    r"|(?P<hyphen>(?<=\w)-\n(?=\w))|(?P<space>\s+)|(?P<letter>.[\u0300-\u036f]*)",
    re.DOTALL,
)


def _folded(piece: str, kind: str | None) -> str:
    if kind == "ascii":
        return piece.lower()
    if kind == "hyphen":
        return ""
    if kind == "space":
        return " "
    folded = unicodedata.normalize("NFKC", piece).translate(LOOKALIKES).casefold()
    return re.sub(r"\s+", " ", folded)


def _amount(value: float | Decimal) -> Decimal:
    return abs(Decimal(str(value))).normalize()


def _run(plain: str) -> str:
    """The words alone, each between spaces; empty where there are none."""
    words = re.findall(r"\w+", plain)
    return f" {' '.join(words)} " if words else ""


def _wordings(plain: str) -> tuple[str, ...]:
    """Patterns for a text: as it stands, and by its words whatever stands between them."""
    words = re.findall(r"\w+", plain)
    by_words = (r"\b" + r"\W+".join(words) + r"\b",) if words else ()
    return (re.escape(plain), *by_words)


def _renderings(day: date) -> tuple[str, ...]:
    """Patterns for the ways in which documents write a date."""
    month = rf"{MONTHS[day.month - 1]}[a-z]*\.?"
    year = rf"(?:{day.year}|'?{day:%y})"
    number = rf"0?{day.day}(?:st|nd|rd|th)?"
    return (
        rf"\b0?{day.day}\W0?{day.month}\W(?:{day.year}|{day:%y})\b",
        rf"\b0?{day.month}\W0?{day.day}\W(?:{day.year}|{day:%y})\b",
        rf"\b(?:{day.year}|{day:%y})\W?0?{day.month}\W?0?{day.day}(?!\d)",
        rf"\b{day:%d%m%Y}\b",
        rf"\b{number}\W{{0,3}}(?:day of )?{month}\W{{0,3}}{year}\b",
        rf"\b{month}\W{{0,3}}{number}\W{{1,3}}{year}\b",
    )


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
