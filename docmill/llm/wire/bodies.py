"""Bodies as they come: JSON, or a text that holds JSON in one of the ways in which servers wrap it.

Some send a stream whatever was asked, as server-sent events or as lines; some put the end mark of a stream behind
a whole answer; some send JSON as a string in JSON. Each way is read in time linear in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docmill.llm.wire.shapes import mappings
from docmill.llm.wire.streams import is_event, merged

__all__ = ["decoded", "opened", "unquoted"]

DEEPEST_STRINGS = 3
"""JSON in a string in JSON: more often nobody means it."""
LONGEST_INTEGER = 400
"""Digits; from some thousand on Python refuses the whole body for one."""
END_MARKS = frozenset({"[DONE]", '"[DONE]"'})
FIELDS = (":", "event:", "id:", "retry:")
"""Lines of server-sent events beside ``data:``; one that begins with a colon is a comment."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_SPACE = re.compile(r"\s*")


def opened(body: object) -> object:
    """Opens a body: gives decoded JSON, the events of a stream put together; the text where it holds no JSON.

    Never raises.
    """
    if isinstance(body, bytes | bytearray):
        body = bytes(body).decode("utf-8", errors="replace")
    if isinstance(body, str):
        return _from_text(body)
    return _from_list(body) if isinstance(body, list) else body


def decoded(written: str) -> object:
    """Decodes a text that may be JSON, also where a string holds the JSON; None for all else. Never raises."""
    value: object = written
    for _ in range(DEEPEST_STRINGS):
        value = _json(str(value))
        if not isinstance(value, str):
            return value
    return None


def unquoted(written: str) -> str:
    """Takes a text out of the JSON string that it was written into, where it is JSON itself; else as it is."""
    for _ in range(DEEPEST_STRINGS):
        inner = _json(written) if written.lstrip().startswith('"') else None
        if not isinstance(inner, str) or not isinstance(decoded(inner), dict | list):
            break
        written = inner
    return written


def _json(written: str) -> object:
    try:
        value: object = _DECODER.decode(written.strip().removeprefix("\ufeff").strip())
    except (ValueError, RecursionError):
        return None
    return value


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)


def _from_text(body: str) -> object:
    value = decoded(body)
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return _from_list(value)
    lines = _lines(body)
    values, rest = _values("\n".join(lines.data))
    damaged = False
    if rest:
        by_line = [_values(line) for line in lines.data]
        values = [value for found, _ in by_line for value in found] or values
        # A value that begins and does not end is a piece that was lost; what else stands there was never one.
        damaged = any(rest.startswith("{") for _, rest in by_line)
    if not values:
        return body
    whole = merged(values, "damaged" if damaged else "told" if lines.ended else "open")
    return {**whole, "error": lines.error} if lines.error and not whole.get("error") else whole


def _from_list(value: list[Any]) -> object:
    """The one object of a list, or the chunks of a stream that somebody collected, put together."""
    found = mappings(value)
    if not found or len(found) != len(value):
        return value
    if len(found) == 1:
        return found[0]
    return merged(found, "open") if all(map(is_event, found)) else value


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What the lines of a stream hold."""

    data: list[str]
    ended: bool
    """Whether the stream says that it has ended."""
    error: object
    """The data of an event that is called ``error``; None where there is none."""


def _lines(body: str) -> Lines:
    data, ended, event, error = [], False, "", None
    for line in map(str.strip, _LINE_END.split(body.removeprefix("\ufeff"))):
        if line.startswith(FIELDS):
            event = line.removeprefix("event:").strip() if line.startswith("event:") else event
            continue
        told = line.removeprefix("data:").strip()
        ended = ended or told in END_MARKS
        if told and told not in END_MARKS:
            data.append(told)
            error = error or (event == "error" and (decoded(told) or {"message": told})) or None
        elif not told:
            event = ""
    return Lines(data=data, ended=ended, error=error)


def _values(written: str) -> tuple[list[Mapping[str, Any]], str]:
    """The JSON objects that a text begins with, one after another, and what follows them and is none."""
    values: list[Mapping[str, Any]] = []
    place = 0
    while place < len(written):
        try:
            value, end = _DECODER.raw_decode(written, place)
        except (ValueError, RecursionError):
            return values, written[place:]
        if not isinstance(value, dict):
            return values, written[place:]
        values.append(value)
        space = _SPACE.match(written, end)
        place = space.end() if space else end
    return values, ""
