"""Finding the JSON value in a reply.

Strict JSON comes first. Then what surrounds a value is taken off: fences and prose. Only what then still is no
JSON goes to json-repair, and only if its brackets close: a text that ends before they do was cut off, and
nobody can know what would have come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import json_repair

from docmill.errors import ReplyNotJson, ReplyTruncated

__all__ = ["candidates"]

LONGEST = 2_000_000
"""Characters; no answer is longer, and a longer text is not worth the time."""
DEEPEST = 200
FENCE = re.compile(r"```[ \t]*(?:json5?|JSON)?[ \t]*\n(.*?)```", re.DOTALL)
BARE_WORD = re.compile(r"[\w.@/+-]+(?: [\w.@/+-]+)*")
NO_TEXTS = frozenset({"undefined", "NaN", "Infinity", "-Infinity"})
QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("`", "`"), ("´", "´"))
CLOSES = {"{": "}", "[": "]"}


def candidates(text: str) -> Iterator[Any]:
    """The values that the reply may mean, the likeliest first.

    Raises ReplyTruncated where the text ends inside a value, ReplyNotJson where it holds none.
    """
    bare = text.lstrip("\ufeff").strip()
    if len(bare) > LONGEST:
        raise ReplyNotJson(f"the reply has {len(bare)} characters; an answer has at most {LONGEST}")
    try:
        yield _strict(bare)
    except ValueError:
        yield from _surrounded(bare)


def _surrounded(text: str) -> Iterator[Any]:
    found = False
    blocks = [block.strip() for block in FENCE.findall(text)]
    for block in [*reversed(blocks), text]:
        for span in _spans(block):
            for value in _values(span):
                found = True
                yield value
    if not found:
        raise ReplyNotJson("the reply holds no JSON object")


def _values(span: str) -> Iterator[Any]:
    try:
        yield _strict(span)
    except ValueError:
        repaired = json_repair.loads(span, skip_json_loads=True)
        if isinstance(repaired, dict | list) and repaired and _says(span, repaired):
            yield repaired


def _says(span: str, value: Any) -> bool:
    """Whether each text in a repaired value stands in the reply so: quoted, or as one bare word.

    A repair that glues or splits texts has guessed, and a guess is no answer.
    """
    if isinstance(value, dict):
        return all(_says(span, each) for member in value.items() for each in member)
    if isinstance(value, list):
        return all(_says(span, each) for each in value)
    return not isinstance(value, str) or _stands_in(span, value)


def _stands_in(span: str, text: str) -> bool:
    if BARE_WORD.fullmatch(text) and text in span:
        return text not in NO_TEXTS
    written = (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    return any(f"{before}{each}{after}" in span for each in written for before, after in QUOTES)


def _spans(text: str) -> Iterator[str]:
    """The parts from an opening bracket to the one that closes it."""
    start = 0
    while (opening := _next_opening(text, start)) is not None:
        end = _closing(text, opening)
        yield text[opening:end]
        start = end


def _next_opening(text: str, start: int) -> int | None:
    found = re.compile(r"[{\[]").search(text, start)
    return found.start() if found else None


def _closing(text: str, opening: int) -> int:
    """The place behind the bracket that closes the one at ``opening``."""
    open_brackets: list[str] = []
    in_string = False
    skip = False
    for place in range(opening, len(text)):
        character = text[place]
        if skip:
            skip = False
        elif in_string:
            skip = character == "\\"
            in_string = character != '"'
        elif character == '"':
            in_string = True
        elif character in CLOSES:
            open_brackets.append(CLOSES[character])
        elif open_brackets and character == open_brackets[-1]:
            open_brackets.pop()
        if len(open_brackets) > DEEPEST:
            raise ReplyNotJson(f"the reply is nested more than {DEEPEST} deep")
        if not open_brackets:
            return place + 1
    raise ReplyTruncated("the reply ends before its JSON does")


def _strict(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ReplyNotJson("the reply is nested too deep") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
