"""An answer as people look at it: value by value, with what is doubted, where it stands, and who said what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.inspection import Call, Check, Inspection, Place
from docmill.errors import ReplyRejected
from docmill.parsing import parse
from docmill.parsing.bounds import leaves
from docmill.reading.layout.places import Geometry
from tasks.reviewing import written

__all__ = ["MOST_VALUES", "Box", "Value", "boxes_on", "doubts_of", "values_of"]

MOST_VALUES = 400
"""Of an answer, that are shown one by one."""
LONGEST_REPLY = 100_000
"""Characters of a reply that is read once more for a page."""
UNREAD = "was read from a picture, where no text is there to hold it against"
WHOLE = "the answer"
"""As a problem that lies in no one value is told."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One scalar of an answer."""

    path: str
    """In the answer, as ``lines.0.name``."""
    label: str
    value: Any
    doubts: tuple[str, ...]
    """What checks say of it."""
    place: Place | None
    said: tuple[tuple[str, Any], ...]
    """What each model gave that was asked, the last one last; nothing where all gave this very value."""

    @property
    def text(self) -> str:
        return written(self.value)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle on a page, in percent of it."""

    path: str
    label: str
    x: float
    y: float
    width: float
    height: float
    doubted: bool


def values_of(found: Inspection, value: Any) -> list[Value]:
    """The answer's values in their order, at most :data:`MOST_VALUES`."""
    doubts = doubts_of(found.checks)
    places = {place.path: place for place in found.places}
    evidence = found.job.evidence if isinstance(found.job.evidence, Mapping) else {}
    said = said_by(found.calls)
    values: list[Value] = []
    for path, each in leaves(value, empties=True):
        if len(values) == MOST_VALUES:
            break
        values.append(
            Value(
                path=path,
                label=label(path),
                value=each,
                doubts=(*doubts.get(path, ()), *_unread(evidence.get(path))),
                place=places.get(path),
                said=_differing(path, each, said),
            )
        )
    return values


def _unread(place: object) -> tuple[str, ...]:
    """What is doubted of a value that was read from a picture."""
    return (UNREAD,) if isinstance(place, Mapping) and place.get("unchecked") is True else ()


def label(path: str) -> str:
    """A path as people read it: lists count from 1."""
    parts = [str(int(part) + 1) if part.isdecimal() and len(part) < 9 else part for part in path.split(".")]
    return " ".join(parts).replace("_", " ") or "answer"


def doubts_of(checks: Sequence[Check]) -> dict[str, list[str]]:
    """By path, what the last attempt's checks said; what lies in no one value is under the empty path."""
    found: dict[str, list[str]] = {}
    for problem in checks[-1].problems if checks else ():
        path, parted, sentence = problem.partition(": ")
        path, sentence = (path, sentence) if parted else (WHOLE, problem)
        found.setdefault("" if path == WHOLE else path, []).append(sentence)
    return found


def said_by(calls: Sequence[Call]) -> list[tuple[str, dict[str, Any]]]:
    """Returns what each answering call gave, by model and path, the last call of each model."""
    found: dict[str, dict[str, Any]] = {}
    for call in calls:
        if call.reply is None or call.purpose == "embed" or len(call.reply.text) > LONGEST_REPLY:
            continue
        try:
            value = parse(call.reply.text, finish_reason=call.reply.finish_reason or "stop")
        except ReplyRejected:
            continue
        found.pop(call.model, None)
        found[call.model] = dict(leaves(value, empties=True))
    return list(found.items())


def _differing(
    path: str, value: Any, said: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[tuple[str, Any], ...]:
    given = tuple((model, values[path]) for model, values in said if path in values)
    return given if any(each != value for _, each in given) else ()


def boxes_on(page: int, values: Sequence[Value], geometry: Geometry) -> list[Box]:
    """Returns what is drawn on a page, the doubted values among it."""
    return [
        Box(
            path=value.path,
            label=f"{value.label}: {value.text}",
            x=round(100 * left, 2),
            y=round(100 * top, 2),
            width=round(100 * (right - left), 2),
            height=round(100 * (bottom - top), 2),
            doubted=bool(value.doubts),
        )
        for value in values
        if value.place is not None and geometry.page_of(value.place.start) == page
        for left, top, right, bottom in geometry.boxes(value.place.start, value.place.end)
    ]
