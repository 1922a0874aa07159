"""Answers that are known beforehand: what a document says, and the words in it by which that is known; pure.

A file of JSON lines says it, as ``{"path": "/bookings/-", "anchor": "B-0017", "value": {…}}``. Asked with a text,
the simulator answers with the values whose anchors stand in it, so that an answer can be held against the truth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docmill.errors import Misconfigured, ReplyRejected
from docmill.parsing.bounds import check, strict

__all__ = ["Answers", "Known", "read_answers"]

LARGEST_FILE = 256 * 2**20
"""Bytes."""
MOST_LINES = 1_000_000
LONGEST_LINE = 4 * 2**20
LONGEST_ANCHOR = 2000
LONGEST_PATH = 1000
DEEPEST_PATH = 20
"""Characters, and steps of a path."""
KEYS = ("path", "anchor", "value")
APPENDED = "-"
INDEX = re.compile(r"0|[1-9]\d{0,8}")
WORD = re.compile(r"\w+")

Steps = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Known:
    """One line: the ``value`` of ``path`` wherever ``anchor`` stands."""

    path: Steps
    """From the outermost on; a last ``-`` appends to a list, a number is a place in one."""
    anchor: str
    """With one space between its words."""
    value: Any


class Answers:
    """What is known, looked up by anchors; what is said twice is known once.

    Raises Misconfigured where two paths cannot both be.
    """

    def __init__(self, known: Sequence[Known]) -> None:
        self._known = list({(each.path, each.anchor, _written(each.value)): each for each in known}.values())
        self._kinds = _kinds(self._known)
        self._by_words: dict[str, dict[int, dict[tuple[str, ...], list[int]]]] = {}
        for at, each in enumerate(self._known):
            words = tuple(WORD.findall(each.anchor))
            lengths = self._by_words.setdefault(words[0], {})
            lengths.setdefault(len(words), {}).setdefault(words, []).append(at)

    def found_in(self, text: str, *, most: int | None = None) -> Any:
        """The values whose anchors stand in the text as whole words, in the order of the anchors.

        An anchor that stands twice gives two items of a list; what is no item is given once. ``most`` leaves out
        the items beyond so many, without a word. What does not stand in the text is left out.
        """
        value: Any = [] if () in self._kinds and self._kinds[()] == "list" else {}
        items = 0
        for at in self._hits(text):
            each = self._known[at]
            if each.path[-1] != APPENDED:
                self._put(value, each)
            elif most is None or items < most:
                items += 1
                self._put(value, each)
        return _packed(value)

    def _hits(self, text: str) -> Iterator[int]:
        """The lines whose anchors stand in the text: by where they begin, then as in the file."""
        spans = [found.span() for found in WORD.finditer(text)]
        words = [text[start:end] for start, end in spans]
        for first, word in enumerate(words):
            found = [
                at
                for length, anchors in self._by_words.get(word, {}).items()
                for at in anchors.get(tuple(words[first : first + length]), ())
                if self._stands(text, spans[first][0], spans[first + length - 1][1], self._known[at].anchor)
            ]
            yield from sorted(found)

    def _stands(self, text: str, start: int, end: int, anchor: str) -> bool:
        """Whether what lies between and around the words is the anchor's, too; white space is as any other."""
        edges = [found.span() for found in (next(WORD.finditer(anchor)), [*WORD.finditer(anchor)][-1])]
        before, behind = edges[0][0], len(anchor) - edges[1][1]
        if before > start:
            return False
        return " ".join(text[start - before : end + behind].split()) == anchor

    def _put(self, value: Any, known: Known) -> None:
        for depth, step in enumerate(known.path[:-1]):
            inner: Any = _Places() if self._kinds[known.path[: depth + 1]] == "places" else {}
            if self._kinds[known.path[: depth + 1]] == "list":
                inner = []
            value = value.setdefault(step, inner)
        if known.path[-1] == APPENDED:
            value.append(known.value)
        else:
            value.setdefault(known.path[-1], known.value)


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


class _Places(dict[str, Any]):
    """A list whose items come by their places."""


def _packed(value: Any) -> Any:
    """Lists whose items came by their places as lists, with those left out that did not come."""
    if isinstance(value, _Places):
        return [_packed(value[place]) for place in sorted(value, key=int)]
    if isinstance(value, dict):
        return {name: _packed(member) for name, member in value.items()}
    return value


def _kinds(known: Sequence[Known]) -> dict[Steps, str]:
    """What stands at each path and above it: an object, a list, places of a list, or a value."""
    kinds: dict[Steps, str] = {}
    for each in known:
        for depth in range(len(each.path)):
            _agree(kinds, each.path[:depth], _holder(each.path[depth]))
        if each.path[-1] != APPENDED:
            _agree(kinds, each.path, "value")
    return kinds


def _holder(step: str) -> str:
    if step == APPENDED:
        return "list"
    return "places" if INDEX.fullmatch(step) else "object"


def _agree(kinds: dict[Steps, str], path: Steps, kind: str) -> None:
    there = kinds.setdefault(path, kind)
    if there != kind:
        pointer = "".join(f"/{step}" for step in path) or "the answer"
        raise Misconfigured(
            f"--answers: {pointer} cannot be {there} and {kind} at once: give it paths of one kind"
        )


def read_answers(path: Path) -> Answers:
    """Reads the answers of a file of JSON lines. Raises Misconfigured, with file and line, for what is none."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise Misconfigured(
                f"--answers: {path} has {size} bytes, and {LARGEST_FILE} are allowed: take a smaller file"
            )
        with path.open("rb") as file:
            known = [
                _known(path, number, line)
                for number, line in enumerate(_lines(path, file), start=1)
                if line.strip()
            ]
    except OSError as error:
        raise Misconfigured(
            f"--answers: {path} cannot be read ({error.strerror}): name a file of JSON lines"
        ) from error
    if not known:
        raise Misconfigured(f"--answers: {path} holds no line: each is an object with path, anchor and value")
    return Answers(known)


def _lines(path: Path, file: Any) -> Iterator[bytes]:
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE or number > MOST_LINES:
            what = f"{MOST_LINES} lines" if number > MOST_LINES else f"{LONGEST_LINE} bytes a line"
            raise _wrong(path, number, f"more than {what}: take a smaller file")
        yield line


def _known(path: Path, number: int, line: bytes) -> Known:
    try:
        told = strict(line.decode("utf-8-sig" if number == 1 else "utf-8"), repeated=False)
        check(told)
    except (ValueError, ReplyRejected) as error:
        raise _wrong(path, number, "it is no JSON in UTF-8") from error
    if not isinstance(told, Mapping) or set(told) != set(KEYS):
        raise _wrong(path, number, "it must be an object with path, anchor and value, and nothing else")
    return Known(
        path=_steps(path, number, told["path"]), anchor=_anchor(path, number, told["anchor"]), value=told["value"]
    )


def _anchor(path: Path, number: int, told: object) -> str:
    anchor = " ".join(told.split()) if isinstance(told, str) else ""
    if not WORD.search(anchor) or len(anchor) > LONGEST_ANCHOR:
        raise _wrong(
            path, number, f"anchor must be a text with a word in it, of at most {LONGEST_ANCHOR} characters"
        )
    return anchor


def _steps(path: Path, number: int, told: object) -> Steps:
    if not isinstance(told, str) or not told.startswith("/") or len(told) > LONGEST_PATH:
        raise _wrong(path, number, 'path must be a text that begins with a slash, as in "/bookings/-" or "/total"')
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in told[1:].split("/"))
    if len(steps) > DEEPEST_PATH or "" in steps or APPENDED in steps[:-1]:
        rule = f'path has at most {DEEPEST_PATH} steps, none of them empty, and "-" only as its last'
        raise _wrong(path, number, rule)
    return steps


def _wrong(path: Path, number: int, rule: str) -> Misconfigured:
    return Misconfigured(f"--answers: {path}, line {number}: {rule}")
