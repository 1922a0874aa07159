"""Where a value in a text begins and ends, by its brackets and quotes; linear in the text's length.

A model may close a bracket with the wrong sign, forget to close one before another, or leave a quote within a
text unescaped. Each has a reading in which all brackets close. A text in which they do not was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from docmill.errors import ReplyNotJson, ReplyTruncated

__all__ = ["OPENING", "closed", "spans"]

DEEPEST = 200
CLOSES = {"{": "}", "[": "]"}
OPENING = re.compile(r"[{\[]")
ENDS_A_TEXT = re.compile(r"\s*(?:[,:}\]]|$)")

Slip: TypeAlias = Literal["none", "wrong sign", "forgotten", "unescaped"]
SLIPS: tuple[Slip, ...] = ("none", "wrong sign", "forgotten", "unescaped")
"""How a text is read: as it stands, or with one kind of slip put right."""


def spans(text: str) -> Iterator[str]:
    """The parts from an opening bracket to the one that closes it, slips put right.

    Raises ReplyTruncated where the text ends inside one, ReplyNotJson where it is nested beyond reason.
    """
    start = 0
    while (opening := OPENING.search(text, start)) is not None:
        span, start = closed(text, opening.start())
        yield span


def closed(text: str, opening: int) -> tuple[str, int]:
    """The part from an opening bracket to the one that closes it, slips put right, and where it ends.

    Raises as :func:`spans`.
    """
    walk = _closed(text, opening)
    return "".join(walk.written), walk.place


def _closed(text: str, opening: int) -> _Walk:
    """The first reading in which the brackets close. A slip is put right only if that uses up the text."""
    for slip in SLIPS:
        walk = _Walk(text=text, place=opening, slip=slip)
        if walk.closes() and (slip == "none" or OPENING.search(text, walk.place) is None):
            return walk
    raise ReplyTruncated("the reply ends before its JSON does")


@dataclass(kw_only=True)
class _Walk:
    """A way through the text from an opening bracket."""

    text: str
    place: int
    slip: Slip
    written: list[str] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    in_text: bool = False

    def closes(self) -> bool:
        """Walks to the closing bracket; ``place`` is then behind it. False where the text ends before."""
        while self.place < len(self.text):
            if not self._step():
                return False
            if not self.stack:
                return True
            if len(self.stack) > DEEPEST:
                raise ReplyNotJson(f"the reply is nested more than {DEEPEST} deep")
        return False

    def _step(self) -> bool:
        """One sign, written as it should stand; False for one that this reading has no place for."""
        sign = self.text[self.place]
        self.place += 1
        if self.in_text:
            return self._within_text(sign)
        if sign == '"':
            self.in_text = True
        elif sign in CLOSES:
            return self._open(sign)
        elif sign in "}]":
            return self._close(sign)
        self.written.append(sign)
        return True

    def _open(self, sign: str) -> bool:
        if self.stack and self._last in "}]":
            self.written.append(",")  # between two values there is one, whether it was written or not
        self.stack.append(CLOSES[sign])
        self.written.append(sign)
        return True

    @property
    def _last(self) -> str:
        """The last sign written that is no space."""
        return next((sign[-1] for sign in reversed(self.written) if not sign.isspace()), " ")

    def _within_text(self, sign: str) -> bool:
        if sign == "\\" and self.place < len(self.text):
            self.written.append(sign + self.text[self.place])
            self.place += 1
        elif sign == '"' and self.slip == "unescaped" and not ENDS_A_TEXT.match(self.text, self.place):
            self.written.append('\\"')
            return not self._begins_a_line()  # there it begins another text: the end of this one is missing
        else:
            self.in_text = sign != '"'
            self.written.append(sign)
        return True

    def _begins_a_line(self) -> bool:
        before = next((sign for sign in reversed(self.written[:-1]) if sign not in " \t"), "")
        return before == "\n"

    def _close(self, sign: str) -> bool:
        if sign == self.stack[-1]:
            self.written.append(self.stack.pop())
            return True
        if self._last in CLOSES:
            return False  # nothing stands between the two signs: what should have is missing
        if self.slip == "forgotten" and sign in self.stack:
            while self.stack[-1] != sign:
                self.written.append(self.stack.pop())
        # Read as it stands, a sign that closes nothing is left to the repair.
        self.written.append(sign if self.slip in ("none", "unescaped") else self.stack.pop())
        return True
