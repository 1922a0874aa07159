"""Finding the JSON value in a reply.

Strict JSON comes first. Then what surrounds a value is taken off: thoughts, fences and prose. What then still
is no JSON is read leniently, and last of all goes to json-repair, and only if its brackets close: a text that
ends before they do was cut off, and nobody can know what would have come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import json_repair

from docmill.errors import ReplyNotJson, ReplyTruncated
from docmill.parsing.brackets import OPENING, closed, spans
from docmill.parsing.lenient import Doubt, read, read_whole

__all__ = ["answer_of", "candidates", "fenced", "strict"]

LONGEST = 2_000_000
"""Characters; no answer is longer, and a longer text is not worth the time."""
REPAIRABLE = 30_000
"""Characters that json-repair is given at most: its time grows faster than the text."""
MOST_VALUES = 5_000
"""In one reply."""
FAILED_READINGS = 20
"""How often a reply is read leniently in vain: each attempt may look at all of it."""

FENCE = re.compile(r"```[ \t]*+(?:json5?|JSON)?[ \t]*+\r?\n(.*?)```", re.DOTALL)
THOUGHTS = re.compile(r"\s*(?:<(think|thinking|thought|reasoning|reflection)>|\[(THINK)\])", re.IGNORECASE)
END_OF_THOUGHTS = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
FINAL_CHANNEL = "<|channel|>final<|message|>"
"""Where the answer begins in the format of gpt-oss, if a server leaves it in."""
REMARK = re.compile(r"\[[\w\s.,;:'’-]*\]")
"""A list without quotes and objects, which in prose is a footnote or a remark."""

BARE_WORD = re.compile(r"[\w.@/+-]+(?: [\w.@/+-]+)*")
NO_TEXTS = frozenset({"undefined", "NaN", "Infinity", "-Infinity", "...", "…"})
QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("`", "`"), ("´", "´"))
QUOTED = re.compile(r"""(?<!\\)(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')""", re.DOTALL)
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
UNESCAPED_QUOTE = re.compile(r'(?<!\\)"')
NUMERIC = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?")
GLUED = re.compile(r"[\"'`]\s*(?:[+:=]|,\s*[\"'`])")
"""A quote and then a sign that joins: two texts, or a text and a key, that a repair ran together."""


def candidates(text: str) -> Iterator[Any]:
    """The values that the reply may mean, the likeliest first.

    Raises ReplyTruncated where the text ends inside a value, ReplyNotJson where it holds none.
    """
    bare = answer_of(text)
    try:
        yield strict(bare)
    except ValueError:
        yield from _surrounded(bare)


def answer_of(text: str) -> str:
    """The reply without what the model thought before it.

    Raises ReplyTruncated where it never stopped to think.
    """
    bare = text.lstrip("\ufeff").strip().rstrip("\0")
    if len(bare) > LONGEST:
        raise ReplyNotJson(f"the reply has {len(bare)} characters; an answer has at most {LONGEST}")
    if FINAL_CHANNEL in bare:
        bare = bare.rpartition(FINAL_CHANNEL)[2].partition("<|")[0]
    while thoughts := THOUGHTS.match(bare):
        named = thoughts[1] or thoughts[2]
        end = re.compile(rf"</{named}>|\[/{named}\]", re.IGNORECASE).search(bare)
        if end is None:
            raise ReplyTruncated("the reply ends before the model stopped to think")
        bare = bare[end.end() :]
    return _without_headless_thoughts(bare).strip()


def _without_headless_thoughts(text: str) -> str:
    """Some servers put the opening tag into the prompt, so that only the closing one is in the reply."""
    end = END_OF_THOUGHTS.search(text)
    if end is None or f"<{end.group()[2:]}".lower() in text.lower() or text.lstrip()[:1] in ("{", "[", "`", '"'):
        return text
    return text[end.end() :]


def fenced(text: str) -> str | None:
    """What stands in the one fence of a reply; None where there is none, or several."""
    blocks = FENCE.findall(text)
    return blocks[0].strip() if len(blocks) == 1 else None


def _surrounded(text: str) -> Iterator[Any]:
    """The values within the text; remarks in brackets come last, for prose has those too."""
    found, remarks = False, []
    for part in _parts(text):
        for span, value in _values(part):
            found = True
            if REMARK.fullmatch(span) and span != part:
                remarks.append(value)
            else:
                yield value
    yield from remarks
    if not found:
        raise ReplyNotJson("the reply holds no JSON object")


def _parts(text: str) -> Iterator[str]:
    """The fenced parts, the last first, then the whole; escaped JSON made plain."""
    for block in reversed([block.strip() for block in FENCE.findall(text)]):
        if _is_whole(block):
            yield _plain(block)
    yield _plain(text)


def _is_whole(block: str) -> bool:
    """Whether the fence ends where the value does, and not at a fence within one of its texts."""
    try:
        read_whole(block)
    except Doubt:
        try:
            return all(spans(block))
        except ReplyTruncated:
            return False
    return True


def _plain(text: str) -> str:
    if '\\"' in text and not UNESCAPED_QUOTE.search(text):
        try:
            return str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            return text.replace('\\"', '"')
    return text


def _values(text: str) -> Iterator[tuple[str, Any]]:
    """Each value of the text, beside how it is written there."""
    stripped = text.strip()
    if stripped.startswith("("):
        try:
            yield text, _container(read_whole(stripped))
        except Doubt:
            pass
        else:
            return
    start, failed, spans_seen = 0, 0, 0
    while (opening := OPENING.search(text, start)) is not None:
        at = opening.start()
        spans_seen += 1
        if spans_seen > MOST_VALUES:
            raise ReplyNotJson(f"the reply has more than {MOST_VALUES} values")
        try:
            if failed >= FAILED_READINGS:
                raise Doubt("read in vain too often")
            value, start = read(text, at)
            yield text[at:start], value
        except Doubt:
            failed += 1
            span, start = closed(text, at)
            yield from ((text[at:start], value) for value in _repaired(span))


def _container(value: Any) -> Any:
    if not isinstance(value, dict | list):
        raise Doubt("one value in brackets")
    return value


def _repaired(span: str) -> Iterator[Any]:
    """The value of a span whose brackets close, if it can be had without guessing."""
    for reading in (strict, read_whole):
        try:
            yield reading(span)
        except ValueError:
            continue
        else:
            return
    if len(span) > REPAIRABLE:
        return
    repaired = json_repair.loads(span, skip_json_loads=True)
    if isinstance(repaired, dict if span[0] == "{" else list) and repaired and _is_no_guess(span, repaired):
        yield repaired


def _is_no_guess(span: str, value: Any) -> bool:
    return _says(span, value) and _keeps_all(span, value)


def _keeps_all(span: str, value: Any) -> bool:
    """Whether the repair has as many objects and lists as were opened, and only numbers that were written."""
    outside = QUOTED.sub("", span)
    written = {_float(number) for number in NUMERIC.findall(span)}
    return _containers(value) >= outside.count("{") + outside.count("[") and set(_numbers(value)) <= written


def _float(number: str) -> float:
    return float(number.replace("_", ""))


def _containers(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + sum(map(_containers, members))


def _numbers(value: Any) -> Iterator[float]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        yield from _numbers(member)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def _says(span: str, value: Any) -> bool:
    """Whether each text in a repaired value stands in the reply so: quoted, or as one bare word.

    A repair that glues or splits texts has guessed, and a guess is no answer.
    """
    if isinstance(value, dict):
        return all(_names(span, key) and _says(span, member) for key, member in value.items())
    if isinstance(value, list):
        return all(_says(span, each) for each in value)
    return not isinstance(value, str) or (_stands_in(span, value) and not HALF_CHARACTER.search(value))


def _names(span: str, key: str) -> bool:
    """Whether a key stands in the reply as one: quoted, or a bare word at a key's place."""
    if re.search(rf"(?:^|[{{,\n/])[^\S\n]*+{re.escape(key)}\s*[:=]", span):
        return True
    return '"' not in key and _says(span, key) and not re.search(rf"\w\s+{re.escape(key)}\s*:", span)


def _stands_in(span: str, text: str) -> bool:
    if BARE_WORD.fullmatch(text) and text in span:
        return text not in NO_TEXTS
    if GLUED.search(text) or text in NO_TEXTS:
        return False
    written = (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    return any(f"{before}{each}{after}" in span for each in written for before, after in QUOTES)


def strict(text: str) -> Any:
    """JSON and nothing else. Raises ValueError, and ReplyNotJson where it is nested too deep."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ReplyNotJson("the reply is nested too deep") from error


def _finite(number: str) -> float:
    value = float(number)
    return _no_number(number) if value in (float("inf"), float("-inf")) else value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
