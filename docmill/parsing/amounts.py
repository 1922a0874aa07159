"""Numbers as people write them, where they can be read in one way only."""

from __future__ import annotations

import re

__all__ = ["amount"]

CURRENCY = r"(?:[$€£¥₹₩₽]|[A-Z]{2,3}[$€£]?|Rs\.?|kr\.?|Fr\.)"
AROUND = re.compile(rf"^{CURRENCY}?\s*+([+-]?)\s*+{CURRENCY}?\s*+(\d[\d.,\s'’]*+|\.\d++)\s*+{CURRENCY}?$")
JSON_LIKE = re.compile(r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
FORMS = (
    # (form, what parts its groups, what parts its fraction)
    (re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"), ",", "."),
    (re.compile(r"\d{1,3}(?:\.\d{3})+,\d+"), ".", ","),
    (re.compile(r"\d{1,3}(?:\.\d{3}){2,}"), ".", ","),
    (re.compile(r"\d{1,3}(?:[\s'’]\d{3})+(?:\.\d+)?"), "\u00a0\u202f\u2009 '’", "."),
    (re.compile(r"\d{1,3}(?:[\s'’]\d{3})+,\d{1,2}"), "\u00a0\u202f\u2009 '’", ","),
    (re.compile(r"\d+(?:,\d{1,2})?"), "", ","),
)


def amount(written: str) -> int | float | None:
    """The number that is written, with or without a currency; None where it is none, or could be two.

    ``1,234`` is read as in English, and so is ``1.234``; a percentage is no amount.
    """
    bare = written.strip()
    if len(bare) > 60:
        return None
    if JSON_LIKE.fullmatch(bare):
        return _number(bare)
    found = AROUND.match(bare)
    if found is None:
        return None
    sign, digits = found[1], found[2].strip()
    # A currency beside "1.234" may be that of a country in which this is a thousand and more.
    if re.fullmatch(r"\d+\.\d{1,2}|\.\d+|\d+", digits):
        return _number(sign + digits)
    for form, groups, fraction in FORMS:
        if form.fullmatch(digits):
            plain = "".join(character for character in digits if character not in groups)
            return _number(sign + plain.replace(fraction, "."))
    return None


def _number(written: str) -> int | float | None:
    if re.fullmatch(r"[+-]?\d+", written):
        return int(written)
    number = float(written)
    return number if abs(number) < float("inf") else None
