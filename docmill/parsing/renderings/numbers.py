"""The numbers that a text holds, each in all the ways in which it may be meant.

``1.234`` is a thousand and more in one country, and less in another: it has both readings. What is the inside of
something has none: the ``12`` of ``112``, of ``1,234``, of ``INV-2026-12`` or of ``12:30`` is no number.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import NamedTuple

__all__ = ["Numbers", "key_of", "written_number"]

THIN = "\u00a0\u2007-\u2009\u202f"
"""Spaces that typesetters put between the groups of a number, and nobody between two columns."""
CHAIN = re.compile(rf"\d+(?:[.,'·{THIN}]\d+)*")
SPACED = re.compile(r"(?<![\d.,'])[1-9]\d{0,2}(?: \d{3})+(?:[.,]\d+)?(?![.,']?\d)")
GROUP = re.compile(r"\d+(?:[.,]\d+)?")
SEPARATOR = re.compile(r"(\D)")
MOST_GROUPS = 5
"""That are one number where common spaces part them: columns may stand side by side."""
LONGEST = 40
"""Digits of the longest number that is looked at."""

CURRENCIES = frozenset({
    "eur", "euro", "euros", "usd", "gbp", "chf", "jpy", "cny", "rmb", "inr", "rs", "rp", "rm", "kr",
    "fr", "sfr", "kč", "zł", "ft", "lei", "лв", "руб", "р", "грн", "tl",
    "cad", "aud", "sek", "nok", "dkk", "pln", "czk", "huf", "ron", "bgn", "try", "rub", "uah", "brl", "mxn",
    "zar", "sgd", "hkd", "nzd", "krw", "thb", "idr", "myr", "php", "vnd", "ils", "aed", "sar", "egp", "din",
    "dkr", "skr", "nkr", "ikr",
})  # fmt: skip
"""As they are written before or behind a number without a space."""
UNITS = frozenset({
    "mm", "cm", "dm", "m", "km", "mm2", "cm2", "m2", "km2", "cm3", "m3", "qm", "ha", "ar", "in", "ft", "yd",
    "mi", "mg", "g", "kg", "t", "oz", "lb", "lbs", "µl", "ml", "cl", "dl", "l", "hl", "gal", "h", "hr", "hrs",
    "std", "s", "sec", "sek", "ms", "min", "d", "w", "kw", "kwh", "mwh", "gwh", "wh", "kva", "v", "a", "ma",
    "mah", "hz", "khz", "mhz", "ghz", "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "px", "pt", "dpi",
    "mph", "kmh", "c", "f", "k", "ct", "pc", "pcs", "ea", "st", "stk", "stck", "stück", "pax", "pp", "x", "г",
    "кг", "м", "см", "мм", "км", "шт", "ч", "л", "th", "nd", "rd", "er", "re", "ère", "ème", "eme", "e", "o",
    "ª", "º", "te", "de",
})  # fmt: skip
SCALES = {
    "thousand": 3, "tausend": 3, "tsd": 3, "mille": 3, "тыс": 3, "lakh": 5, "lakhs": 5, "crore": 7, "crores": 7,
    "million": 6, "millions": 6, "millionen": 6, "mio": 6, "mln": 6, "millones": 6, "millón": 6, "milhões": 6,
    "milhão": 6, "milioni": 6, "milione": 6, "miljoen": 6, "miljoner": 6, "millioner": 6, "млн": 6,
    "billion": 9, "billions": 9, "bn": 9, "mrd": 9, "milliarden": 9, "milliarde": 9, "milliard": 9, "milliards": 9,
    "miliardi": 9, "miljard": 9, "miljarder": 9, "milliarder": 9, "mld": 9, "млрд": 9,
    "万": 4, "萬": 4, "만": 4, "億": 8, "亿": 8, "억": 8,
}  # fmt: skip
"""Words behind a number, and how many zeros they stand for. What a billion is differs by language: not here."""
WESTERN = "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u024f\u0370-\u04ff"
"""Letters that are parted from numbers by a space, but in an identifier, a unit or a currency."""
BEFORE = re.compile(rf"[{WESTERN}_]{{1,12}}\Z")
BEHIND = re.compile(rf"[{WESTERN}0-9_]{{1,40}}+(?![$\u00a2-\u00a5\u20a0-\u20c0])")
GLUED_WORD = re.compile(r"[a-zà-ÿ]{3,}")
TIMES = re.compile(r"x\d{1,6}|x")
EXPONENT = re.compile(r"[eE]([+-]?\d{1,2})(?![\w.,])")

YEAR = r"(?:19|20)\d\d"
IDENTIFIER = re.compile(r"(?<![\w/-])[^\W\d]\w*(?:[-/]\w+)+")
CLOCK = re.compile(r"(?<![\d:])\d{1,2}:\d{2}(?::\d{2})?(?!\d)")
DAY_AND_MONTH = re.compile(r"(?<!\d)(?:(\d{1,2}[-/]\d{1,2})[-/]\d{4}|\d{4}[-/](\d{1,2}[-/]\d{1,2}))(?!\d)")

SPACE = "[ \u00a0\u2009\u202f]"
DASHES = "-−–—‒"
MONEY = r"(?:[^\W\d_]{0,3}[$\u00a2-\u00a5\u20a0-\u20c0\u0e3f](?:[ \u00a0]?[^\W\d_]{1,2})?|([^\W\d_]{1,3})\.?)"
SIGN = re.compile(rf"([{DASHES}])({SPACE}?)(?:{MONEY}{SPACE}?)?\Z")
BEHIND_SIGN = re.compile(rf"[-−](?![\w.,-])({SPACE}?\d)?")
OPENED = re.compile(rf"\({SPACE}?(?:{MONEY}{SPACE}?)?\Z")
CLOSED = re.compile(rf"{SPACE}?(?:%|{MONEY})?{SPACE}?\)")
SCALE = re.compile(rf"{SPACE}?(?:[万萬만億亿억]|[^\W\d_]{{2,12}}(?![^\W\d_]))")
PERCENT_BEHIND = re.compile(rf"{SPACE}?([%‰])")
PERCENT_BEFORE = re.compile(rf"(?<!\d)(?<!\d{SPACE})%{SPACE}?\Z")
WRITTEN = re.compile(rf"[-−+]?\(?(?:{CHAIN.pattern}|{SPACED.pattern})\)?[-−]?")


class Mention(NamedTuple):
    """A number in a text: where its digits stand, and what it may mean."""

    start: int
    end: int
    keys: tuple[str, ...]
    """As ``key_of`` writes them."""


def key_of(value: float | Decimal) -> str | None:
    """A number as it is looked up: without exponent and zeros that say nothing; None where no text holds it."""
    if isinstance(value, int) and value.bit_length() > 4 * LONGEST:
        return None
    number = Decimal(str(value))
    if not number.is_finite() or abs(number.adjusted()) > LONGEST or len(number.as_tuple().digits) > 2 * LONGEST:
        return None
    return f"{number.normalize() + 0:f}"


def written_number(text: str) -> tuple[str, ...]:
    """Returns what a text means that is a number and nothing else; empty for any other."""
    if len(text) > 2 * LONGEST or not WRITTEN.fullmatch(text):
        return ()
    whole = [
        each for each in chain(*mentions(text)) if not any(map(str.isdigit, text[: each.start] + text[each.end :]))
    ]
    return whole[-1].keys if whole else ()


class Numbers:
    """The numbers of a text in ASCII's digits; looked up by what they mean."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._mentions, grouped = mentions(text)
        self._index: dict[str, list[tuple[int, int]]] = {}
        for each in (*self._mentions, *grouped):
            for key in each.keys:
                self._index.setdefault(key, []).append((each.start, each.end))

    def places(self, value: float | Decimal) -> Sequence[tuple[int, int]]:
        key = key_of(value)
        return [] if key is None else self._index.get(key, [])

    def meaning(self, keys: Sequence[str]) -> Sequence[tuple[int, int]]:
        """Returns where a number stands that may mean one of these."""
        return [span for key in keys for span in self._index.get(key, [])]

    def allows(self, span: tuple[int, int], keys: Sequence[str]) -> bool:
        """Returns whether words may begin and end there: not within a number, unless only zeros are cut off.

        Words that are a number, one of ``keys``, are not where another stands, as one below zero.
        """
        start, end = span
        first, last = self._around(start), self._around(end - 1)
        if first and first.start == start and keys and set(keys).isdisjoint(first.keys):
            return False
        if first and first.start < start:
            return False
        return last is None or last.end <= end or self._key_until(last, end) in last.keys

    def _around(self, at: int) -> Mention | None:
        """The number that a place is in."""
        before = bisect_right(self._mentions, at, key=_begins) - 1
        return self._mentions[before] if before >= 0 and at < self._mentions[before].end else None

    def _key_until(self, mention: Mention, end: int) -> str:
        digits = re.sub(r"\D", "", self._text[mention.start : end])
        return f"-{_key(digits, '')}" if mention.keys[0].startswith("-") else _key(digits, "")


def mentions(text: str) -> tuple[list[Mention], list[Mention]]:
    """The numbers of a text in order, and apart those whose groups common spaces part, which overlap with them."""
    inside = _Inside(text)
    found = [
        mention
        for each in CHAIN.finditer(text)
        if each.end() - each.start() <= 2 * LONGEST and inside.allows(*each.span())
        for mention in _of_chain(text, *each.span())
    ]
    return found, [mention for each in SPACED.finditer(text) for mention in _of_groups(text, each, inside)]


def _begins(mention: Mention) -> int:
    return mention.start


class _Inside:
    """The parts of a text whose numbers are the inside of something else."""

    def __init__(self, text: str) -> None:
        self._text = text
        found = chain(_identifiers(text), _days(text), (clock.span() for clock in CLOCK.finditer(text)))
        self._spans = sorted(found)

    def allows(self, start: int, end: int) -> bool:
        at = bisect_right(self._spans, (start, len(self._text)))
        if at and start < self._spans[at - 1][1]:
            return False
        return _stands_free_before(self._text, start, end) and _stands_free_behind(self._text, end)


def _identifiers(text: str) -> Iterator[tuple[int, int]]:
    """Words and numbers that hyphens or slashes join, as in ``RE-2026-0012``, but not ``Net-30``."""
    for found in IDENTIFIER.finditer(text):
        first, *rest = re.split(r"[-/_]", found.group())
        numbers = [part for part in rest if part.isdigit()]
        mixed = any(part.isalnum() and not part.isdigit() and any(map(str.isdigit, part)) for part in rest)
        # One number behind a word may be a year or an amount: FY-2026, EUR-100.
        is_free = first.lower() in CURRENCIES or not first.isupper() or re.fullmatch(YEAR, "".join(numbers))
        if mixed or len(numbers) > 1 or (numbers and not is_free):
            yield found.span()


def _days(text: str) -> Iterator[tuple[int, int]]:
    for found in DAY_AND_MONTH.finditer(text):
        yield found.span(found.lastindex or 0)


def _stands_free_before(text: str, start: int, end: int) -> bool:
    letters = BEFORE.search(text, max(0, start - 12), start)
    if letters is None:
        return True
    written = letters.group().lower()
    return written in CURRENCIES or written == "x" or (written == "r" and not text[start:end].isdigit())


def _stands_free_behind(text: str, end: int) -> bool:
    behind = BEHIND.match(text, end)
    if behind is None:
        return True
    written = behind.group()
    small = written.lower()
    return (
        small in UNITS
        or small in CURRENCIES
        or GLUED_WORD.fullmatch(written) is not None
        or TIMES.fullmatch(small) is not None
        or EXPONENT.match(text, end) is not None
    )


def _of_chain(text: str, start: int, end: int) -> Iterator[Mention]:
    """Digits with points, commas and the like: one number, or (as in ``1,2,3``) each part one."""
    written = text[start:end]
    parts = SEPARATOR.split(written)
    readings = _readings(parts[::2], parts[1::2])
    if len(parts) == 1 and _is_fraction_alone(text, start):
        readings = [("0", written)]
    if readings:
        yield Mention(start, end, _keys(text, start, end, readings))
    elif set(parts[1::2]) <= {",", "'"} or (parts[1::2] == [".", "."] and 4 in (len(parts[0]), len(parts[-1]))):
        for found in re.finditer(r"\d+", written):
            if parts[1] != "." or len(found.group()) == 4:
                yield Mention(start + found.start(), start + found.end(), (_key(found.group(), ""),))


def _is_fraction_alone(text: str, start: int) -> bool:
    return start > 0 and text[start - 1] in ".," and (start == 1 or text[start - 2] in " \n\t($€£¥-−")


def _readings(parts: list[str], separators: list[str]) -> list[tuple[str, str]]:
    """The whole part and the fraction of each number that digits so parted may be."""
    if not separators:
        return [(parts[0], "")]
    readings = []
    if _are_groups(parts, separators):
        readings.append(("".join(parts), ""))
    *groups, last = separators
    if last in ".,·" and last not in groups and (not groups or _are_groups(parts[:-1], groups)):
        readings.append(("".join(parts[:-1]), parts[-1]))
    return readings


def _are_groups(parts: list[str], separators: list[str]) -> bool:
    """Of three digits each, or as in India of two, and of three at the end."""
    if len(set(separators)) != 1 or separators[0] == "·" or parts[0].startswith("0") or len(parts[-1]) != 3:
        return False
    sizes = {len(part) for part in parts[1:-1]}
    return (len(parts[0]) <= 3 and sizes <= {3}) or (len(parts[0]) <= 2 and sizes == {2} and separators[0] == ",")


def _of_groups(text: str, found: re.Match[str], inside: _Inside) -> Iterator[Mention]:
    """Groups that common spaces part: each run of them may be a number, since columns may stand side by side."""
    groups = [each.span() for each in GROUP.finditer(text, *found.span())]
    for first, (start, _) in enumerate(groups):
        for _, end in groups[first + 1 : first + MOST_GROUPS]:
            if text[start] != "0" and inside.allows(start, end):
                whole, _, fraction = text[start:end].replace(" ", "").replace(",", ".").partition(".")
                yield Mention(start, end, _keys(text, start, end, [(whole, fraction)]))


def _keys(text: str, start: int, end: int, readings: list[tuple[str, str]]) -> tuple[str, ...]:
    """The readings with each sign that they may have, and as shares of one where they are percentages."""
    keys = [_key(whole, fraction) for whole, fraction in readings]
    exponent = EXPONENT.match(text, end)
    if exponent:
        keys = _scaled(keys, int(exponent[1]))
    scale = SCALE.match(text, end)
    if scale:
        keys += _scaled(keys, SCALES.get(scale[0].strip().lower(), 0))
    percent = PERCENT_BEHIND.match(text, end) or PERCENT_BEFORE.search(text, max(0, start - 4), start)
    if percent:
        keys += _scaled(keys, -3 if percent.group().strip() == "‰" else -2)
    signs = _signs(text, start, end, exact=any(fraction for _, fraction in readings))
    return tuple(key if sign == "+" or key == "0" else f"-{key}" for sign in signs for key in keys)


def _key(whole: str, fraction: str) -> str:
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _scaled(keys: list[str], exponent: int) -> list[str]:
    return [scaled for key in keys if (scaled := key_of(Decimal(key).scaleb(exponent))) is not None]


def _signs(text: str, start: int, end: int, *, exact: bool) -> str:
    """Which signs a number may have here: ``+``, ``-``, or either where it cannot be told.

    ``exact`` numbers have a fraction: a dash behind one is a sign, and behind another perhaps the dash of a range.
    """
    behind = BEHIND_SIGN.match(text, end)
    if behind:
        return "-" if exact and behind[1] is None else "+-"
    dash = SIGN.search(text, max(0, start - 9), start)
    if dash and (dash[3] is None or dash[3].lower() in CURRENCIES):
        return _sign_of(text, dash, exact=exact)
    if OPENED.search(text, max(0, start - 7), start) and CLOSED.match(text, end):
        return "+-"
    return "+"


def _sign_of(text: str, dash: re.Match[str], *, exact: bool) -> str:
    before = text[dash.start() - 1] if dash.start() else " "
    if before.isalnum() or before in ")]":
        letters = BEFORE.search(text, max(0, dash.start() - 12), dash.start())
        if letters and letters.group().lower() in CURRENCIES:
            return "-"
        return "+-" if exact and before.isalpha() else "+"
    if dash[1] == "−":
        return "-"
    is_list_or_range = dash[2] or text[max(0, dash.start() - 3) : dash.start()].rstrip()[-1:].isdigit()
    return "+-" if is_list_or_range or not (before.isspace() or before in "(|:=[;$€£¥₹") else "-"
