"""The SQL statements of this folder, by name: one file an aggregate, with nothing else in it than SQL.

A file holds blocks. ``-- name: advance`` begins a statement and ``-- fragment: fence`` what several statements
share, each with a few words on it as comments, and then its text. A statement names a fragment of any file in
braces, as in ``{fence}``; a fragment names none. Values have the form of psql's variables, ``:epoch``, so that
what ``python -m db.sql transitions.advance`` prints can be pasted into psql (docs/decisions/0110).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

__all__ = ["for_psql", "statements", "with_values"]

HEADING = re.compile(r"^-- (name|fragment): (\w+)\n((?:--.*\n)*)", re.MULTILINE)
FRAGMENT = re.compile(r"\{(\w+)\}")
TOKEN = re.compile(r"'[^']*'|--.*|::|:(\w+)|%")
"""What holds a colon or a percent sign, and of these what is a value's name."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A statement or a fragment, as its file has it."""

    kind: str
    name: str
    about: str
    text: str


@cache
def statements() -> dict[str, Block]:
    """Every statement by ``file.name``, with its fragments put in. Raises KeyError for one that is nowhere."""
    blocks = [(f"{file.stem}.{block.name}", block) for file in _files() for block in _blocks(file)]
    fragments = {block.name: block.text for _, block in blocks if block.kind == "fragment"}
    return {
        key: replace(block, text=FRAGMENT.sub(lambda each: fragments[each[1]], block.text))
        for key, block in blocks
        if block.kind == "name"
    }


def with_values(text: str, placeholder: Callable[[str], str], *, percent: str = "%") -> str:
    """The statement with ``placeholder(name)`` where a value stands, and percent signs as a driver wants them."""

    def put_in(token: re.Match[str]) -> str:
        return placeholder(token[1]) if token[1] else token[0].replace("%", percent)

    return TOKEN.sub(put_in, text)


def for_psql(key: str) -> str:
    """The statement, after a line that sets each of its values, to null at first."""
    block = statements()[key]
    names = [name for name in TOKEN.findall(block.text) if name]
    values = "".join(f"\\set {name} null\n" for name in dict.fromkeys(names))
    return f"-- {key}\n{block.about}{values}{block.text};\n"


def _files() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.sql"))


def _blocks(file: Path) -> Iterator[Block]:
    _, *parts = HEADING.split(file.read_text(encoding="utf-8"))
    for kind, name, about, text in zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True):
        yield Block(kind=kind, name=name, about=about, text=text.strip())
