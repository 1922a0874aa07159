"""An answer's leaves, by the objects that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import BaseModel

__all__ = ["Path", "Record", "leaves", "records_of"]

Path: TypeAlias = tuple[str | int, ...]
"""The names and numbers that lead to a value."""


@dataclass(frozen=True, slots=True)
class Record:
    """Leaves that belong together: an object's own ones, or all of an item of a list."""

    path: Path
    fields: dict[Path, object] = field(default_factory=dict)
    """By their paths below the record's."""

    @property
    def rows(self) -> Path | None:
        """What names the list that it is an item of, without numbers; None where it is in none."""
        names = tuple(step if isinstance(step, str) else "*" for step in self.path)
        return names if any(isinstance(step, int) for step in self.path) else None


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yields each scalar of a value with its path, in their order."""
    waiting: list[tuple[Path, object]] = [(path, value)]
    while waiting:
        at, each = waiting.pop()
        if isinstance(each, BaseModel):
            each = dict(each)
        if isinstance(each, Mapping):
            waiting += [((*at, str(name)), member) for name, member in reversed(list(each.items()))]
        elif isinstance(each, list | tuple):
            waiting += [((*at, number), member) for number, member in reversed(list(enumerate(each)))]
        elif isinstance(each, set | frozenset):
            waiting += [((*at, number), member) for number, member in enumerate(sorted(each, key=str))]
        else:
            yield at, each


def records_of(found: Mapping[Path, object]) -> list[Record]:
    """Groups leaves: those of one item of the innermost list, else those of one object."""
    records: dict[Path, Record] = {}
    for path, value in found.items():
        last = max((at for at, step in enumerate(path) if isinstance(step, int)), default=None)
        of = path[:-1] if last is None else path[: last + 1]
        records.setdefault(of, Record(of)).fields[path[len(of) :]] = value
    return list(records.values())
