"""A prompt's model as it holds for a part of a document: nothing is demanded outside of rows; pure."""

from __future__ import annotations

from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from docmill.parsing.declarations import Count, Numbered, Running, Total

__all__ = ["relaxed"]

DEEPEST = 12
OF_THE_WHOLE = (Count, Numbered, Running, Total)


@lru_cache(maxsize=256)
def relaxed(output: type[BaseModel]) -> type[BaseModel]:
    """A model with the fields of ``output``, each of which may be null or left out; what its rows demand stays.

    The model's own validators are left out: they speak of the whole.
    """
    return _relaxed(output, 0)


def _relaxed(output: type[BaseModel], depth: int) -> type[BaseModel]:
    config = ConfigDict(**output.model_config)
    config.pop("json_schema_extra", None)
    fields: dict[str, Any] = {
        name: (_optional(field, depth), FieldInfo(default=None, description=field.description, alias=field.alias))
        for name, field in output.model_fields.items()
    }
    return create_model(output.__name__, __config__=config, __module__=output.__module__, **fields)


def _optional(field: FieldInfo, depth: int) -> Any:
    annotation = field.annotation
    inner = _without_none(annotation)
    if isinstance(inner, type) and issubclass(inner, BaseModel) and depth < DEEPEST:
        return _relaxed(inner, depth + 1) | None
    if get_origin(inner) in (list, tuple, set):
        # How many there are is said of the whole; what holds for each stands within.
        return inner | None
    metadata = tuple(each for each in field.metadata if not isinstance(each, OF_THE_WHOLE))
    kept: Any = annotation if not metadata else Annotated[(annotation, *metadata)]
    return kept | None


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        choices = [each for each in get_args(annotation) if each is not type(None)]
        return _without_none(choices[0]) if len(choices) == 1 else annotation
    return annotation
