"""Items of a list: each stands by itself, in order; its fields stand together, each in the column of its like.

Each item is put upon one line of the text, by the field that is told apart best. The lines of all items are chosen
at once, so that they follow one another where they can, and no two items share one. Then each field of an item
takes the place on that line, or as far from it as with the other items, in the column where it stands with them.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from docmill.parsing.grounding import Span
from docmill.parsing.placing.labels import plain, words_of_name
from docmill.parsing.placing.ordering import Choice, in_order
from docmill.parsing.placing.records import Path, Record
from docmill.parsing.placing.text import NOWHERE, WORD, Found, Shown, apart

__all__ = ["place_rows"]

MOST_LOOKS = 300_000
"""Times that a field is looked for near a place where its item might stand."""
FARTHEST = 5.0
"""What a field costs that stands far from its item's line."""
HEADING = 6
"""Lines above the first item in which its columns' names are looked for."""
ASIDE = 2.0
"""What a field costs, of items side by side, that stands beside another item than its own."""
BETTER = 3.0
"""By so much cheaper it must be that items stand side by side: lists whose rows are whole lines are the rule."""
MOST_CHOICES = 40
Column = tuple[float, float, float]


def place_rows(shown: Shown, items: Sequence[Record], taken: set[Span]) -> dict[Path, Span]:
    """Returns a place for each field of a list's items that stands somewhere, by its whole path."""
    rows = _Rows(shown=shown, items=items)
    found: dict[Path, Span] = {}
    for at in sorted(rows.lines, key=lambda each: rows.lines[each]):
        for name, span in rows.places(at, taken).items():
            found[(*items[at].path, *name)] = span
            taken.add(span)
    return found


@dataclass(kw_only=True)
class _Rows:
    shown: Shown
    items: Sequence[Record]
    _parts_known: dict[int, frozenset[Span]] = field(default_factory=dict)

    def found(self, at: int, name: Path) -> Found:
        value = self.items[at].fields.get(name)
        return NOWHERE if value is None else self.shown.find(value)

    @cached_property
    def names(self) -> list[Path]:
        return list(dict.fromkeys(name for item in self.items for name in item.fields))

    @cached_property
    def anchor(self) -> Path:
        """The field that tells the items apart best: found with most of them, and in few places."""

        def rarity(name: Path) -> tuple[bool, float]:
            counts = [len(self.found(at, name).spans) for at in range(len(self.items))]
            there = [count for count in counts if count]
            return len(there) < 0.6 * len(counts), statistics.fmean(there) if there else float("inf")

        return min(self.names, key=rarity)

    # --- the line of each item ---

    @cached_property
    def lines(self) -> dict[int, int]:
        """The line of each item of which anything stands in the text."""
        return {at: choice.line for at, choice in self._chosen[0].items()}

    @property
    def is_side_by_side(self) -> bool:
        """Whether several items stand upon the same lines, as cards do."""
        return self._chosen[1]

    @cached_property
    def _chosen(self) -> tuple[dict[int, Choice], bool]:
        """Where each item stands, and whether several stand upon the same lines."""
        steps = {at: choices for at in range(len(self.items)) if (choices := self._choices(at))}
        whole = [_one_a_line(choices) for choices in steps.values()]
        rows, cost = in_order(whole)
        is_beside = False
        if cost > BETTER:
            upwards, up = in_order(whole[::-1])
            if up + BETTER < cost:
                rows, cost = upwards[::-1], up
            beside, cheaper = in_order(list(steps.values()), side_by_side=True)
            is_beside = cheaper + BETTER < cost
            rows = beside if is_beside else rows
        return dict(zip(steps, rows, strict=True)), is_beside

    def _choices(self, at: int) -> list[Choice]:
        """Where an item may stand, and how badly its fields fit there."""
        own = [(name, self.found(at, name)) for name in self.items[at].fields]
        there = [(name, found) for name, found in own if found.spans]
        if not there:
            return []
        anchor = next((found for name, found in there if name == self.anchor), None)
        anchor = anchor or min((found for _, found in there), key=lambda found: len(found.spans))
        low, high = self._window(at, len(anchor.lines), len(there))
        others = [found.lines for _, found in there if found is not anchor]
        return [
            Choice(line, span, sum(_farness(each, line) for each in others))
            for line, span in zip(anchor.lines[low:high], anchor.spans[low:high], strict=True)
        ]

    def _window(self, at: int, places: int, fields: int) -> tuple[int, int]:
        """Of more places than can be looked at those that lie where the item stands among the others."""
        most = max(30, MOST_LOOKS // (len(self.items) * fields))
        middle = places * at // len(self.items)
        first = max(0, min(places - most, middle - most // 2))
        return first, first + most

    # --- the place of each field ---

    def places(self, at: int, taken: set[Span]) -> dict[Path, Span]:
        """Returns the places of an item's fields: cheapest first, no two on one unless the value has no other."""
        offers = [
            (self._cost(at, name, span, line, span in taken), order, span, name)
            for order, name in enumerate(self.items[at].fields)
            for span, line in self._near(at, name)
        ]
        chosen: dict[Path, Span] = {}
        for _, _, span, name in sorted(offers, key=lambda offer: offer[:3]):
            if name not in chosen and span not in chosen.values():
                chosen[name] = span
        for name in self.items[at].fields:
            spans = self.found(at, name).spans[:MOST_CHOICES]
            if name not in chosen and spans:
                chosen[name] = min(spans, key=lambda span: abs(self.shown.line(span[0]) - self.lines[at]))
        return chosen

    def _near(self, at: int, name: Path) -> Sequence[tuple[Span, int]]:
        """A field's places on its item's line; else between the items before and behind; else the nearest."""
        found, line = self.found(at, name), self.lines[at]
        low, high = bisect_left(found.lines, line), bisect_right(found.lines, line)
        around = self._between(line)
        within = bisect_right(found.lines, around[0]), bisect_left(found.lines, around[1])
        if low == high or self.is_side_by_side or self._parts(at).issuperset(found.spans[low:high]):
            low, high = within
        if low >= high:
            middle = bisect_left(found.lines, line)
            low, high = max(0, middle - 3), middle + 3
        return list(zip(found.spans[low:high], found.lines[low:high], strict=True))[:MOST_CHOICES]

    def _parts(self, at: int) -> frozenset[Span]:
        """The places on an item's line that are but a part of another's of its fields: the 2 of `Cable 2 m`."""
        if at not in self._parts_known:
            line, places = self.lines[at], set[Span]()
            for name in self.items[at].fields:
                found = self.found(at, name)
                places.update(found.spans[bisect_left(found.lines, line) : bisect_right(found.lines, line)])
            self._parts_known[at] = _parts_among(places)
        return self._parts_known[at]

    def _between(self, line: int) -> tuple[int, int]:
        """The lines of the items before and behind."""
        at = bisect_left(self._ordered, line)
        after = bisect_right(self._ordered, line)
        before = self._ordered[at - 1] if at else -1
        return before, self._ordered[after] if after < len(self._ordered) else line + 60

    @cached_property
    def _ordered(self) -> list[int]:
        return sorted(self.lines.values())

    def _cost(self, at: int, name: Path, span: Span, line: int, is_taken: bool) -> float:
        shift = line - self.lines[at]
        usual = self._shifts.get(name)
        if usual is not None:
            cost = min(FARTHEST, abs(shift - usual))
        else:
            backwards = (shift < 0) if self._is_behind_anchor(name) else (shift > 0)
            cost = min(FARTHEST, abs(shift) + 0.25 * backwards)
        if shift and line in self._occupied:
            cost += FARTHEST
        if self.is_side_by_side:
            return cost + ASIDE * min(1.0, 10 * abs(self._aside(at, span) - self._asides.get(name, 0.0)))
        column = self._columns.get(name)
        return cost + (apart(self.shown.column(span), column) if column else 0) + (2.0 if is_taken else 0)

    def _aside(self, at: int, span: Span) -> float:
        """How far to the right of the field by which its item was placed a field stands."""
        return self.shown.column(span)[0] - self.shown.column(self._chosen[0][at].span)[0]

    @cached_property
    def _asides(self) -> dict[Path, float]:
        """How far to the right each field stands, as most tell who have one choice."""
        told: dict[Path, list[float]] = {}
        for at in self.lines:
            for name in self.items[at].fields:
                near = self._certain(at, name)
                if near is not None:
                    told.setdefault(name, []).append(self._aside(at, near[0]))
        return {name: statistics.median(found) for name, found in told.items()}

    @cached_property
    def _occupied(self) -> frozenset[int]:
        return frozenset(self.lines.values())

    def _is_behind_anchor(self, name: Path) -> bool:
        return self.names.index(name) >= self.names.index(self.anchor)

    @cached_property
    def _shifts(self) -> dict[Path, float]:
        """How many lines below its item's a field stands, as most tell who have one choice."""
        told: dict[Path, list[int]] = {}
        for at, line in self.lines.items():
            for name in self.items[at].fields:
                near = self._certain(at, name)
                if near is not None:
                    told.setdefault(name, []).append(near[1] - line)
        return {name: statistics.median_low(shifts) for name, shifts in told.items()}

    def _certain(self, at: int, name: Path) -> tuple[Span, int] | None:
        """A field's only place on its item's line, or else between its neighbours."""
        found, line = self.found(at, name), self.lines[at]
        low, high = bisect_left(found.lines, line), bisect_right(found.lines, line)
        if low == high:
            before, behind = self._between(line)
            low, high = bisect_right(found.lines, before), bisect_left(found.lines, behind)
        return (found.spans[low], found.lines[low]) if high - low == 1 else None

    @cached_property
    def _columns(self) -> dict[Path, Column]:
        """Where each field stands on its line, as the items tell that have one choice; else its heading."""
        told: dict[Path, list[Column]] = {}
        for at, line in self.lines.items():
            for name in self.items[at].fields:
                near = self._certain(at, name)
                if near is not None and near[1] == line and len(told.get(name, ())) < 100:
                    told.setdefault(name, []).append(self.shown.column(near[0]))
        columns = {name: _middle(seen) for name, seen in told.items()}
        headed = {name: column for name in self.names if (column := self._headed(name))}
        return {**headed, **columns}

    def _headed(self, name: Path) -> Column | None:
        """Where a field's name stands above the first item."""
        own, _ = words_of_name((*self._list_name, *name))
        first = self._ordered[0] if self._ordered else 0
        for line in range(first - 1, max(-1, first - 1 - HEADING), -1):
            start, end = self.shown.line_span(line)
            for word in WORD.finditer(self.shown.text, start, end):
                if plain(word[0]) in own:
                    return self.shown.column(word.span())
        return None

    @property
    def _list_name(self) -> Path:
        return tuple(step for step in self.items[0].path if isinstance(step, str))[-1:]


def _one_a_line(choices: Sequence[Choice]) -> list[Choice]:
    return list({choice.line: choice for choice in reversed(choices)}.values())[::-1]


def _parts_among(places: Collection[Span]) -> frozenset[Span]:
    """Those that lie within a longer one."""
    parts, reached = [], -1
    for start, end in sorted(places, key=lambda span: (span[0], -span[1])):
        if end <= reached:
            parts.append((start, end))
        reached = max(reached, end)
    return frozenset(parts)


def _middle(seen: Sequence[Column]) -> Column:
    left, middle, right = (statistics.median(edges) for edges in zip(*seen, strict=True))
    return left, middle, right


def _farness(lines: Sequence[int], line: int) -> float:
    """How far the nearest of some lines is, as what it costs."""
    at = bisect_left(lines, line)
    near = min((abs(lines[each] - line) for each in (at - 1, at) if 0 <= each < len(lines)), default=0)
    return min(FARTHEST, 0.5 + 0.5 * near) if near else 0.0
