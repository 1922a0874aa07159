"""Finding the JSON value in a reply.

Strict JSON comes first. Then what surrounds a value is taken off: fences and prose. Only what then still is no
JSON goes to json-repair, and only if its brackets close: a text that ends before they do was cut off, and
nobody can know what would have come.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import json_repair

from docmill.errors import ReplyNotJson, ReplyTruncated
from docmill.parsing.brackets import spans

__all__ = ["candidates"]

LONGEST = 2_000_000
"""Characters; no answer is longer, and a longer text is not worth the time."""
FENCE = re.compile(r"```[ \t]*(?:json5?|JSON)?[ \t]*\n(.*?)```", re.DOTALL)
BARE_WORD = re.compile(r"[\w.@/+-]+(?: [\w.@/+-]+)*")
NO_TEXTS = frozenset({"undefined", "NaN", "Infinity", "-Infinity"})
QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("`", "`"), ("´", "´"))
QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
TRIPLE_QUOTED = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.DOTALL)
UNESCAPED_QUOTE = re.compile(r'(?<!\\)"')
UNDEFINED = re.compile(r"([:,\[]\s*)undefined(?=\s*[,}\]])")
GLUED = re.compile(r"[\"'`]\s*(?:[+:]|,\s*[\"'`])")
"""A quote and then a sign that joins: two texts, or a text and a key, that a repair ran together."""


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
    for part in _parts(text):
        for span in spans(part):
            for value in _values(span):
                found = True
                yield value
    if not found:
        raise ReplyNotJson("the reply holds no JSON object")


def _parts(text: str) -> Iterator[str]:
    """The fenced parts, the last first, then the whole; texts in three quotes and escaped JSON made plain."""
    for block in reversed([block.strip() for block in FENCE.findall(text)]):
        if _is_whole(block):
            yield _plain(block)
    yield _plain(text)


def _is_whole(block: str) -> bool:
    """Whether the fence ends where the value does, and not at a fence within one of its texts."""
    try:
        return all(spans(block))
    except ReplyTruncated:
        return False


def _plain(text: str) -> str:
    text = TRIPLE_QUOTED.sub(lambda match: json.dumps(match[1] or match[2]), text)
    if '\\"' in text and not UNESCAPED_QUOTE.search(text):
        text = text.replace('\\"', '"')
    stripped = text.strip()
    if stripped[:1] == "(" and stripped[-1:] == ")":
        return f"[{stripped}]" if "," not in stripped else _as_lists(stripped)
    return UNDEFINED.sub(r"\1null", text)


def _as_lists(text: str) -> str:
    """A Python tuple as JSON has it; as it was where it is none."""
    try:
        return json.dumps(_lists(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _lists(member) for key, member in value.items()}
    return [_lists(member) for member in value] if isinstance(value, list | tuple) else value


def _values(span: str) -> Iterator[Any]:
    try:
        yield _strict(span)
    except ValueError:
        repaired = json_repair.loads(span, skip_json_loads=True)
        if isinstance(repaired, dict | list) and repaired and _says(span, repaired) and _keeps_all(span, repaired):
            yield repaired


def _keeps_all(span: str, value: Any) -> bool:
    """Whether the repair has as many objects and lists as were opened: one that dropped some has guessed."""
    outside = QUOTED.sub("", span)
    return _containers(value) >= outside.count("{") + outside.count("[")


def _containers(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + sum(map(_containers, members))


def _says(span: str, value: Any) -> bool:
    """Whether each text in a repaired value stands in the reply so: quoted, or as one bare word.

    A repair that glues or splits texts has guessed, and a guess is no answer.
    """
    if isinstance(value, dict):
        return all(_names(span, key) and _says(span, member) for key, member in value.items())
    if isinstance(value, list):
        return all(_says(span, each) for each in value)
    return not isinstance(value, str) or _stands_in(span, value)


def _names(span: str, key: str) -> bool:
    """Whether a key stands in the reply as one: quoted, or a bare word at a key's place."""
    if re.search(rf"(?:^|[{{,\n/])\s*{re.escape(key)}\s*[:=]", span):
        return True
    return _says(span, key) and not re.search(rf"\w\s+{re.escape(key)}\s*:", span)


def _stands_in(span: str, text: str) -> bool:
    if BARE_WORD.fullmatch(text) and text in span:
        return text not in NO_TEXTS
    if GLUED.search(text):
        return False
    written = (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    return any(f"{before}{each}{after}" in span for each in written for before, after in QUOTES)


def _strict(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ReplyNotJson("the reply is nested too deep") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
