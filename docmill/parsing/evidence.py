"""Where the grounded values of an answer stand in the document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from docmill.parsing.grounding import Document, Grounded
from docmill.parsing.placing.locating import places_of
from docmill.parsing.placing.records import Path
from docmill.reading.values import Reading

__all__ = ["Evidence", "evidence"]

MOMENTS: dict[object, TypeAdapter[Any]] = {each: TypeAdapter(each) for each in (date, datetime, time)}
Evidence: TypeAlias = dict[str, dict[str, Any]]
"""Place in the answer (``lines.0.name``) to what a :class:`docmill.parsing.Place` says."""


def evidence(
    value: object,
    output: type[BaseModel],
    reading: Reading,
    passages: Sequence[tuple[int, int]],
    *,
    known: Document | None = None,
) -> Evidence | None:
    """Returns where each value stands that ``output`` demands to be grounded; None where it demands none.

    ``passages`` are the parts of the text that the model was shown, as offsets: only there is looked. What a
    rejected answer made up is not ``found``. ``known`` is what the answer was held against, if that was a passage.
    """
    # What was rejected may have any shape.
    found = ((place, each) for place, each in _grounded(value, output, ()) if not isinstance(each, dict | list))
    grounded = {place: each for place, each in found if each is not None}
    if not grounded and not _demands(output):
        return None
    return {place: found.as_json() for place, found in places_of(grounded, reading, passages, known=known).items()}


def _grounded(
    value: object, annotation: Any, place: Path, *, demanded: bool = False
) -> Iterator[tuple[Path, object]]:
    """Each leaf of the value that stands where a Grounded does, as its type reads it."""
    inner, marked = _unwrapped(annotation)
    demanded = demanded or marked
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        members = value if isinstance(value, Mapping) else {}
        for said, bare, marked in _fields(inner):
            if said in members:
                yield from _grounded(members[said], bare, (*place, said), demanded=marked)
    elif get_origin(inner) in (list, tuple, set):
        items = value if isinstance(value, list) else []
        for at, item in enumerate(items):
            yield from _grounded(item, get_args(inner)[0], (*place, at), demanded=demanded)
    elif demanded:
        yield place, _as_read(value, inner)


@lru_cache(maxsize=256)
def _fields(model: type[BaseModel]) -> Sequence[tuple[str, Any, bool]]:
    """Of each field its name as the schema has it, its type unwrapped, and whether a Grounded stands there."""
    fields = []
    for name, field in model.model_fields.items():
        bare, marked = _unwrapped(field.annotation)
        marked = marked or any(isinstance(each, Grounded) for each in field.metadata)
        fields.append((field.alias or name, bare, marked))
    return fields


def _demands(annotation: Any) -> bool:
    """Whether a Grounded stands anywhere in a type."""
    inner, marked = _unwrapped(annotation)
    if marked:
        return True
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        fields = inner.model_fields.values()
        return any(
            _demands(field.annotation) or any(isinstance(each, Grounded) for each in field.metadata)
            for field in fields
        )
    return any(_demands(each) for each in get_args(inner))


def _unwrapped(annotation: Any) -> tuple[Any, bool]:
    """A type without its annotations and without None, and whether a Grounded was among them."""
    marked = False
    while True:
        if get_origin(annotation) is Annotated:
            marked = marked or any(isinstance(each, Grounded) for each in annotation.__metadata__)
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            choices = [each for each in get_args(annotation) if each is not type(None)]
            if len(choices) != 1:
                return annotation, marked
            annotation = choices[0]
        else:
            return annotation, marked


def _as_read(value: object, annotation: Any) -> object:
    """A date or a time is a string in JSON, and stands in documents in its own ways."""
    if annotation not in MOMENTS or not isinstance(value, str):
        return value
    try:
        return MOMENTS[annotation].validate_json(json.dumps(value))
    except ValueError:
        return value
