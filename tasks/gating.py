"""Whether a version breaks what another could, by answers that people stand for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docmill.parsing.bounds import leaves

if TYPE_CHECKING:
    from docmill.errors import FailureKind
    from tasks.trial import Trial

__all__ = ["Compared", "FieldScore", "compare", "scores", "unanswered"]

PLACE = re.compile(r"(?<=\.)\d+(?=\.|$)")
OF_ANSWER: frozenset[FailureKind] = frozenset(
    {"truncated", "malformed", "invalid", "wrong", "refused", "content_filtered"}
)
"""What a version's own answers come to; all else says nothing about it."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One value of a case, and what both versions gave for it."""

    path: str
    right: Any
    old: Any
    new: Any

    @property
    def broken(self) -> bool:
        return bool(self.old == self.right != self.new)

    @property
    def mended(self) -> bool:
        return bool(self.new == self.right != self.old)


@dataclass(kw_only=True)
class FieldScore:
    """A field over all cases."""

    field: str
    """With * for the place in a list."""
    values: int = 0
    old: int = 0
    new: int = 0
    """How many of the values each version had right."""
    broken: int = 0
    mended: int = 0


MISSING = "(nothing)"
"""Beside what is there: a version that gives no such value is wrong, also where null is right."""


def unanswered(trial: Trial) -> str | None:
    """Says why a version has given no answer that could be compared; None where it has, however bad it is.

    A spent budget or a provider that is away breaks no value, and mends none.
    """
    if trial.value is not None or trial.state == "done":
        return None
    if trial.failure is None:
        return "it came to no end"
    return None if trial.failure.kind in OF_ANSWER else f"{trial.failure.kind}: {trial.failure.message}"


def compare(right: Any, old: Any, new: Any) -> list[Compared]:
    """Compares each value of a case, also those that only a version gives."""
    expected, before, after = (dict(leaves(each, empties=True)) if each else {} for each in (right, old, new))
    paths = dict.fromkeys([*expected, *before, *after])
    return [
        Compared(
            path=path,
            right=expected.get(path, MISSING),
            old=before.get(path, MISSING),
            new=after.get(path, MISSING),
        )
        for path in paths
    ]


def scores(cases: Iterable[Iterable[Compared]]) -> list[FieldScore]:
    """Counts for each field, in the order in which they come, what each version had right."""
    found: dict[str, FieldScore] = {}
    for case in cases:
        for each in case:
            field = PLACE.sub("*", each.path)
            score = found.setdefault(field, FieldScore(field=field))
            score.values += 1
            score.old += each.old == each.right
            score.new += each.new == each.right
            score.broken += each.broken
            score.mended += each.mended
    return list(found.values())
