"""Reading what is almost JSON: the slips of languages that look like it, each with one meaning; linear in time.

Other quotes, Python's and JavaScript's words, tuples, comments, trailing commas, forgotten commas and colons, bare
keys and words, numbers as people write them. Whatever could mean two things is a :class:`Doubt`, and so is a text
that ends too early: a guess is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["Doubt", "read", "read_whole"]

DEEPEST = 100
SPACE = re.compile(r"[\s\u180e\u200b-\u200d\u2060\ufeff]*")
BEFORE_A_CLOSE = ",:;}])=+，："
SEPARATORS = frozenset(",;，")
COLONS = re.compile(r"=>|[:=：]")
CLOSERS = {"“": '”“"', "”": '”“"', "‘": "’‘'", "’": "’‘'", "`": "`´", "´": "´`", "'": "'"}
"""Quotes beside the JSON one, and the signs that end a text begun with them."""
QUOTES = frozenset('"') | CLOSERS.keys()

PLAIN_TEXT = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
QUOTED_KEY = re.compile(r"""(?:"[^"\n]{0,200}"|'[^'\n]{0,200}'|“[^”\n]{0,200}”)\s*[:：]""")
BARE_KEY = re.compile(r"[^\W\d][\w$.-]*|[$@][\w$.-]+|\d+(?:\.\d+)?")
URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s,\"'{}\[\]()]+", re.IGNORECASE)
CALL = re.compile(r"(?:new\s+)?[A-Za-z_][\w.]{0,60}\(")
BARE = re.compile(r"[^\s,:;，：{}\[\]()\"'“”‘’`´=]+(?:[ \t]+[^\s,:;，：{}\[\]()\"'“”‘’`´=/#]+)*+")
NUMBER = re.compile(r"[+-]?(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d[\d_]*+)(?:[eE][+-]?\d+)?(?=[\s,:;，}\])/#]|$)")
HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,16}(?=[\s,;}\])]|$)")
GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?=\s*(?:\}|,\s*[\"'“}]|,\s*[^\W\d]))")
ZERO_FIRST = re.compile(r"[+-]?0\d")
STARTS = re.compile(r"[{\[]|-?\d|(?:true|false|null|none)\b", re.IGNORECASE)
"""How an item begins that no comma stands before; other words may go on from the one before."""
WORDS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}
NO_VALUES = frozenset({"nan", "infinity", "-infinity", "+infinity", "inf", "-inf"})

ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|\r?\n|.)", re.DOTALL)
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "\n": "", "\r\n": ""}
SELVES = frozenset("\"'\\/`“”‘’")


class Doubt(ValueError):
    """The text has no reading, or more than one."""


def read(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at ``start``, and where it ends. Raises Doubt."""
    reader = _Reader(text, start)
    return reader.value(), reader.at


def read_whole(text: str) -> Any:
    """The one value that the whole text is. Raises Doubt."""
    reader = _Reader(text, 0)
    value = reader.value()
    if reader.next() != "":
        raise Doubt("something follows the value")
    return value


class _Reader:
    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start
        self.depth = 0

    def next(self) -> str:
        """The next sign that is no space and in no comment; "" at the end."""
        while True:
            space = SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            end = self._comment_end()
            if end is None:
                return self.text[self.at : self.at + 1]
            self.at = end

    def _comment_end(self) -> int | None:
        for opening, closing in (("/*", "*/"), ("<!--", "-->")):
            if self.text.startswith(opening, self.at):
                end = self.text.find(closing, self.at + len(opening))
                if end < 0:
                    raise Doubt("a comment does not end")
                return end + len(closing)
        if self.text.startswith(("//", "# ", "#\t"), self.at):
            end = self.text.find("\n", self.at)
            return len(self.text) if end < 0 else end
        return None

    def value(self, *, in_object: bool = False) -> Any:
        sign = self.next()
        nested: dict[str, Callable[[], Any]] = {"{": self._object, "[": self._list, "(": self._tuple}
        if sign in nested:
            return self._nested(nested[sign])
        if sign in QUOTES:
            return self._joined_texts()
        if sign == "":
            raise Doubt("the text ends")
        return self._bare(in_object=in_object)

    def _nested(self, inner: Callable[[], Any]) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Doubt("nested too deep")
        self.at += 1
        value = inner()
        self.depth -= 1
        return value

    # --- objects and lists ---

    def _object(self) -> Any:
        members: dict[str, Any] = {}
        while self.next() != "}":
            key, quoted = self._key()
            if not members and self.next() in SEPARATORS:
                return self._set(key, quoted)
            self._colon(quoted=quoted)
            members[key] = self.value(in_object=True)
            self._after_member()
        self.at += 1
        return members

    def _key(self) -> tuple[str, bool]:
        if self.next() in QUOTES:
            return self._text(), True
        found = BARE_KEY.match(self.text, self.at)
        if found is None:
            raise Doubt("there is no key")
        self.at = found.end()
        return found.group(), False

    def _colon(self, *, quoted: bool) -> None:
        self.next()
        found = COLONS.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        elif not quoted or not self.text[self.at - 1].isspace() or self.text[self.at : self.at + 1] in "}])":
            raise Doubt("there is no colon")
        elif not self._is_alone():
            raise Doubt("a colon is missing, or a quote was not escaped")

    def _is_alone(self) -> bool:
        """Whether one value stands here, and then the member ends."""
        ahead = _Reader(self.text, self.at)
        ahead.depth = DEEPEST
        ahead.value()
        return ahead.next() in ("}", ",")

    def _after_member(self) -> None:
        sign = self.next()
        if sign in SEPARATORS:
            self.at += 1
        elif sign == "}" or QUOTED_KEY.match(self.text, self.at):
            return
        elif not (self._is_on_a_new_line() and self._bare_key_follows()):
            raise Doubt("a member does not end")

    def _is_on_a_new_line(self) -> bool:
        before = self.text[max(0, self.at - 200) : self.at]
        return "\n" in before[len(before.rstrip()) :]

    def _bare_key_follows(self) -> bool:
        found = BARE_KEY.match(self.text, self.at)
        return found is not None and self.text[found.end() : found.end() + 1] == ":"

    def _set(self, first: str, quoted: bool) -> list[Any]:
        """A Python set, of texts or numbers."""
        if not quoted and not NUMBER.fullmatch(first):
            raise Doubt("neither an object nor a set")
        members: list[Any] = [first if quoted else _number(first)]
        self.at += 1
        while self.next() != "}":
            members.append(self.value())
            if isinstance(members[-1], dict | list):
                raise Doubt("a set of more than texts and numbers")
            self._after_item("}")
        self.at += 1
        return members

    def _list(self, closing: str = "]") -> list[Any]:
        items: list[Any] = []
        while self.next() != closing:
            items.append(self.value())
            self._after_item(closing)
        self.at += 1
        return items

    def _tuple(self) -> Any:
        """A tuple; one value without a comma is that value in brackets."""
        start = self.at
        items = self._list(")")
        one = len(items) == 1 and not self.text[start : self.at - 1].rstrip().endswith(",")
        return items[0] if one else items

    def _after_item(self, closing: str) -> None:
        sign = self.next()
        if sign in SEPARATORS:
            self.at += 1
            return
        if sign == closing:
            return
        # Without a comma: only what a bracket or a space parts, and no number that may be one group of another.
        before = self.text[self.at - 1]
        apart = before.isspace() or before in "}])"
        starts = sign in QUOTES or STARTS.match(self.text, self.at)
        if not (sign and apart and starts) or re.match(r"\d{3}(?!\d)", self.text[self.at : self.at + 4]):
            raise Doubt("an item does not end")

    # --- texts ---

    def _joined_texts(self) -> str:
        """A text, or several that a program would join with ``+``."""
        joined = self._text()
        while self.next() == "+":
            self.at += 1
            if self.next() not in QUOTES:
                raise Doubt("a text is added to something else")
            joined += self._text()
        return joined

    def _text(self) -> str:
        for triple in ('"""', "'''"):
            if self.text.startswith(triple, self.at):
                return self._until(self.text.find(triple, self.at + 3), 3)
        if self.text[self.at] == '"':
            found = PLAIN_TEXT.match(self.text, self.at)
            return self._until(found.end() - 1 if found else -1, 1)
        return self._until(self._closing_quote(), 1)

    def _until(self, end: int, width: int) -> str:
        if end < 0:
            raise Doubt("a text does not end")
        raw = self.text[self.at + width : end]
        self.at = end + width
        return _unescaped(raw) if "\\" in raw else raw

    def _closing_quote(self) -> int:
        """The first closing sign behind which the text can end; one between two letters is an apostrophe."""
        closing = CLOSERS[self.text[self.at]]
        sign = re.compile(rf"(?:[^\\{re.escape(closing)}]|\\.)*+([{re.escape(closing)}])", re.DOTALL)
        at = self.at + 1
        while found := sign.match(self.text, at):
            at = found.end()
            if self._can_end(at):
                return at - 1
            if closing == "'" and not (self.text[at - 2].isalnum() and self.text[at : at + 1].isalpha()):
                raise Doubt("a quote was not escaped")
        return -1

    def _can_end(self, at: int) -> bool:
        space = SPACE.match(self.text, at)
        behind = space.end() if space else at
        sign = self.text[behind : behind + 1]
        if not sign or sign in BEFORE_A_CLOSE or self.text.startswith(("//", "/*", "# "), behind):
            return True
        return behind > at and sign in QUOTES

    # --- what has no quotes ---

    def _bare(self, *, in_object: bool) -> Any:
        if in_object and (found := GROUPED.match(self.text, self.at)):
            self.at = found.end()
            return _number(found.group().replace(",", ""))
        if found := HEXADECIMAL.match(self.text, self.at):
            self.at = found.end()
            return int(found.group(), 16)
        if found := NUMBER.match(self.text, self.at):
            return self._numeric(found, in_object=in_object)
        if found := URL.match(self.text, self.at):
            self.at = found.end()
            return found.group()
        if found := CALL.match(self.text, self.at):
            self.at = found.end()
            return self._argument()
        return self._words()

    def _numeric(self, found: re.Match[str], *, in_object: bool) -> Any:
        if ZERO_FIRST.match(found.group()):
            # "05" is a text more likely than a number; in a list it may be a group of the number before.
            if not in_object:
                raise Doubt("a number begins with a zero")
            self.at = found.end()
            return found.group()
        self.at = found.end()
        return _number(found.group())

    def _argument(self) -> Any:
        """What a constructor is given, as in ``ObjectId("1f")``: the one value between its brackets."""
        value = self.value()
        if isinstance(value, dict | list) or self.next() != ")":
            raise Doubt("a call of more than one value")
        self.at += 1
        return value

    def _words(self) -> Any:
        found = BARE.match(self.text, self.at)
        if found is None:
            raise Doubt("there is no value")
        words = found.group()
        if words.lower() in WORDS:
            self.at = found.end()
            return WORDS[words.lower()]
        if words.lower() in NO_VALUES or "..." in words or "…" in words:
            raise Doubt("a value is left out, or is no JSON")
        self.at = found.end()
        return words


def _number(written: str) -> int | float:
    plain = written.replace("_", "")
    if re.fullmatch(r"[+-]?\d{1,4000}", plain):
        return int(plain)
    number = float(plain)
    if number in (float("inf"), float("-inf")):
        raise Doubt("a number is too large")
    return number


def _unescaped(raw: str) -> str:
    """The text that is meant. Where a sign is escaped that JSON does not know, backslashes were meant as such."""
    names = [found.group(1) for found in ESCAPE.finditer(raw)]
    literal = any(len(name) == 1 and name not in SELVES and name not in ESCAPED for name in names)
    if literal and any(name in ("n", "r", "t") or len(name) > 1 for name in names):
        raise Doubt("a backslash means a sign in one place and itself in another")
    if raw.endswith("\\") and not ESCAPE.search(raw[-2:]):
        raise Doubt("a backslash at the end")
    text = ESCAPE.sub(lambda found: _meant(found.group(1), literal=literal), raw)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _meant(name: str, *, literal: bool) -> str:
    if name in SELVES:
        return name
    if literal:
        return f"\\{name}"
    if len(name) > 1 and name[0] in "uUx":
        return _character(int(name[1:], 16))
    return ESCAPED[name]


def _character(code: int) -> str:
    if code > 0x10FFFF:
        raise Doubt("no character has this number")
    return chr(code)
