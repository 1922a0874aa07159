"""Reading one value without quotes: numbers as people write them, words of other languages, dates, addresses."""

from __future__ import annotations

import re
from typing import Any

from docmill.parsing.bounds import LONGEST_NUMBER
from docmill.parsing.omissions import in_words
from docmill.parsing.texts import Doubt, Role

__all__ = ["CALL", "NUMBER", "Bare", "number", "read_word"]

UNSEEN = r"\u180e\u200b-\u200d\u2060\ufeff"
"""Signs without width, which stand between others as spaces do."""
END = rf"(?=[\s{UNSEEN},:;，；、}}\])｝］）/#]|$)"
NUMBER = re.compile(rf"[+−-]?(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d[\d_]*+)(?:[eE][+-]?\d+)?{END}")
HEXADECIMAL = re.compile(rf"0[xX][0-9a-fA-F]{{1,16}}{END}")
GROUPED = re.compile(r"[+−-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?=\s*(?:[}｝]|,\s*[\"'“}｝]|,\s*[^\W\d]))")
ZERO_FIRST = re.compile(r"[+−-]?0\d")
TIME = re.compile(
    r"(?:\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d{2}:?\d{2}))?)?"
    r"|\d{1,2}:\d{2}(?::\d{2})?)(?=\s*(?:[,;，；、}\])｝］）]|$)|\s+(?://|/\*|#|\n))"
)
"""A date, a time, or both: the colons in it are no colons behind a name."""
URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s,\"'“”„‘’‚`´«»「」『』＂＇{}\[\]()]+", re.IGNORECASE)
CALL = re.compile(r"(?:new\s+)?[A-Za-z_][\w.]{0,60}\(")
SIGNS = rf"\s{UNSEEN}\\,:;，；、：{{}}\[\]()｛｝［］（）\"'“”„‘’‚`´«»‹›「」『』＂＇=<>"
WORD = rf"(?:[^{SIGNS}/]|/(?![/*]))"
BARE = re.compile(rf"{WORD}++(?:[ \t]+(?![#/]){WORD}++)*+")
WITHOUT_WIDTH = re.compile(f"[{UNSEEN}]")
WORDS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}
ENTITY = re.compile(r"&#?\w{1,10}\Z")
NO_VALUES = frozenset({"nan", "infinity", "-infinity", "+infinity", "inf", "-inf"})


class Bare(str):
    """A text that was written without quotes."""

    __slots__ = ()


def read_word(text: str, at: int, role: Role) -> tuple[Any, int]:
    """Reads the value without quotes that stands at ``at``; returns it, and where it ends. Raises Doubt."""
    if role == "member" and (found := GROUPED.match(text, at)):
        return number(found.group().replace(",", "")), found.end()
    if found := HEXADECIMAL.match(text, at):
        return int(found.group(), 16), found.end()
    if found := TIME.match(text, at):
        return found.group(), found.end()
    if found := NUMBER.match(text, at):
        return _number_or_code(found.group(), role), found.end()
    if found := URL.match(text, at):
        return found.group(), found.end()
    return _words(text, at, role)


def number(written: str) -> int | float:
    """The number that is written, ``_`` between its digits or not. Raises Doubt where it is beyond all bounds."""
    plain = written.replace("_", "").replace("−", "-")
    if len(plain) > LONGEST_NUMBER:
        raise Doubt(f"a number has more than {LONGEST_NUMBER} digits")
    if re.fullmatch(r"[+-]?\d+", plain):
        return int(plain)
    value = float(plain)
    if value in (float("inf"), float("-inf")):
        raise Doubt("a number is too large")
    return value


def _number_or_code(written: str, role: Role) -> int | float | str:
    """``05`` is a text more likely than a number; in a list it may be a group of the number before."""
    if not ZERO_FIRST.match(written):
        return number(written)
    if role != "member":
        raise Doubt("a number begins with a zero")
    return written


def _words(text: str, at: int, role: Role) -> tuple[Any, int]:
    found = BARE.match(text, at)
    if found is None:
        raise Doubt("there is no value")
    words = found.group()
    if words.lower() in WORDS:
        return WORDS[words.lower()], found.end()
    _check_words(words, role)
    if WITHOUT_WIDTH.match(text, at - 1):
        raise Doubt("a sign that nobody sees may belong to a word without quotes")
    return Bare(words), found.end()


def _check_words(words: str, role: Role) -> None:
    first, *others = words.lower().split()
    if ENTITY.search(words):
        raise Doubt("the reply is written with entities")
    if _is_a_value(words.lower()):
        raise Doubt("a value runs into what follows")
    if words.lower() in NO_VALUES or not any(sign.isalnum() for sign in words):
        raise Doubt("a value is none of JSON")
    if (others and in_words(words)) or "..." in words or "…" in words:
        raise Doubt("a value is left out")
    # Where a comma is missing, words run together: what is a value by itself is no part of a text.
    if others and (first in WORDS or (role != "member" and any(map(_is_a_value, others)))):
        raise Doubt("a word follows a value")


def _is_a_value(word: str) -> bool:
    return word in WORDS or NUMBER.fullmatch(word) is not None
