"""Finding the values in a reply, and where each stands: among thoughts, behind a mark, in a fence, in prose.

One walk from the front to the end. A value is read where a bracket opens, as JSON or as what is almost JSON, and
what stands in its texts is no mark; between values stand marks, which say what is thought and what is answer. What
begins like a value and cannot be read is kept as such: an answer that is broken must not give way to a draft that
is whole, and no part of it may be taken for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from docmill.errors import ReplyNotJson, ReplyTruncated
from docmill.parsing import marks, surroundings
from docmill.parsing.bounds import strict
from docmill.parsing.lenient import read_whole
from docmill.parsing.omissions import in_prose
from docmill.parsing.readings import Readings
from docmill.parsing.surroundings import EDGES
from docmill.parsing.texts import Doubt, Part

__all__ = ["Found", "Reply", "fenced", "scan"]

LONGEST = 2_000_000
"""Characters; no answer is longer, and a longer text is not worth the time."""
MOST_VALUES = 5_000
"""In one reply."""

EVENT = re.compile(rf"(?P<mark>{marks.MARK.pattern})|[{{\[｛［]|(?P<tuple>{surroundings.TUPLE_BEGINS.pattern})")
BRACKET_OR_MARK = re.compile(r"[{}\[\]()<>｛｝［］（）◁]")
BEFORE_A_WORD = re.compile(r"[{\[]\s*(?!(?:true|false|null|none)\b)[^\W\d]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A value in a reply, or what should have been one."""

    start: int
    end: int
    value: Any = None
    doubt: str = ""
    """Why it cannot be read; empty for a value."""
    looks_like_one: bool = True
    """False for brackets in prose, as in ``{name}`` and ``[1]``."""
    is_remark: bool = False
    """Whether it is a list in prose that may be more than a reference."""
    group: int | None = None
    """Which part of the reply that is marked as the answer it stands in."""
    marked: bool = False
    """Whether a mark or a heading right before it says that this is the answer, or that the thoughts end."""
    fenced: bool = False
    draft: bool = False
    """Whether it stands in a paragraph that begins as reasoning."""


@dataclass(frozen=True, kw_only=True)
class Prose:
    """Words beside the values."""

    end: int
    group: int | None
    words: str


@dataclass(kw_only=True)
class Reply:
    """What a reply holds, its thoughts left out."""

    found: list[Found] = field(default_factory=list)
    parts: list[tuple[int | None, str]] = field(default_factory=list)
    """All of it, each part with the answer's group that it stands in."""
    prose: list[Prose] = field(default_factory=list)
    cut: str = ""
    """Why the reply looks cut off; empty where it does not."""

    @property
    def text(self) -> str:
        """The words of the answer: what is marked as such, else all but the thoughts."""
        last = max((group for group, _ in self.parts if group is not None), default=None)
        return "".join(words for group, words in self.parts if group == last).strip(EDGES)

    @property
    def says_it_is_not_whole(self) -> bool:
        return any(in_prose(each.words) for each in self.prose)


def scan(text: str, *, repeated: bool = False) -> Reply:
    """Reads a whole reply; ``repeated`` lets the last of two members of one name win, as JSON does.

    Raises ReplyTruncated where it never stops to think, ReplyNotJson where it is too long.
    """
    bare = text.strip(EDGES)
    if len(bare) > LONGEST:
        raise ReplyNotJson(f"the reply has {len(bare)} characters; an answer has at most {LONGEST}")
    try:
        value = strict(bare, repeated=repeated)
    except ValueError:
        return _scanned(bare, repeated=repeated)
    if isinstance(value, str) and (BRACKET_OR_MARK.search(value) or surroundings.has_loose_members(value)):
        return _encoded(bare, value, repeated=repeated)
    return Reply(found=[Found(start=0, end=len(bare), value=value)], parts=[(None, bare)])


def fenced(text: str) -> str:
    """Returns what stands in the fence, where a text is one fence and nothing else; else the text."""
    blocks = marks.fenced_parts(text) if text.startswith("```") and text.endswith("```") else []
    return blocks[0].strip() if len(blocks) == 1 else text


def _encoded(bare: str, text: str, *, repeated: bool) -> Reply:
    """A reply that is written as one text of JSON: what is meant stands in the text."""
    reply = scan(text, repeated=repeated)
    reply.parts = [(None, bare)]
    return reply


def _scanned(bare: str, *, repeated: bool) -> Reply:
    reply = _Scanner(bare, repeated=repeated).run()
    if all(found.doubt for found in reply.found) and not reply.cut:
        reply.found += _without_brackets(reply.text)
    return reply


def _without_brackets(text: str) -> Iterator[Found]:
    """A tuple, or an object encoded as a text: a value only where it is all there is, or all of a fence."""
    for words in (text, *marks.fenced_parts(text)):
        stripped = words.strip(EDGES)
        if stripped[:1] in ("(", "'", '"', "`"):
            try:
                value = read_whole(stripped)
                value = read_whole(value) if isinstance(value, str) else value
            except Doubt:
                continue
            if isinstance(value, dict | list):
                yield Found(start=0, end=len(text), value=value)
                return


class _Scanner:
    def __init__(self, text: str, *, repeated: bool) -> None:
        self.text = text
        self.readings = Readings(text, repeated=repeated)
        self.at = 0
        self.reply = Reply()
        self.thoughts: list[str] = []
        """What is open, the innermost last: ``thought`` or ``channel``."""
        self.last_mark = (0, "")
        self.group: int | None = None
        self.groups = 0
        self.part_start = 0
        self.values = 0

    def run(self) -> Reply:
        while (event := EVENT.search(self.text, self.at)) is not None:
            if event["mark"] and marks.is_quoted(event):
                self.at = event.end()
            elif event["mark"]:
                self._mark(event)
            elif event["tuple"]:
                self._tuple(event.start())
            else:
                self._bracket(event.start())
        self._end_part(len(self.text))
        if self.thoughts:
            raise ReplyTruncated("the reply ends before the model stopped to think")
        tail = self.text[max(self._last_end(), len(self.text) - 200) :]
        if marks.ends_within_one(tail) or marks.is_answer_heading(tail):
            self.reply.cut = "the reply ends where it announces its answer"
        return self.reply

    # --- marks ---

    def _mark(self, mark: re.Match[str]) -> None:
        kind = marks.kind_of(mark)
        place, last = self.last_mark
        opened_twice = kind == last == "thought" and not self.text[place : mark.start()].strip()
        self._end_part(mark.start())
        self.at = self.part_start = mark.end()
        self.last_mark = (mark.end(), kind)
        if kind == "thought" and not opened_twice:
            self.thoughts.append(kind)
        elif kind == "end of thought":
            self._end_thought()
        elif kind in ("channel", "final", "turn"):
            self._end_channel(kind)
        elif not self.thoughts:
            self._answer(kind)

    def _end_thought(self) -> None:
        """Some servers put the opening mark into the prompt, so that only the closing one is in the reply."""
        if self.thoughts:
            self.thoughts.pop()
        else:
            self.reply = Reply()
            self.group = None

    def _end_channel(self, kind: str) -> None:
        if "channel" in self.thoughts:
            del self.thoughts[self.thoughts.index("channel") :]
        if kind == "channel":
            self.thoughts.append(kind)
        elif kind == "final":
            self.thoughts.clear()
            self._answer("answer")
        elif not self.thoughts:
            self.group = None

    def _answer(self, kind: str) -> None:
        if kind == "answer":
            self.groups += 1
            self.group = self.groups
        elif kind == "end of answer":
            self.group = None

    def _end_part(self, end: int) -> None:
        if not self.thoughts and end > self.part_start:
            self.reply.parts.append((self.group, self.text[self.part_start : end]))
            self._add_prose(end)

    def _add_prose(self, end: int) -> None:
        words = self.text[self._words_start() : end]
        self.reply.prose.append(Prose(end=end, group=self.group, words=words))

    def _words_start(self) -> int:
        """Where the words begin that stand beside a value: behind the last one, or behind a mark."""
        return max(self.part_start, self._last_end())

    def _last_end(self) -> int:
        return self.reply.found[-1].end if self.reply.found else 0

    # --- values ---

    def _tuple(self, at: int) -> None:
        self.at = at + 1
        read = self.readings.tuple_at(at, since=self._words_start())
        if read is not None:
            self._add(self._placed(start=at, end=read[1], value=read[0]))

    def _bracket(self, at: int) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise ReplyNotJson(f"the reply has more than {MOST_VALUES} values")
        try:
            follows_another = self._follows_another(at)
            value, end = self.readings.value_at(at, since=self._words_start(), follows_another=follows_another)
        except Doubt as doubt:
            self._add(self._unread(at, doubt))
        else:
            self._add(self._placed(start=at, end=end, value=value))

    def _follows_another(self, at: int) -> bool:
        found = self.reply.found
        return bool(found) and not found[-1].doubt and self.text[found[-1].end : at].strip() == ","

    def _add(self, found: Found) -> None:
        self.at = found.end
        if not self.thoughts:
            self._add_prose(found.start)
            self.reply.found.append(found)

    def _unread(self, at: int, doubt: Doubt) -> Found:
        """What begins like a value and is none, to its last bracket; where there is none, to the next mark.

        As far as it could be read, what looks like a mark stands in its texts.
        """
        limit = self.readings.next_mark(max(at + 1, doubt.at))
        end = self.readings.end_of_brackets(at, limit)
        is_part = isinstance(doubt, Part)
        looks_like_one = is_part or surroundings.looks_like_a_value(self.text, at, end or limit)
        if end is None and not self.thoughts:
            self._break(at, limit, looks_like_one=looks_like_one)
        end = max(end or limit, doubt.at)
        found = self._placed(start=at, end=end, doubt=str(doubt), looks_like_one=looks_like_one)
        return replace(found, looks_like_one=True) if is_part else found

    def _break(self, at: int, limit: int, *, looks_like_one: bool) -> None:
        """What ends before its brackets do was cut off; or a mark stands in it, and who knows what is within."""
        if limit == len(self.text) and (looks_like_one or not BEFORE_A_WORD.match(self.text, at)):
            self.reply.cut = "the reply ends before its JSON does"
        elif limit < len(self.text) and looks_like_one:
            self.reply.cut = "a value in the reply does not end before its thoughts or its answer do"

    def _placed(
        self, *, start: int, end: int, value: Any = None, doubt: str = "", looks_like_one: bool = True
    ) -> Found:
        before = self.text[max(self._words_start(), start - 300) : start].rstrip(surroundings.UNSEEN)
        marked = self._is_behind_a_mark(start) or marks.is_answer_heading(before)
        fenced = marks.opens_fence(before)
        is_remark = not marked and not fenced and surroundings.is_remark(self.text, start, end)
        return Found(
            start=start,
            end=end,
            value=value,
            doubt=doubt,
            looks_like_one=looks_like_one and not is_remark,
            is_remark=is_remark and not surroundings.is_reference(self.text, start, end),
            group=self.group,
            marked=marked,
            fenced=fenced,
            draft=marks.is_draft_heading(before.rpartition("\n\n")[2]),
        )

    def _is_behind_a_mark(self, at: int) -> bool:
        place, kind = self.last_mark
        says_something = kind not in ("", "other", "end of answer") and at - place < 100
        return says_something and marks.is_set_apart(self.text[place:at])
