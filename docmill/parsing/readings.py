"""Reading the one value that begins at a place of a reply: as JSON, as what is almost JSON, escaped, encoded.

What is read in vain is counted. A reply of signs alone would be read from each of them to the end, and the time
would grow with its square.
"""

from __future__ import annotations

import json
import re
from typing import Any

from docmill.parsing.bounds import same, strict_at
from docmill.parsing.brackets import BRACKET, end_of
from docmill.parsing.lenient import Slip, read, read_whole
from docmill.parsing.marks import MARK, is_quoted
from docmill.parsing.surroundings import check_around
from docmill.parsing.texts import Doubt

__all__ = ["Readings"]

IN_VAIN = 4
"""How many times the reply's length is read in vain, at most."""
MOST_STEPS_IN_VAIN = 50_000
"""Values, within others or not, that are read in vain at most."""
SLIPS: tuple[Slip, ...] = ("wrong kind", "forgotten")

GOES_ON = re.compile(r"\s*[\"'“”‘’,;:\d]")
ESCAPED = re.compile(r"[{\[](?:\s|[{\[])*\\(?:[\"\\nrt]|u[0-9a-fA-F]{4})")
UNESCAPED_QUOTE = re.compile(r'(?<!\\)"')


class Readings:
    """A reply's text, read at one place after another, with what patience is left."""

    def __init__(self, text: str, *, repeated: bool) -> None:
        self.text = text
        self.repeated = repeated
        self.characters_in_vain = 0
        self.steps_in_vain = 0
        self.mark_ahead = -1

    def value_at(self, at: int, *, since: int, follows_another: bool) -> tuple[Any, int]:
        """The value that begins at ``at``, and where it ends. Raises Doubt, with how far it was read.

        ``since`` is where the words before it begin; ``follows_another`` says that they are but a comma behind a
        value that was read.
        """
        self._check_patience()
        try:
            value, end = self._as_json(at) or self._almost_json(at)
        except Doubt as doubt:
            self._count(doubt, at)
            raise
        try:
            self._check_around(value, at, end, since=since, follows_another=follows_another)
        except Doubt as doubt:
            doubt.at = end
            raise
        return value, end

    def _check_around(self, value: Any, at: int, end: int, *, since: int, follows_another: bool) -> None:
        within = '"' in (self.text[at - 1 : at], self.text[end : end + 1]) and self.text[end - 1] != '"'
        if within and "\\" in self.text[at:end]:
            raise Doubt("a text holds the value, and its backslashes may be doubled")
        start, end = self._with_quotes(at, end)
        check_around(self.text, value, start, end, since=min(since, start), follows_another=follows_another)

    def _with_quotes(self, start: int, end: int) -> tuple[int, int]:
        """The same where a value stands alone in a text: what surrounds the text counts."""
        quote = self.text[start - 1 : start]
        if quote and quote in "\"'" and quote in (self.text[end - 1], self.text[end : end + 1]):
            return start - 1, end + (self.text[end - 1] != quote)
        return start, end

    def tuple_at(self, at: int, *, since: int) -> tuple[Any, int] | None:
        """The tuple that begins at ``at``; None where the bracket is prose's."""
        try:
            self._check_patience()
            value, end = read(self.text, at)
            self._check_around(value, at, end, since=since, follows_another=False)
        except Doubt as doubt:
            self._count(doubt, at)
            return None
        return (value, end) if isinstance(value, dict | list) else None

    def next_mark(self, at: int) -> int:
        """Returns where the next mark begins; the text's end where there is none."""
        if self.mark_ahead < at:
            found = next((mark for mark in MARK.finditer(self.text, at) if not is_quoted(mark)), None)
            self.mark_ahead = found.start() if found else len(self.text)
        return self.mark_ahead

    def end_of_brackets(self, at: int, limit: int) -> int | None:
        """Returns where brackets that cannot be read are closed; None where they are not before ``limit``."""
        end = None if self._is_out_of_patience() else end_of(self.text, at, limit)
        if end is None:
            # A quote may be missing, or be one too many.
            self.characters_in_vain += limit - at
            end = end_of(self.text, at, limit, with_texts=False)
        return end

    def _check_patience(self) -> None:
        if self._is_out_of_patience():
            raise Doubt("too much of the reply was read in vain")

    def _is_out_of_patience(self) -> bool:
        return (
            self.characters_in_vain > IN_VAIN * len(self.text) + 10_000 or self.steps_in_vain > MOST_STEPS_IN_VAIN
        )

    def _count(self, doubt: Doubt, at: int) -> None:
        self.characters_in_vain += max(0, doubt.seen - at)
        self.steps_in_vain += doubt.steps

    # --- the ways of reading ---

    def _as_json(self, at: int) -> tuple[Any, int] | None:
        try:
            return strict_at(self.text, at, repeated=self.repeated)
        except ValueError:
            return None

    def _almost_json(self, at: int) -> tuple[Any, int]:
        if self.text[at - 1 : at] == '"' and (encoded := self._encoded(at - 1)):
            return encoded
        if ESCAPED.match(self.text, at):
            return self._escaped(at)
        try:
            return read(self.text, at)
        except Doubt:
            readings = [reading for slip in SLIPS if (reading := self._put_right(at, slip))]
            if not readings or any(not same(*pair) for pair in zip(readings[0], readings[-1], strict=True)):
                raise
            return readings[0]

    def _put_right(self, at: int, slip: Slip) -> tuple[Any, int] | None:
        """The reading with brackets of one kind put right, only if that uses up all brackets that there are."""
        try:
            value, end = read(self.text, at, slip=slip)
        except Doubt as doubt:
            self._count(doubt, at)
            return None
        if GOES_ON.match(self.text, end):
            return None
        another = BRACKET.search(self.text, end)
        return (value, end) if another is None or self.next_mark(end) <= another.start() else None

    def _encoded(self, at: int) -> tuple[Any, int] | None:
        """The value that a text of JSON holds, which begins at ``at``."""
        try:
            plain, end = strict_at(self.text, at)
            return read_whole(plain), end
        except ValueError:
            return None

    def _escaped(self, at: int) -> tuple[Any, int]:
        """The value whose quotes are escaped, up to the next quote that is not."""
        closing = UNESCAPED_QUOTE.search(self.text, at)
        end = closing.start() if closing else len(self.text)
        self.characters_in_vain += end - at
        try:
            plain = json.loads(f'"{self.text[at:end]}"', strict=False)
        except ValueError as error:
            raise Doubt("quotes are escaped in one place and not in another") from error
        value, inner_end = read(plain, 0)
        if BRACKET.search(plain, inner_end) or plain[inner_end:].lstrip().startswith(","):
            raise Doubt("something follows the value")
        return value, end
