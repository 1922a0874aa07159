"""Writes JSON with the slips of other languages, sign by sign, so that each sign can be lost or doubled afterwards."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Style", "Tokens", "as_yaml", "joined", "tokens_of"]

Token: TypeAlias = tuple[str, str]
"""What it is, and how it is written."""
Tokens: TypeAlias = list[Token]

ORDINARY = re.compile(r"[A-Za-z]{2,}(?: [A-Za-z]{2,}){0,2}")
LITERALS = {"true", "false", "null", "none", "undefined", "nan", "infinity", "inf", "rest", "more", "other", "new"}
PLAIN_KEY = re.compile(r"[A-Za-z_]\w*")
PAIRED_IN_PRINT = re.compile(r'[^"]*(?:(?<![^\s(\[])"\w[^"]*[\w.!?]"(?![\w"])[^"]*)+')
PAIRED_TYPOGRAPHIC = re.compile(r"[^“”„«»「」]*(?:[“«「]\w[^“”„«»「」]*\w[”»」](?=[\s.])[^“”„«»「」]*)+")
STRUCTURE = re.compile(r'"\s*[:：=]|",|, ?"|[{}\[\]]')
FREE_BACKSLASH = re.compile(r"(?:[^\\]|\\[cdgh-mopqswyzABCD-TWYZ](?![0-9a-fA-F]{4}))*")
BREAK = re.compile(r"(?<!\\)((?:\\\\)*)\\(n|t)")
COMMENTS = (
    "the vendor",
    "in EUR",
    "page 2",
    'as "quoted" there',
    "it's here",
    "{net} [1]",
    "a, b, c",
    "http://x.y/z",
)
ODD_SPACES = ("\u00a0", "\u2003", "\u200b", "\t", "\r\n", "\ufeff", " ", "")
LITERAL_WORDS: dict[str, dict[Any, str]] = {
    "json": {True: "true", False: "false", None: "null"},
    "python": {True: "True", False: "False", None: "None"},
    "upper": {True: "TRUE", False: "FALSE", None: "NULL"},
    "undefined": {True: "true", False: "false", None: "undefined"},
}


@dataclass(kw_only=True)
class Style:
    """How a value is written; as it stands here, that is JSON."""

    quotes: str = '""'
    """The opening and the closing one; several ways, each for some of the texts, with ``|`` between."""
    triple: bool = False
    inner_quotes: str = ""
    """Which are not escaped: those ``in pairs``, or ``any``."""
    bare_keys: bool = False
    bare_texts: bool = False
    literals: str = "json"
    comma: str = ","
    trailing: bool = False
    colon: str = ":"
    comments: str = ""
    layout: str = "spaced"
    raw_breaks: bool = False
    raw_backslashes: bool = False
    needless: str = ""
    hexadecimal: bool = False
    ascii: bool = False
    joined_texts: bool = False
    numbers: str = ""
    tuples: bool = False
    wide: bool = False


def tokens_of(value: Any, style: Style, rng: random.Random) -> Tokens:
    """The value's signs, in order."""
    return list(_Writer(style, rng).value(value, 0))


def joined(tokens: Tokens) -> str:
    return "".join(written for _, written in tokens)


def as_yaml(value: Any, depth: int = 0) -> str:
    """Lists and mappings line by line; empty ones, and texts, as in JSON."""
    indent = "  " * depth
    if isinstance(value, dict) and value:
        members = (f"{indent}{name}:{_below(member, depth)}" for name, member in value.items())
        return "\n".join(members)
    if isinstance(value, list) and value:
        return "\n".join(f"{indent}-{_below(item, depth)}" for item in value)
    return indent + json.dumps(value)


def _below(value: Any, depth: int) -> str:
    inner = as_yaml(value, depth + 1)
    return f"\n{inner}" if isinstance(value, dict | list) and value else f" {inner.strip()}"


class _Writer:
    def __init__(self, style: Style, rng: random.Random) -> None:
        self.style = style
        self.rng = rng

    def value(self, value: Any, depth: int, *, member: bool = False) -> Iterator[Token]:
        if isinstance(value, dict):
            yield from self._container(list(value.items()), "｛｝" if self.style.wide else "{}", depth)
        elif isinstance(value, list):
            brackets = "()" if self.style.tuples else "［］" if self.style.wide else "[]"
            yield from self._container([(None, item) for item in value], brackets, depth)
        elif isinstance(value, str):
            yield from self._text(value, member=member)
        elif isinstance(value, bool) or value is None:
            yield "literal", LITERAL_WORDS[self.style.literals][value]
        else:
            yield "number", self._number(value, member=member)

    def _container(self, members: list[tuple[Any, Any]], brackets: str, depth: int) -> Iterator[Token]:
        yield "open", brackets[0]
        for at, (key, member) in enumerate(members):
            yield "space", self._space(depth + 1)
            if key is not None:
                yield from self._key(key)
            yield from self.value(member, depth + 1, member=key is not None)
            yield from self._comma(last=at == len(members) - 1, alone=brackets == "()" and len(members) == 1)
            yield from self._comment()
        yield "space", self._space(depth) if members else ""
        yield "close", brackets[1]

    def _comma(self, *, last: bool, alone: bool) -> Iterator[Token]:
        if not last:
            yield "comma", self.style.comma
        elif alone:
            yield "comma of a tuple", ","
        elif self.style.trailing:
            yield "comma", self.style.comma.strip() or ","

    def _space(self, depth: int) -> str:
        layout = self.style.layout
        if layout == "odd":
            return self.rng.choice(ODD_SPACES) + self.rng.choice(ODD_SPACES)
        return "\n" + "  " * depth if layout == "lines" else " " if layout == "spaced" and depth else ""

    def _comment(self) -> Iterator[Token]:
        sign = self.style.comments
        if not sign or self.rng.random() < 0.5:
            return
        words = self.rng.choice(COMMENTS)
        if sign in ("/*", "<!--"):
            yield "comment", f" {sign} {words} {'*/' if sign == '/*' else '-->'}"
        else:
            yield "comment", f"//{words}\n" if sign == "//glued" else f" {sign} {words}\n"

    def _key(self, key: str) -> Iterator[Token]:
        if self.style.bare_keys and PLAIN_KEY.fullmatch(key):
            yield "key", key
        else:
            yield from self._quoted(key, is_key=True)
        yield "colon", self.style.colon
        yield "space", "" if self.style.layout == "compact" else " "

    # --- texts ---

    def _text(self, text: str, *, member: bool) -> Iterator[Token]:
        style = self.style
        if style.bare_texts and self._can_be_bare(text, member=member):
            yield "bare", text
        elif style.joined_texts and len(text) > 3 and text.isalnum():
            yield from self._quoted(text[:2])
            yield "plus", " + "
            yield from self._quoted(text[2:])
        elif style.triple and not set(text) & {'"', "'", "\\"}:
            yield "opening quote", '"""'
            yield "body", text
            yield "closing quote", '"""'
        else:
            yield from self._quoted(text)

    def _can_be_bare(self, text: str, *, member: bool) -> bool:
        words = text.lower().split()
        return ORDINARY.fullmatch(text) is not None and not LITERALS & set(words) and (member or len(words) == 1)

    def _quoted(self, text: str, *, is_key: bool = False) -> Iterator[Token]:
        pair = self.rng.choice(self.style.quotes.split("|"))
        yield "opening quote", pair[0]
        yield "body", self._body(text, pair, is_key=is_key)
        yield "closing quote", pair[1]

    def _body(self, text: str, pair: str, *, is_key: bool) -> str:
        body = json.dumps(text, ensure_ascii=self.style.ascii)[1:-1]
        if (
            self.style.raw_backslashes
            and '"' not in text
            and text.isprintable()
            and FREE_BACKSLASH.fullmatch(text)
        ):
            body = text
        if self.style.raw_breaks:
            body = BREAK.sub(lambda found: found[1] + ("\n" if found[2] == "n" else "\t"), body)
        if pair[0] != '"' or (not is_key and self._leaves_quotes(text)):
            body = body.replace('\\"', '"')
        for sign in (set("“”„") if pair[0] in "“”„" else set(pair)) - {'"'}:
            body = body if self._stands_raw(text, sign) else body.replace(sign, "\\" + sign)
        return self._escaped(body)

    def _leaves_quotes(self, text: str) -> bool:
        if self.style.inner_quotes == "in pairs":
            return PAIRED_IN_PRINT.fullmatch(text) is not None and STRUCTURE.search(text) is None
        return self.style.inner_quotes == "any" and '", "' not in text  # which would be two good items

    def _stands_raw(self, text: str, sign: str) -> bool:
        """Whether a quote's own sign needs no escape within a text: an apostrophe, or pairs as in print."""
        if sign in "'’" and re.search(rf"(?<!\w){sign}|{sign}(?!\w)", text) is None:
            return self.rng.random() < 0.5
        return sign in "“”„«»「」" and PAIRED_TYPOGRAPHIC.fullmatch(text) is not None

    def _escaped(self, body: str) -> str:
        sign = self.style.needless
        if sign in ("/", "'"):
            body = re.sub(rf"(?<!\\){sign}", f"\\{sign}", body)
        elif sign == "u" and "\\" not in body:
            body = re.sub(r"[A-Z]", lambda found: f"\\u{ord(found[0]):04x}", body)
        if self.style.hexadecimal and "\\" not in body:
            body = re.sub(r"[\x80-\xff]", lambda found: f"\\x{ord(found[0]):02x}", body)
        return body

    # --- numbers ---

    def _number(self, number: float, *, member: bool) -> str:
        written, how = json.dumps(number), self.style.numbers
        if how == "plus" and number > 0:
            written = f"+{written}"
        elif how == "minus" and number < 0:
            written = f"−{written[1:]}"
        elif how == "underscores" and isinstance(number, int):
            written = f"{number:_}"
        elif how == "point":
            written = re.sub(r"^0(?=\.\d)|(?<=\.)0$", "", written)
        elif how == "grouped" and member and isinstance(number, int) and self._is_plain():
            written = f"{number:,}"
        return written

    def _is_plain(self) -> bool:
        style = self.style
        return style.comma == "," and not style.bare_keys and style.quotes == '""' and not style.comments
