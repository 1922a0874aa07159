"""JSON into the database and out of it, as Python can hold it and hand it on, whatever stands there.

What docmill writes is bounded (:mod:`docmill.bounds`, :mod:`docmill.storable`). What stands there already, or was
put there by somebody else, may be nested deeper than any reader goes, or hold numbers that no float holds: it must
not break every list that it is in.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any

from docmill.storable import MOST_DEPTH, dump_json

__all__ = ["TOO_DEEP", "as_json", "loads"]

TOO_DEEP = f"(not shown: nested deeper than {MOST_DEPTH} levels)"
LONG_NUMBER = re.compile(r"(?<!\d)\d{300}")
LONGEST_INTEGER = 4000
"""Digits; Python reads no integer of 4,300."""
TOKEN = re.compile(r'(?<!\\)"(?:[^"\\]|\\.)*+"|[\[\]{}]')


def as_json(value: Any) -> str | None:
    """For a jsonb column, of what can be stored of it: None is null."""
    return None if value is None else dump_json(value, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a job's row")


def loads(written: str | bytes) -> Any:
    """The value. What is nested too deep is a sentence that says so, and a number that is too large is a text."""
    text = written if isinstance(written, str) else bytes(written).decode()
    if text.count("[") + text.count("{") <= MOST_DEPTH and not LONG_NUMBER.search(text):
        return json.loads(text)
    return json.loads(_shallow(text), parse_int=_integer, parse_float=_real)


def _shallow(text: str) -> str:
    kept: list[str] = []
    depth, at = 0, 0
    for token in TOKEN.finditer(text):
        sign = token[0][0]
        if sign in "[{":
            depth += 1
            if depth == MOST_DEPTH + 1:
                kept += [text[at : token.start()], json.dumps(TOO_DEEP)]
        elif sign in "]}":
            if depth == MOST_DEPTH + 1:
                at = token.end()
            depth -= 1
    kept.append(text[at:])
    return "".join(kept)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < LONGEST_INTEGER else digits


def _real(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits
