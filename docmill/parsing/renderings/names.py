"""What the months are called, and the small words of dates, in the languages of the world: Babel's, from CLDR.

Babel keeps all that it has ever read of a language, a megabyte each; here the few hundred words are taken out of
it, and Babel begins anew after every few languages. That takes half a second, and ten megabytes that do not come
back: it is done where docmill is installed (:func:`keep`), and elsewhere once a process, when a text asks for it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from docmill.parsing.renderings.characters import Plain
from docmill.parsing.renderings.words import words_of

__all__ = ["Names", "bare", "keep", "names"]

KEPT = Path(__file__).with_name("names.json")
MADE_BY = ("characters.py", "names.py", "words.py")

LOCALES = (
    "af", "am", "ar", "ar_DZ", "ar_IQ", "ar_MA", "ast", "az", "be", "bg", "bn", "bs", "ca", "cs", "cy",
    "da", "de", "de_AT", "el", "en", "en_GB", "eo", "es", "et", "eu", "fa", "fi", "fil", "fr", "fr_CA", "ga",
    "gd", "gl", "gu", "ha", "he", "hi", "hr", "hu", "hy", "id", "is", "it", "ja", "jv", "ka", "kk", "km",
    "ko", "ku", "ky", "lb", "lo", "lt", "lv", "mk", "mn", "mr", "ms", "mt", "my", "nb", "ne", "nl", "nn",
    "pl", "ps", "pt", "pt_PT", "rm", "ro", "ru", "sd", "si", "sk", "sl", "sq", "sr", "sr_Latn", "sv", "sw",
    "ta", "te", "tg", "th", "tk", "tr", "uk", "ur", "uz", "vi", "zh", "zh_Hant", "zu",
)  # fmt: skip
AT_ONCE = 4
"""Languages, before Babel begins anew."""
WIDTHS = ("wide", "abbreviated")
SKELETONS = ("yMMMd", "yMMMEd", "yMMMMd", "yMMMMEd", "yMEd", "yMMMM", "MMMMd")
MORE_MONTHS = {"mrz": 3, "maer": 3, "febr": 2, "sept": 9, "janner": 1, "feber": 2}
"""Without accents, as they are written beside CLDR's."""
MORE_FILLERS = (
    "st", "nd", "rd", "th", "of", "the", "day", "den", "der", "le", "la", "el", "il", "di", "e", "er", "ere",
    "o", "a", "ten", "de", "del", "do", "d", "dia", "al", "anul", "roku", "rok", "god", "godine", "goda",
    "год", "года", "рік", "року", "р", "г", "year", "an", "nam", "yil", "yili", "го", "е", "й", "я", "м",
    "gada", "m", "ta", "n", "ab", "gomma",
)  # fmt: skip
"""Ordinals and articles in and around a date."""
PIECE = re.compile(r"'((?:[^']|'')*)'|([A-Za-z]+)|([^A-Za-z']+)")
ACCENTS = re.compile("[\u0300-\u036f\u0653-\u0655]")


@dataclass(frozen=True, kw_only=True)
class Names:
    """The words of dates, folded and without accents."""

    months: dict[str, list[tuple[tuple[str, ...], int]]] = field(default_factory=dict)
    """First word of a month's name to the whole of it and its number; of the longest names first."""
    fillers: set[str] = field(default_factory=set)
    """Words that may stand between a day, its month and its year: days of the week, ``de``, ``gada``, 年."""
    symbols: dict[str, set[str]] = field(default_factory=dict)
    """A currency's code to the signs that stand for it."""


def bare(word: str) -> str:
    """A folded word without its accents, which capitals often lack."""
    return word if word.isascii() else ACCENTS.sub("", unicodedata.normalize("NFD", word))


@lru_cache(maxsize=1)
def names() -> Names:
    """The names in all languages, as they were kept; where none are, the first call takes half a second."""
    return _kept() or _made()


def keep() -> None:
    """Writes the names down for all processes to come. Raises OSError."""
    made = _made()
    symbols = {code: sorted(signs) for code, signs in made.symbols.items()}
    kept = {"by": _maker(), "months": made.months, "fillers": sorted(made.fillers), "symbols": symbols}
    written = KEPT.with_suffix(f".{os.getpid()}")
    written.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    written.replace(KEPT)


def _kept() -> Names | None:
    """None where there are none, or others' than this code would make of this Babel."""
    try:
        kept = json.loads(KEPT.read_bytes())
        if kept["by"] != _maker():
            return None
        months = {
            first: [(tuple(words), number) for words, number in called] for first, called in kept["months"].items()
        }
        symbols = {code: set(signs) for code, signs in kept["symbols"].items()}
        return Names(months=months, fillers=set(kept["fillers"]), symbols=symbols)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _maker() -> str:
    """What the names depend on: this code, and the data of Babel and of Python."""
    import babel

    code = b"\0".join(Path(__file__).with_name(name).read_bytes() for name in MADE_BY)
    return f"{hashlib.sha256(code).hexdigest()} {babel.__version__} {unicodedata.unidata_version}"


def _made() -> Names:
    found = Names()
    for at in range(0, len(LOCALES), AT_ONCE):
        for locale in LOCALES[at : at + AT_ONCE]:
            _add(found, locale)
        importlib.reload(importlib.import_module("babel.localedata"))
    found.fillers.update(MORE_FILLERS)
    found.fillers.difference_update([word for word in found.fillers if word.isdigit()])
    for name, number in MORE_MONTHS.items():
        _add_month(found, name, number)
    for each in found.months.values():
        each.sort(key=lambda entry: -len(entry[0]))
    return found


def _add(found: Names, identifier: str) -> None:
    from babel import Locale  # with its data, which processes that read no dates go without

    locale = Locale.parse(identifier)
    patterns = [list(_pieces(pattern)) for pattern in _patterns(locale)]
    glued = {glue for pattern in patterns for glue in _glued(pattern)} | {("", "")}
    for style in ("format", "stand-alone"):
        for width in WIDTHS:
            for number, name in locale.months[style][width].items():
                for before, behind in glued:
                    _add_month(found, f"{before}{name}{behind}", number)
            for name in locale.days[style][width].values():
                found.fillers.update(_bare_words(name))
    for width in WIDTHS:
        found.fillers.update(_bare_words(locale.eras[width].get(1, "")))
    for pattern in patterns:
        found.fillers.update(word for kind, text in pattern if kind == "text" for word in _bare_words(text))
    for code, symbol in locale.currency_symbols.items():
        if symbol and symbol != code:
            found.symbols.setdefault(code, set()).add(symbol)


def _patterns(locale: Any) -> Iterator[str]:
    yield from (each.pattern for each in locale.date_formats.values())
    yield from (locale.datetime_skeletons[name].pattern for name in SKELETONS if name in locale.datetime_skeletons)


def _pieces(pattern: str) -> Iterator[tuple[str, str]]:
    """The fields of a date pattern (``y``, ``MMMM``), and the text between them."""
    for quoted, name, text in PIECE.findall(pattern):
        yield ("field", name) if name else ("text", quoted or text)


def _glued(pattern: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What a language writes before and behind a month's name without a space."""
    for at, (kind, name) in enumerate(pattern):
        if kind == "field" and name.startswith(("MMM", "LLL")):
            before = pattern[at - 1][1] if at and pattern[at - 1][0] == "text" else ""
            behind = pattern[at + 1][1] if at + 1 < len(pattern) and pattern[at + 1][0] == "text" else ""
            yield re.split(r"\W", before)[-1], re.split(r"\W", behind)[0]


def _add_month(found: Names, name: str, number: int) -> None:
    words = tuple(_bare_words(name))
    entry = (words, number)
    if not all(map(str.isdigit, words)) and entry not in found.months.setdefault(words[0], []):
        found.months[words[0]].append(entry)


def _bare_words(text: str) -> Iterator[str]:
    return map(bare, words_of(Plain(text).text))
