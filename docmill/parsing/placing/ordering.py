"""The place of each item of a list, chosen for all at once, so that they follow one another where they can."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from docmill.parsing.grounding import Span

__all__ = ["Choice", "in_order"]

BACKWARDS = 3.0
"""What an item costs that stands before the one before it."""
SHARED = 3.0
"""What it costs besides to stand upon the same line."""
A_LINE = 0.002
"""What each line between two items costs: of equal rows those are taken that follow one another."""


class Choice(NamedTuple):
    """A place where an item may stand."""

    line: int
    span: Span
    """Of the field by which the item is put there."""
    cost: float
    """How badly its other fields fit there."""


def in_order(steps: Sequence[Sequence[Choice]], *, side_by_side: bool = False) -> tuple[list[Choice], float]:
    """Returns a choice of each step, so that all together cost least, and what they cost.

    The choices of a step stand in order. Where items stand ``side_by_side`` one may follow on the same line.
    """
    costs = [choice.cost for choice in steps[0]] if steps else []
    ways: list[list[int]] = []
    for last, step in pairwise(steps):
        costs, way = _next_costs(last, costs, step, side_by_side)
        ways.append(way)
    if not steps:
        return [], 0.0
    best = min(range(len(costs)), key=costs.__getitem__)
    chosen, cost = [steps[-1][best]], costs[best]
    for step, way in zip(steps[-2::-1], ways[::-1], strict=True):
        best = way[best]
        chosen.append(step[best])
    return chosen[::-1], cost


def _next_costs(
    last: Sequence[Choice], costs: Sequence[float], step: Sequence[Choice], side_by_side: bool
) -> tuple[list[float], list[int]]:
    """What each choice of a step costs with all before it, and which choice before it that is with."""
    anywhere = sorted(range(len(costs)), key=costs.__getitem__)[:2]
    new: list[float] = []
    way: list[int] = []
    at, ahead, ahead_cost = 0, -1, float("inf")
    for choice in step:
        while at < len(last) and _is_before(last[at], choice, side_by_side):
            if costs[at] - A_LINE * last[at].line < ahead_cost:
                ahead, ahead_cost = at, costs[at] - A_LINE * last[at].line
            at += 1
        offers = [(costs[each] + BACKWARDS + SHARED * (last[each].line == choice.line), each) for each in anywhere]
        if ahead >= 0:
            offers.append((ahead_cost + A_LINE * choice.line, ahead))
        before, chosen = min(offers)
        new.append(before + choice.cost)
        way.append(chosen)
    return new, way


def _is_before(one: Choice, other: Choice, side_by_side: bool) -> bool:
    return one.line < other.line or (side_by_side and one.line == other.line and one.span[0] < other.span[0])
