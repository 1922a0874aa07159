"""The answers of parts joined by where their rows stand; pure.

Two equal rows at two places are two. A row that two parts show is one. The order is the document's. A value
outside of rows is what all parts say; else what the part says in which the field's own words stand beside it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docmill.parsing.bounds import below
from docmill.parts.cutting import Part
from docmill.parts.lines import Lines
from docmill.parts.places import Placed, Shown, place
from docmill.parts.schemas import Schema, inner, members

__all__ = ["Answered", "Conflict", "Joined", "join"]

Span = tuple[int, int]
WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A part, and its answer as it was accepted."""

    part: Part
    value: Any
    shown: Shown | None = None
    """What it was held against, where that is known: its values were looked up there."""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A field of which the parts say different things, and the document's own words do not say which is meant."""

    path: str
    said: Sequence[tuple[Any, int]]
    """What is said, and by which part."""

    @property
    def rule(self) -> str:
        return f"parts of the document say {' and '.join(json.dumps(value) for value, _ in self.said[:4])}"


@dataclass(kw_only=True)
class Joined:
    """The whole of an answer."""

    value: Any = None
    evidence: dict[str, dict[str, int]] = field(default_factory=dict)
    """Where each value stands, by its path: ``start`` and ``end`` in the text, and how often in its part."""
    rows: int = 0
    unplaced: list[str] = field(default_factory=list)
    """Rows whose place in the document was not found, by their paths; they are kept."""
    repeated: int = 0
    """Items that a model said more often than they stand in the document; they are not."""
    conflicts: list[Conflict] = field(default_factory=list)
    covered: set[int] = field(default_factory=set)
    """The lines in which something of a row stands."""
    row_lines: Counter[int] = field(default_factory=Counter)
    """The lines that hold most of a row."""
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each row by its path: its first line and its last."""


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One part's word on an object."""

    part: Part
    shown: Shown
    value: Any
    spans: Mapping[str, Span] = field(default_factory=dict)
    line: int = -1
    order: tuple[int, ...] = ()

    @property
    def fullness(self) -> tuple[int, int, int]:
        """A row that a part holds whole is worth more than one that it cuts; of two, the later answer."""
        return len(self.spans), sum(each is not None for each in _scalars(self.value)), self.part.number


def join(lines: Lines, schema: Schema, answers: Sequence[Answered]) -> Joined:
    """Joins the answers of parts, each an object by the schema of a part."""
    joiner = _Joiner(lines, schema)
    told = [
        _Member(part=each.part, shown=each.shown or Shown(lines, each.part.shown), value=each.value)
        for each in sorted(answers, key=lambda each: each.part.number)
    ]
    joiner.joined.value = joiner.object(schema, told, "")
    return joiner.joined


class _Joiner:
    def __init__(self, lines: Lines, root: Schema) -> None:
        self.lines = lines
        self.root = root
        self.joined = Joined()

    def object(self, schema: Any, told: Sequence[_Member], path: str, *, row: bool = False) -> dict[str, Any]:
        found = {}
        for name, member in members(schema, self.root).items():
            given = [each for each in told if isinstance(each.value, Mapping) and name in each.value]
            if given:
                found[name] = self._member(member, name, given, below(path, name), row=row)
        return found

    def _member(self, schema: Any, name: str, given: Sequence[_Member], path: str, *, row: bool) -> Any:
        wanted = inner(schema, self.root)
        inward = [_inside(each, name) for each in given if each.value[name] is not None]
        if "items" in wanted and any(isinstance(each.value, list) for each in inward):
            return self._list(wanted["items"], inward, path)
        if members(wanted, self.root) and any(isinstance(each.value, Mapping) for each in inward):
            return self.object(wanted, inward, path, row=row)
        return self._scalar(name, schema, inward, path, row=row)

    # --- what stands outside of lists, or in one row ---

    def _scalar(self, name: str, schema: Any, told: Sequence[_Member], path: str, *, row: bool) -> Any:
        if not told:
            return None
        best = max(told, key=lambda each: each.fullness) if row else self._settled(name, schema, told, path)
        span = best.spans.get("") or (None if row else next(iter(best.shown.places(best.value)), None))
        if span is not None:
            self._note_place(path, span, best)
        return best.value

    def _note_place(self, path: str, span: Span, told: _Member) -> None:
        occurrences = max(1, len(told.shown.places(told.value)))
        self.joined.evidence[path] = {"start": span[0], "end": span[1], "occurrences": occurrences}

    def _settled(self, name: str, schema: Any, told: Sequence[_Member], path: str) -> _Member:
        """What all say, else what stands where the field's own words name it; else the first, and a conflict."""
        distinct: dict[str, _Member] = {}
        for each in told:
            kept = distinct.get(_plain(each.value))
            if kept is None or each.part.repairs > kept.part.repairs:
                distinct[_plain(each.value)] = each
        said = list(distinct.values())
        if len(said) == 1:
            return said[0]
        words = {
            word.casefold() for word in WORD.findall(f"{name} {schema.get('description', '')}".replace("_", " "))
        }
        named = [(self._named(each, words), each) for each in said]
        most = max(count for count, _ in named)
        best = [each for count, each in named if count == most]
        if most > 0 and len(best) == 1:
            return _at(best[0], self._best_place(best[0], words))
        self.joined.conflicts.append(Conflict(path=path, said=[(each.value, each.part.number) for each in said]))
        return said[0]

    def _named(self, told: _Member, words: set[str]) -> int:
        return max((self._words_at(span, words) for span in told.shown.places(told.value)), default=0)

    def _best_place(self, told: _Member, words: set[str]) -> Span | None:
        return max(told.shown.places(told.value), key=lambda span: self._words_at(span, words), default=None)

    def _words_at(self, span: Span, words: set[str]) -> int:
        """How many of a field's words stand in the line of a value, before it, or alone in the line above."""
        line = self.lines.at(span[0])
        text = self.lines.text[self.lines.starts[line] : span[1]]
        if line and not WORD.search(text):
            text = self.lines.words(line - 1)
        return len(words & {word.casefold() for word in WORD.findall(text)})

    # --- lists ---

    def _list(self, items: Any, told: Sequence[_Member], path: str) -> list[Any]:
        is_rows = bool(members(items, self.root))
        groups = _grouped([each for member in told for each in self._placed(member)])
        found = []
        for at, group in enumerate(groups):
            place_of_it = below(path, at)
            found.append(self._item(items, group, place_of_it, is_rows=is_rows))
        return found

    def _placed(self, told: _Member) -> Iterator[_Member]:
        """The items of one part's list as they stand; what it says more often than it stands is left out."""
        before: tuple[int, ...] = (-1,)
        own = told.value if isinstance(told.value, list) else []
        keys = [_own_leaves(item) for item in own]
        for at, (item, found) in enumerate(zip(own, place(keys, told.shown), strict=True)):
            if found.repeated:
                self.joined.repeated += 1
                continue
            order = (found.start,) if found.spans else (*before[:1], told.part.number, at)
            before = order
            yield _Member(
                part=told.part,
                shown=told.shown,
                value=item,
                spans=_paths(item, found),
                line=found.line,
                order=order,
            )

    def _item(self, items: Any, group: Sequence[_Member], path: str, *, is_rows: bool) -> Any:
        best = max(group, key=lambda each: each.fullness)
        if is_rows:
            self._note_row(best, path)
            ordered = sorted(group, key=lambda each: each.fullness, reverse=True)
            return self.object(items, ordered, path, row=True)
        span = best.spans.get("")
        if span is not None:
            self._note_place(path, span, best)
        return best.value

    def _note_row(self, row: _Member, path: str) -> None:
        self.joined.rows += 1
        if not row.spans:
            self.joined.unplaced.append(path)
            return
        touched = {self.lines.at(start) for start, _ in row.spans.values()}
        self.joined.covered |= touched
        self.joined.row_lines[row.line] += 1
        self.joined.places[path] = (min(touched), max(touched))


def _inside(told: _Member, name: str) -> _Member:
    """The part's word on a member, with the places below it."""
    spans = {path[len(name) + 1 :]: span for path, span in told.spans.items() if path.split(".", 1)[0] == name}
    return _Member(part=told.part, shown=told.shown, value=told.value[name], spans=spans, line=told.line)


def _at(told: _Member, span: Span | None) -> _Member:
    return _Member(part=told.part, shown=told.shown, value=told.value, spans={} if span is None else {"": span})


def _grouped(placed: Sequence[_Member]) -> list[list[_Member]]:
    """Items of several parts that are the same one, because most of what they say stands at the same places."""
    groups: list[list[_Member]] = []
    by_span: dict[Span, list[int]] = {}
    for item in placed:
        shared: Counter[int] = Counter()
        for span in set(item.spans.values()):
            shared.update(by_span.get(span, ()))
        at = _same(item, groups, shared)
        if at is None:
            groups.append([])
            at = len(groups) - 1
        groups[at].append(item)
        for span in set(item.spans.values()):
            if at not in by_span.setdefault(span, []):
                by_span[span].append(at)
    return sorted(groups, key=lambda group: min(each.order for each in group))


def _same(item: _Member, groups: Sequence[Sequence[_Member]], shared: Counter[int]) -> int | None:
    if not item.spans:
        return next((at for at, group in enumerate(groups) if _said_beside(item, group)), None)
    for at, count in shared.most_common():
        others = groups[at]
        least = min(len(set(each.spans.values())) for each in [*others, item])
        if 2 * count > least and all(each.part.number != item.part.number for each in others):
            return at
    return None


def _said_beside(item: _Member, group: Sequence[_Member]) -> bool:
    """Whether an item without a place is said by a part that shows some of the same text: it may be the same."""
    if any(each.spans or each.part.number == item.part.number for each in group):
        return False
    return any(
        _plain(each.value) == _plain(item.value)
        and any(
            start < other_end and other_start < end
            for start, end in each.part.spans
            for other_start, other_end in item.part.spans
        )
        for each in group
    )


def _own_leaves(item: Any) -> Any:
    """An item without the lists within it, which have places of their own; whole where it is nothing but these."""
    if not isinstance(item, Mapping):
        return item
    own = {name: member for name, member in item.items() if not isinstance(member, list)}
    return own if any(each is not None for each in _scalars(own)) else item


def _paths(item: Any, found: Placed) -> Mapping[str, Span]:
    return found.spans if isinstance(item, Mapping) else dict(zip([""], found.spans.values(), strict=False))


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for member in value.values():
            yield from _scalars(member)
    elif not isinstance(value, list):
        yield value


def _plain(value: Any) -> str:
    """Equal for values that say the same: 12 and 12.0, and texts that differ in space alone."""
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)
