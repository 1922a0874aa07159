"""Reading decoded JSON of strangers: each reader takes anything and gives a value of one shape, or nothing.

Providers send null where a list belongs, a string where an object belongs, and numbers as text; a reader that
gives an empty value instead of raising lets the code above it say what it looks for, and nothing else. Every
number is bounded here: Python takes figures of any size, and no column, no clock and no price does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from docmill.storable import storable_text, storable_usd

__all__ = [
    "MOST_TOKENS",
    "amount",
    "at",
    "first",
    "label",
    "listed",
    "mapping",
    "mappings",
    "number",
    "sequence",
    "text",
    "whole",
]

MOST_TOKENS = 20_000_000
"""Of one call; the largest windows there are hold half of it."""
LONGEST_LABEL = 200
"""Characters of an id, a code, a model's name."""

_DIGITS = re.compile(r"[0-9]{1,12}(?:\.0{1,6})?")
_NUMERAL = re.compile(r"[-+]?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")


def mapping(value: object) -> Mapping[str, Any]:
    """Gives the value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """Gives the value where it is an array, else an empty one."""
    return value if isinstance(value, list) else ()


def mappings(value: object) -> list[Mapping[str, Any]]:
    """Gives the objects among an array's items."""
    return [item for item in sequence(value) if isinstance(item, dict)]


def listed(value: object) -> list[Mapping[str, Any]]:
    """Gives the objects of an array, or the one object that stands where an array belongs."""
    return [value] if isinstance(value, dict) else mappings(value)


def text(value: object) -> str:
    """Gives the value where it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def at(value: object, path: str) -> object:
    """Gives what stands at a path of names, ``usage.total_tokens``; None where nothing does."""
    if "." not in path:  # as almost all are, of a hundred that are looked at in a response
        return mapping(value).get(path)
    for name in path.split("."):
        value = mapping(value).get(name)
    return value


def first(value: object, paths: Sequence[str]) -> object:
    """Gives what stands at the first of the paths that has anything but null."""
    return next((found for path in paths if (found := at(value, path)) is not None), None)


def label(value: object) -> str:
    """Writes an id, a code or a name, short and storable; empty for what is neither text nor a small number."""
    if isinstance(value, str):
        return storable_text(value.strip()[:LONGEST_LABEL], LONGEST_LABEL)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    return ""


def whole(value: object, most: int = MOST_TOKENS) -> int | None:
    """Reads a count from zero to ``most``, also where it was sent as ``12.0`` or ``"12"``; None for all else."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN is no number between others.
    return int(value) if 0 <= value <= most and value == int(value) else None


def number(value: object) -> float | None:
    """Reads a finite number, also where it was sent as text; None for all else."""
    if isinstance(value, str):
        value = value.strip()
        value = float(value) if _NUMERAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def amount(value: object) -> Decimal | None:
    """Reads what a provider says that a call cost, in USD; None for what no call costs."""
    if number(value) is None:
        return None
    return storable_usd(Decimal(str(value).strip()))
