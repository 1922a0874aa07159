"""Reading what is almost JSON: the slips of languages that look like it, each with one meaning; linear in time.

Other quotes, Python's and JavaScript's words, tuples, comments, trailing commas, forgotten commas and colons,
closing brackets of the wrong kind, bare keys and words, numbers as people write them. Whatever could mean two
things is a :class:`Doubt`, and so is a text that ends too early: a guess is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from docmill.parsing.bounds import DEEPEST, same
from docmill.parsing.omissions import in_comment
from docmill.parsing.texts import (
    BARE_KEY,
    COLONS,
    OPENING,
    QUOTES,
    SEPARATORS,
    SPACE,
    STARTS,
    Doubt,
    Role,
    another_member_begins,
    ends_oddly,
    has_lone_quote,
    read_text,
)
from docmill.parsing.words import CALL, NUMBER, Bare, number, read_word

__all__ = ["Doubt", "Slip", "read", "read_whole"]

Slip: TypeAlias = Literal["none", "wrong kind", "forgotten"]
"""What a closing bracket that does not fit is taken for: a doubt, one of the wrong kind, or one that belongs
further out, with those before it forgotten."""

CLOSES = {"{": "}", "[": "]", "(": ")", "｛": "}", "［": "]", "（": ")"}
KINDS = {"}": "}", "]": "]", ")": ")", "｝": "}", "］": "]", "）": ")"}
APART = re.compile(rf"(?:{SPACE.pattern[:-1]}|\*/|-->)\Z")
GROUP = re.compile(r"\d{3}(?!\d)")
NOTHING = object()
COMMENTS = (("/*", "*/"), ("<!--", "-->"))


def read(text: str, start: int, *, slip: Slip = "none") -> tuple[Any, int]:
    """The value that begins at ``start``, and where it ends. Raises Doubt."""
    reader = _Reader(text, start, slip)
    try:
        return reader.value("item"), reader.at
    except Doubt as doubt:
        doubt.at, doubt.seen, doubt.steps = reader.at, max(doubt.seen, reader.at), reader.steps
        raise


def read_whole(text: str) -> Any:
    """The one value that the whole text is. Raises Doubt."""
    reader = _Reader(text, 0, "none")
    value = reader.value("item")
    if reader.next() != "":
        raise Doubt("something follows the value")
    return value


class _Reader:
    def __init__(self, text: str, start: int, slip: Slip) -> None:
        self.text = text
        self.at = start
        self.slip = slip
        self.steps = 0
        self.after_comma = False
        """Whether the last item of a list was followed by a comma."""
        self.open: list[str] = []
        """The signs that close what is open, the innermost last."""
        self.lacks_sign = self.has_odd_quote = False

    def next(self) -> str:
        """The next sign that is no space and in no comment; "" at the end."""
        while True:
            space = SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            end = self._comment_end()
            if end is None:
                return self.text[self.at : self.at + 1]
            comment = self.text[self.at : end]
            if in_comment(comment) or has_lone_quote(comment):
                raise Doubt("a comment says that something is missing, or takes it back")
            self.at = end

    def _comment_end(self) -> int | None:
        for opening, closing in COMMENTS:
            if self.text.startswith(opening, self.at):
                end = self.text.find(closing, self.at + len(opening))
                if end < 0:
                    raise Doubt("a comment does not end")
                return end + len(closing)
        if self.text.startswith(("//", "# ", "#\t"), self.at):
            end = self.text.find("\n", self.at)
            return len(self.text) if end < 0 else end
        return None

    def value(self, role: Role) -> Any:
        self.steps += 1
        sign = self.next()
        if sign in CLOSES:
            return self._nested(CLOSES[sign])
        if sign in QUOTES:
            return self._joined_texts(role)
        if sign == "":
            raise Doubt("the text ends")
        return self._bare(role)

    def _nested(self, closing: str) -> Any:
        if len(self.open) >= DEEPEST:
            raise Doubt("nested too deep")
        inner: dict[str, Callable[[], Any]] = {"}": self._object, "]": self._list, ")": self._tuple}
        self.open.append(closing)
        self.at += 1
        return inner[closing]()

    def _closes(self, last: Any = NOTHING) -> bool:
        """Whether the innermost bracket closes here, behind the value ``last``.

        Nothing between two signs means that what should have stood there is missing.
        """
        sign = KINDS.get(self.next())
        if sign is None:
            return False
        fits = sign == self.open[-1]
        if not fits:
            self._check_slip(sign, last)
        if fits or self.slip == "wrong kind":
            self.at += 1
        self.open.pop()
        return True

    def _check_slip(self, sign: str, last: Any) -> None:
        if last is NOTHING or self.slip == "none" or ")" in (sign, self.open[-1]):
            raise Doubt("a bracket is closed by another")
        if self.slip == "forgotten" and sign not in self.open:
            raise Doubt("a bracket closes nothing")
        kind: type = dict if self.open[-1] == "}" else list
        if self.slip == "forgotten" and (isinstance(last, kind) or self.open[-2:-1] == self.open[-1:]):
            raise Doubt("it is not clear which of two brackets was not closed")
        self._note(lacks_sign=True)

    # --- objects and lists ---

    def _object(self) -> Any:
        members: dict[str, Any] = {}
        value: Any = NOTHING
        while not self._closes(value):
            key, quoted = self._key()
            if not members and self.next() in SEPARATORS:
                return self._set(key, quoted)
            self._colon(quoted=quoted)
            value = self.value("member")
            value = str(value) if isinstance(value, Bare) else value
            if key in members and not same(members[key], value):
                raise Doubt("a name is given twice")
            members[key] = value
            self._after_member()
        return members

    def _key(self) -> tuple[str, bool]:
        if self.next() in QUOTES:
            return self._text("key"), True
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
        elif not quoted or not self.text[self.at - 1].isspace() or self.text[self.at : self.at + 1] in KINDS:
            raise Doubt("there is no colon")
        elif not self._is_alone():
            raise Doubt("a colon is missing, or a quote was not escaped")
        else:
            self._note(lacks_sign=True)

    def _is_alone(self) -> bool:
        """Whether one text, word or bracket stands here, and then the member ends."""
        ahead = _Reader(self.text, self.at, "none")
        if ahead.next() in CLOSES:
            return True
        ahead.value("member")
        return ahead.next() in ("}", ",")

    def _after_member(self) -> None:
        sign = self.next()
        if sign in SEPARATORS:
            self.at += 1
        elif sign not in KINDS:
            if not another_member_begins(self.text, self.at):
                raise Doubt("a member does not end")
            self._note(lacks_sign=True)

    def _set(self, first: str, quoted: bool) -> list[Any]:
        """A Python set, of texts or numbers."""
        if ":" in first or (not quoted and not NUMBER.fullmatch(first)):
            raise Doubt("neither an object nor a set")
        members: list[Any] = [first if quoted else number(first)]
        self.at += 1
        while not self._closes(members[-1]):
            members.append(self.value("item"))
            if isinstance(members[-1], dict | list):
                raise Doubt("a set of more than texts and numbers")
            self._after_item(members[-1])
        return members

    def _list(self, role: Role = "item") -> list[Any]:
        items: list[Any] = []
        while not self._closes(items[-1] if items else NOTHING):
            items.append(self.value(role))
            self._after_item(items[-1])
        return _texts_alike(items)

    def _tuple(self) -> Any:
        """A tuple; one value without a comma is that value in brackets."""
        items = self._list("argument")
        if len(items) != 1 or self.after_comma:
            return items
        if items[0] in ("...", "…"):
            raise Doubt("items are left out")
        return items[0]

    def _after_item(self, item: Any) -> None:
        sign = self.next()
        self.after_comma = sign in SEPARATORS and sign != ""
        if self.after_comma:
            self.at += 1
            return
        if sign in KINDS:
            return
        # Without a comma: only what a bracket or a space parts, and no number that may be one group of another.
        apart = self.text[self.at - 1] in KINDS or APART.search(self.text, self.at - 3, self.at)
        starts = sign in OPENING or STARTS.match(self.text, self.at)
        groups = isinstance(item, int | float) and GROUP.match(self.text, self.at)
        # Where brackets have a slip, a comma more that is missing would leave too much to guess.
        if not (sign and apart and starts) or groups or isinstance(item, Bare) or self.slip != "none":
            raise Doubt("an item does not end")
        self._note(lacks_sign=True)

    # --- texts and words ---

    def _joined_texts(self, role: Role) -> str:
        """A text, or several that a program would join with ``+``."""
        joined = self._text(role)
        while self.next() == "+":
            self.at += 1
            if self.next() not in QUOTES:
                raise Doubt("a text is added to something else")
            joined += self._text(role)
        return joined

    def _text(self, role: Role) -> str:
        start = self.at
        text, self.at = read_text(self.text, start, role)
        if ends_oddly(self.text, start, self.at):
            self._note(has_odd_quote=True)
        return text

    def _note(self, *, lacks_sign: bool = False, has_odd_quote: bool = False) -> None:
        """Remembers a slip. Raises Doubt where another could hide behind it.

        Whoever loses a sign may have lost a quote as well: then the last quote of a text belongs to the text.
        """
        self.lacks_sign |= lacks_sign
        self.has_odd_quote |= has_odd_quote
        if self.lacks_sign and self.has_odd_quote:
            raise Doubt("a sign is missing, and perhaps a quote")

    def _bare(self, role: Role) -> Any:
        if found := CALL.match(self.text, self.at):
            self.at = found.end()
            return self._argument()
        value, self.at = read_word(self.text, self.at, role)
        return value

    def _argument(self) -> str:
        """What a constructor is given, as in ``ObjectId("1f")``: the one text between its brackets."""
        self.open.append(")")
        items = self._list("argument")
        if len(items) != 1 or not isinstance(items[0], str):
            raise Doubt("a call of something else than one text")
        return items[0]


def _texts_alike(items: list[Any]) -> list[Any]:
    """The items of a list. Words without quotes are items where all are such; a lone one may be a remark."""
    bare = sum(isinstance(item, Bare) for item in items)
    if bare and (bare < len(items) or len(items) == 1):
        raise Doubt("a word without quotes stands in a list")
    return [str(item) for item in items] if bare else items
