"""Amounts: of lines with a label, and of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["lines", "named"]

AMOUNT = re.compile(
    r"(?<![\d.,/-])(-?(?:(?:\d{1,3}(?:[.,'’ \u00a0]\d{3}){1,6}|\d+)[.,]|(?<![\w)])\.)\d{2})(?![\d/-]|[.,]\d)"
)
NUMBER = re.compile(r"(?<![\w.,])(\d{1,6}(?:[.,]\d{1,4})?)(?![\w.,]*\d)")
COUNT = re.compile(r"\d{1,6}")
PRICE = re.compile(r"[-+]?[$€£]?\d[\d.,'’]*[.,]\d\d|[$€£]|EUR|USD|GBP|CHF|RM")
NOT_THE_TOTAL = re.compile(
    r"sub\s?-?total|total\s+(?:qty|quantity|item|gst|tax|disc|saving|no|paid)|qty|items?\b|excl|before|change|tender"
    r"|points|summary|zwischen|(?:gst|tax|vat)\s+total",
    re.IGNORECASE,
)
# The first that has an amount wins: from what can only be the sum to pay down to any total.
TOTALS = tuple(
    re.compile(label, re.IGNORECASE)
    for label in (
        r"total\s+(?:amount\s+)?due|amount\s+due|due\s+payable|somme\s+à\s+payer|net\s+à\s+payer",
        r"r\w{2,3}n?\s?d?(?:ed|d)?\.?\s+total|total\s+(?:after\s+)?r(?:oun|ou)d|total\s+payable|amount\s+payable",
        r"bruttosumme|bruttobetrag|grand\s+total|gesamtbetrag(?!\s+der)|total\s+ttc|montant\s+ttc|gross\s+(?:total|amount)",
        r"nett?\s+total|total\s+\(?(?:incl|inclusive)|total\s+sales?\s*+\(?\s*+incl",
        r"total\s+\(?(?:rm|myr|usd|eur|gbp|\$|€|£)|total\s+amount|amount\s+total|bill\s+total|invoice\s+total",
        r"\btotal\b|\bsumme\b|\bgesamt\b|endbetrag|\bt0tal\b",
        r"zahlbetrag|rechnungsbetrag|\bsub\s?-?total\b|\bcash\b|\bvisa\b|\bmaster|\bamount\b",
    )
)
TENDER = re.compile(
    r"\b(?:cash|visa|master\w*|credit|debit|card|pay|paid|payment|tender(?:ed)?|received|gegeben|bar)\b",
    re.IGNORECASE,
)
CHANGE = re.compile(r"\bchange\b|\bbaki\b|rückgeld|wechselgeld|\bzurück\b", re.IGNORECASE)
ROUNDING = re.compile(r"\bround\w*|\br\w{2,3}d\s?ing\b", re.IGNORECASE)
"""Coins are rounded after a first total: the one below is what was paid."""
NETS = (
    re.compile(
        r"ohne\s+ust|net\s+total|total\s+(?:net|ht|excl)|montant\s+ht|base\s+ht|netto(?:summe|betrag)?"
        r"|sub\s?-?total|tax\s+basis|total\s+without|steuerbasis",
        re.IGNORECASE,
    ),
)
TAXES = (
    re.compile(
        r"\bvat\b|\btva\b|umsatzsteuer|\bust\b|mwst|\btax\b|steuerbetrag|\bgst\b|montant\s+tva", re.IGNORECASE
    ),
)


def named(name: str, document: str) -> float | None:
    """The amount that a field of that name means; None where no label leads to one."""
    if "tax" in name or "vat" in name:
        return _labelled(document, TAXES, last=True)
    if "net" in name or "basis" in name:
        return _labelled(document, NETS, last=True)
    if "total" in name or "amount" in name or name == "sum":
        found = _paid(document)
        if found is None:
            found = _rounded(document)
        if found is None:
            found = _labelled(document, TOTALS, skip=NOT_THE_TOTAL)
        if found is None:
            found = _labelled(document, TOTALS[-1:])
        return found if found is not None else max((amount for amount, _ in _amounts(document)), default=None)
    return _labelled(document, (re.compile(rf"\b{re.escape(name)}\b".replace("_", r"[\s_]"), re.IGNORECASE),))


def _paid(document: str) -> float | None:
    """What was given less what was given back, where the document has this amount, too."""
    rows = document.splitlines()
    for at, row in enumerate(rows):
        given = [amount for amount, _ in _amounts(row)] if TENDER.search(row) and not CHANGE.search(row) else []
        for below in rows[at + 1 : at + 4] if given else ():
            back = [amount for amount, _ in _amounts(below)] if CHANGE.search(below) else []
            paid = round(given[-1] - back[-1], 2) if back else 0.0
            if paid > 0 and any(amount == paid for above in rows[:at] for amount, _ in _amounts(above)):
                return paid
    return None


def _rounded(document: str) -> float | None:
    """The total that follows a rounding, or what the rounding makes of the total before it."""
    rows = document.splitlines()
    for at, row in enumerate(rows):
        change = [amount for amount, _ in _amounts(row)]
        if not ROUNDING.search(row) or "total" in row.casefold() or not change or abs(change[0]) > 0.05:
            continue
        for below in rows[at + 1 : at + 4]:
            amounts = [amount for amount, _ in _amounts(below)]
            if amounts and re.search("total|amount|due", below, re.IGNORECASE):
                return amounts[-1]
    return None


def lines(document: str) -> list[dict[str, Any]]:
    """Returns what a table bills: each line that begins with words and ends with an amount, and is no sum."""
    found = []
    for line in document.splitlines():
        amounts = list(_amounts(line))
        label = _words_of(re.split(r"\s{2,}|\t", line.strip())[0].strip())
        summed = any(shape.search(line) for shape in (*TOTALS, *NETS, *TAXES))
        if amounts and len(amounts) <= 4 and re.search(r"[^\W\d]{3}", label) and not summed and ":" not in label:
            found.append({"name": label, "quantity": _quantity(line, label), "line_total": amounts[-1][0]})
    return found[:200]


def _words_of(label: str) -> str:
    """The label without the figures behind it, where single spaces part a table's columns."""
    words = label.split()
    kept = len(words)
    while kept > 1 and PRICE.fullmatch(words[kept - 1]):
        kept -= 1
    if kept == len(words):
        return label  # "Room 12" is a name
    # Before amounts stands how many there are: one figure, and what is before that one belongs to the name.
    return " ".join(words[: kept - 1 if kept > 1 and COUNT.fullmatch(words[kept - 1]) else kept])


def _quantity(line: str, label: str) -> float | None:
    rest = line.strip()[len(label) :]
    found = NUMBER.search(rest)
    return _number(found[1]) if found else None


def _labelled(
    document: str, labels: tuple[re.Pattern[str], ...], *, skip: re.Pattern[str] | None = None, last: bool = False
) -> float | None:
    """The amount in the line of the best label, or else in the lines right below it."""
    rows = document.splitlines()
    for label in labels:
        hits = [at for at, row in enumerate(rows) if label.search(row) and not (skip and skip.search(row))]
        for at in reversed(hits) if last else hits:
            amount = _near(rows, at, label)
            if amount is not None:
                return amount
    return None


def _near(rows: list[str], at: int, label: re.Pattern[str]) -> float | None:
    match = label.search(rows[at])
    after = list(_amounts(rows[at][match.end() :] if match else rows[at]))
    if after:
        return after[-1][0]
    for below in rows[at + 1 : at + 4]:
        if re.fullmatch(r"[\sRM$€£A-Z:.*]{0,12}-?[\d.,' ]+\s*[A-Z€$£]{0,4}\s*", below):
            amounts = list(_amounts(below))
            if amounts:
                return amounts[0][0]
        elif below.strip():
            return None
    return None


def _amounts(text: str) -> Iterator[tuple[float, int]]:
    for match in AMOUNT.finditer(text):
        yield _number(match[1]), match.start()


def _number(written: str) -> float:
    """The last of point and comma parts the decimals."""
    whole, mark, decimals = re.sub(r"[\s'’\u00a0]", "", written).rpartition("." if "." in written[-5:] else ",")
    digits = re.sub(r"[.,]", "", whole if mark else decimals)
    return float(f"{digits}.{decimals}" if mark else digits)
