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
from docmill.parts.places import Placed, Shown, Telling, place
from docmill.parts.schemas import Schema, form_of, members

__all__ = ["Answered", "Joined", "join"]

Span = tuple[int, int]
WORD = re.compile(r"[^\W\d_]{3,}")
TELLING = 0.1
"""Of what the most telling place of a row tells: where less than that stands the row need not be."""


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
    tells: Mapping[Span, float] = field(default_factory=dict)
    """Of each place of an item, how much it tells of which one it is."""

    @property
    def fullness(self) -> tuple[int, int, int]:
        """A row that a part holds whole is worth more than one that it cuts; of two, the later answer."""
        return len(self.spans), sum(each is not None for each in _scalars(self.value)), self.part.number


def join(lines: Lines, schema: Schema, answers: Sequence[Answered]) -> Joined:
    """Joins the answers of parts, each an object by the schema of a part."""
    joiner = _Joiner(lines, schema)
    for answer in answers:
        joiner.count(schema, answer.value)
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
        self._telling: dict[int, Telling] = {}

    def count(self, schema: Any, value: Any) -> None:
        """Notes what the rows of an answer say, by the schema that they share."""
        wanted = form_of(schema, self.root)
        if isinstance(value, dict):
            for name, member in members(wanted, self.root).items():
                self.count(member, value.get(name))
        elif isinstance(value, list) and "items" in wanted:
            telling = self._telling.setdefault(self._kind(wanted["items"]), Telling())
            for item in value:
                telling.add(_own_leaves(item))
                self.count(wanted["items"], item)

    def _kind(self, items: Any) -> int:
        """The same number for all lists whose items have one schema."""
        return id(form_of(items, self.root)) if isinstance(items, Mapping) else 0

    def object(self, schema: Any, told: Sequence[_Member], path: str, *, row: bool = False) -> dict[str, Any]:
        found = {}
        for name, member in members(schema, self.root).items():
            given = [each for each in told if isinstance(each.value, Mapping) and name in each.value]
            if given:
                found[name] = self._member(member, name, given, below(path, name), row=row)
        return found

    def _member(self, schema: Any, name: str, given: Sequence[_Member], path: str, *, row: bool) -> Any:
        wanted = form_of(schema, self.root)
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
        telling = self._telling.get(self._kind(items)) or Telling()
        groups = _grouped([each for member in told for each in self._placed(member, telling)])
        found = []
        for at, group in enumerate(groups):
            place_of_it = below(path, at)
            found.append(self._item(items, group, place_of_it, is_rows=is_rows))
        return found

    def _placed(self, told: _Member, telling: Telling) -> Iterator[_Member]:
        """The items of one part's list as they stand; what it says more often than it stands is left out."""
        before: tuple[int, ...] = (-1,)
        own = told.value if isinstance(told.value, list) else []
        keys = [_own_leaves(item) for item in own]
        for at, (item, found) in enumerate(zip(own, place(keys, told.shown, telling), strict=True)):
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
                tells=_tells(found, telling),
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
        most = max(row.tells.values(), default=0.0)
        # What many rows share may stand anywhere near, as in the line of a row that was left out.
        told = {self.lines.at(start) for (start, _), tells in row.tells.items() if tells >= TELLING * most}
        self.joined.covered |= {row.line, *told}
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
        if item.spans:
            at = _same(item, groups, by_span)
            at = _put(item, groups, at)
            for span in item.tells:
                if at not in by_span.setdefault(span, []):
                    by_span[span].append(at)
    _add_unplaced([item for item in placed if not item.spans], groups)
    return sorted(groups, key=lambda group: min(each.order for each in group))


def _put(item: _Member, groups: list[list[_Member]], at: int | None) -> int:
    if at is None:
        groups.append([])
    at = len(groups) - 1 if at is None else at
    groups[at].append(item)
    return at


def _same(item: _Member, groups: Sequence[Sequence[_Member]], by_span: Mapping[Span, Sequence[int]]) -> int | None:
    shared: dict[int, float] = {}
    for span, tells in item.tells.items():
        for at in by_span.get(span, ()):
            shared[at] = shared.get(at, 0.0) + tells
    for at, tells in sorted(
        shared.items(), key=lambda each: (-each[1], not _is_said(item, groups[each[0]]), each[0])
    ):
        others = groups[at]
        least = min(sum(each.tells.values()) for each in [*others, item])
        if 2 * tells > least and all(each.part.number != item.part.number for each in others):
            return at
    return None


def _is_said(item: _Member, group: Sequence[_Member]) -> bool:
    """Word for word: of two rows at one place the same one is meant."""
    return any(each.value == item.value for each in group)


def _add_unplaced(items: Sequence[_Member], groups: list[list[_Member]]) -> None:
    """Items without a place are the same as what another part says word for word of text that both show."""
    by_value: dict[str, list[int]] = {}
    for at, group in enumerate(groups if items else ()):
        for value in {_plain(each.value) for each in group}:
            by_value.setdefault(value, []).append(at)
    for item in items:
        alike = by_value.setdefault(_plain(item.value), [])
        at = _put(item, groups, next((at for at in alike if _said_beside(item, groups[at])), None))
        if at not in alike:
            alike.append(at)


def _said_beside(item: _Member, group: Sequence[_Member]) -> bool:
    """Whether an item without a place is said by a part that shows some of the same text: it may be the same."""
    if any(each.part.number == item.part.number for each in group):
        return False
    return any(item.part.holds(each.order[0]) if each.spans else _overlap(each.part, item.part) for each in group)


def _overlap(one: Part, other: Part) -> bool:
    return any(
        start < other_end and other_start < end
        for start, end in one.spans
        for other_start, other_end in other.spans
    )


def _own_leaves(item: Any) -> Any:
    """An item without the lists within it, which have places of their own; whole where it is nothing but these."""
    if not isinstance(item, Mapping):
        return item
    own = {name: member for name, member in item.items() if not isinstance(member, list)}
    return own if any(each is not None for each in _scalars(own)) else item


def _tells(found: Placed, telling: Telling) -> Mapping[Span, float]:
    """Each place of an item once, with the most that a value tells which stands there."""
    tells: dict[Span, float] = {}
    for path, span in found.spans.items():
        tells[span] = max(tells.get(span, 0.0), telling.of(path))
    return tells


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
