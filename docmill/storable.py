"""What came from outside, as Postgres can store it: texts, counts, amounts and JSON. Pure, and never raises.

Postgres has no place for NUL, UTF-8 none for half a surrogate pair, a column none for a number that is too large,
and whoever reads JSON again none for nesting without an end. One reply that cannot be stored must not be lost for
it, nor hold up what comes after it. So each function here gives what can be kept.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

__all__ = [
    "MOST_DEPTH",
    "MOST_USD",
    "deeper_than",
    "dump_json",
    "is_storable",
    "is_storable_json",
    "storable_count",
    "storable_text",
    "storable_usd",
]

LARGEST_COUNT = 2**31 - 1
"""Of a column of counts."""
MOST_DEPTH = 100
"""Levels of JSON: Postgres, Pydantic and Python each end somewhere, the first of them at about 250."""
MOST_USD = Decimal(100_000)
"""No call costs more: a hundred times the dearest model's whole window."""

FINEST = Decimal("1e-10")
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
LONGEST_NUMBER = 10**300
"""Nobody means a whole number beyond; Python refuses to write one of some thousand digits."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Returns whether a text has a place in Postgres as it is: it holds no NUL and no half of a surrogate pair."""
    return _UNSTORABLE.search(text) is None


def is_storable_json(value: object) -> bool:
    """Returns whether every text and every name in the value is :func:`is_storable`."""
    layer = [value]
    while layer:
        if not all(is_storable(each) for each in layer if isinstance(each, str)):
            return False
        names = [name for each in layer if isinstance(each, dict) for name in each]
        layer = [*names, *(member for each in layer for member in _members(each))]
    return True


def storable_text(text: str, most: int | None = None) -> str:
    """The text, at most so many characters, with what cannot be stored written as JSON escapes it: ``\\u0000``.

    So nothing is left out without a trace, and who reads the text as JSON finds what was there, and can refuse it.
    """
    told = text if most is None else text[:most]
    return told if is_storable(told) else _UNSTORABLE.sub(_escaped, told)[:most]


def _escaped(found: re.Match[str]) -> str:
    # A backslash before it would take the escape's own away: "\\u0000" is a harmless text.
    apart = "\ufffd" if found.string[found.start() - 1 : found.start()] == "\\" else ""
    return f"{apart}\\u{ord(found.group()):04x}"


def storable_count(count: object, most: int = LARGEST_COUNT) -> int | None:
    """The count where it is a whole number from 0 to ``most``; None, which is unknown, for all else."""
    if isinstance(count, bool) or not isinstance(count, int):
        return None
    return count if 0 <= count <= most else None


def storable_usd(usd: object) -> Decimal | None:
    """The amount to ten decimals; None where it is none, negative, or more than any call costs."""
    if not isinstance(usd, Decimal) or not usd.is_finite() or not 0 <= usd <= MOST_USD:
        return None
    return usd.quantize(FINEST, context=EXACT)


def dump_json(value: object, default: Callable[[Any], Any] | None = None) -> str:
    """JSON that a ``jsonb`` column takes and everybody can read again: of the value, or of what can be kept of it.

    ``default`` is json's own. Raises TypeError for what is no JSON value at all, which is a defect of the caller.
    """
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, default=default)
        written.encode()
        # What the text says of escapes may be the words' own; that is looked at more closely below.
        if "\\u0000" not in written and (_is_flat(written) or not deeper_than(value, MOST_DEPTH)):
            return written
    except (ValueError, RecursionError):
        pass  # not finite, too long, half a character, or too deep: what can be kept of it follows
    return json.dumps(storable_json(value), ensure_ascii=False, allow_nan=False, default=default)


def _is_flat(written: str) -> bool:
    return written.count("[") + written.count("{") <= MOST_DEPTH


def deeper_than(value: object, levels: int) -> bool:
    """Returns whether lists and objects are nested in each other more than so many levels deep."""
    layer: list[object] = [value]
    for _ in range(levels):
        layer = [member for each in layer for member in _members(each)]
        if not layer:
            return False
    return any(isinstance(each, dict | list | tuple) for each in layer)


def _members(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def storable_json(value: object, levels: int = MOST_DEPTH) -> object:
    """The value with its texts storable; what is no number, too long a number, or nested too deep is null."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, int | float):
        return value if _is_written(value) else None
    if not isinstance(value, dict | list | tuple):
        return value
    if levels <= 0:
        return None
    if isinstance(value, dict):
        return {storable_text(str(name)): storable_json(each, levels - 1) for name, each in value.items()}
    return [storable_json(each, levels - 1) for each in value]


def _is_written(value: float) -> bool:
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= LONGEST_NUMBER
