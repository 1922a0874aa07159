"""Reading decoded JSON of strangers: each reader takes anything and gives a value of one shape, or nothing.

Providers send null where a list belongs, a string where an object belongs, and numbers as text; a reader that
gives an empty value instead of raising lets the code above it say what it looks for, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["decimal_text", "mapping", "mappings", "number", "sequence", "text", "whole"]


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """The value where it is an array, else an empty one."""
    return value if isinstance(value, list) else ()


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects among an array's items."""
    return [item for item in sequence(value) if isinstance(item, dict)]


def text(value: object) -> str:
    """The value where it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """A count: a whole number of zero or more, also where it was sent as ``12.0``; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if value >= 0 else None


def number(value: object) -> float | None:
    """A finite number, also where it was sent as text; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def decimal_text(value: object) -> str | None:
    """An amount of zero or more as a decimal string, as the provider sent it; None for all else."""
    amount = number(value)
    if amount is None or amount < 0:
        return None
    return str(value).strip()
