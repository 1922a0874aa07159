"""From a reply to a checked value; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from docmill.errors import ReplyInvalid, ReplyNotJson, ReplyRejected, ReplyTruncated, ReplyWrong
from docmill.parsing.extraction import candidates
from docmill.parsing.fitting import fitted, label_in
from docmill.parsing.grounding import Document, Grounded
from docmill.parsing.schema import problems

__all__ = ["Grounded", "accept", "correction_problems", "parse"]

CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"})
SEMANTIC = frozenset({"value_error", "assertion_error", "not_grounded"})
"""Pydantic's names for what a prompt's own checks raise; everything else is about the shape."""


def parse(
    text: str, schema: dict[str, Any] | type[BaseModel] | None = None, *, finish_reason: str = "stop"
) -> object:
    """The value that the reply means: a model's instance where ``schema`` is a model, else plain JSON.

    Raises ReplyTruncated, ReplyNotJson, or ReplyInvalid (ReplyWrong where only semantic checks fail).
    """
    if finish_reason.lower() in CUT_OFF:
        raise ReplyTruncated(f"the model stopped at its output limit ({finish_reason})")
    if isinstance(schema, dict) and _is_scalar(schema):
        return _scalar(text, schema)
    if isinstance(schema, dict) and schema.get("type") == "array":
        return _fitted(_list_of(list(candidates(text))), schema, None)
    rejected: ReplyRejected | None = None
    for value in candidates(text):
        try:
            return _fitted(value, schema, None)
        except ReplyRejected as error:
            rejected = rejected or error
    raise rejected or ReplyNotJson("the reply holds no JSON object")


def _list_of(found: list[Any]) -> Any:
    """The list that a reply means: the first in it, or its values, one after another."""
    lists = [value for value in found if isinstance(value, list)]
    return lists[0] if lists else found[0] if len(found) == 1 else found


def _is_scalar(schema: dict[str, Any]) -> bool:
    """Whether a label, a number or a text is asked for, and no object."""
    named = "enum" in schema or "const" in schema
    return named or schema.get("type") in ("string", "number", "integer", "boolean")


def _scalar(text: str, schema: dict[str, Any]) -> object:
    """A label, number or text, alone, quoted or (a label) within prose."""
    bare = text.strip()
    for reading in (_decoded(bare), bare):
        value = fitted(reading, schema)
        if not problems(value, schema):
            return value
    labels = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    label = label_in(bare, labels)
    if label is not None:
        return label
    found = tuple(problems(bare, schema))
    raise ReplyInvalid(_summary(found), problems=found)


def _decoded(text: str) -> object:
    try:
        decoded: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return decoded


def accept(text: str, output: type[BaseModel], *, document: str, finish_reason: str = "stop") -> dict[str, Any]:
    """The reply as JSON that fits ``output``, its grounded values found in ``document``.

    Raises as :func:`parse`.
    """
    shape = output.model_json_schema()
    rejected: ReplyRejected | None = None
    if finish_reason.lower() in CUT_OFF:
        raise ReplyTruncated(f"the model stopped at its output limit ({finish_reason})")
    for found in candidates(text):
        try:
            return _accepted(found, output, shape, Document(document))
        except ReplyRejected as error:
            rejected = rejected or error
    raise rejected or ReplyNotJson("the reply holds no JSON object")


def _accepted(value: Any, output: type[BaseModel], shape: dict[str, Any], document: Document) -> dict[str, Any]:
    _storable(value)
    model = _fitted(fitted(value, shape), output, document)
    assert isinstance(model, BaseModel)  # noqa: S101 - a model's class gives its instance
    plain: dict[str, Any] = to_jsonable_python(_with_numbers(model.model_dump()))
    return plain


def _with_numbers(value: Any) -> Any:
    """Decimals as the numbers that the model wrote, and not as texts."""
    if isinstance(value, dict):
        return {key: _with_numbers(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_numbers(member) for member in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def correction_problems(error: ReplyRejected) -> list[str]:
    """One line a problem, for the correction prompt: the field and the rule."""
    if not error.problems:
        return [str(error)]
    return [f"{place or 'the answer'}: {rule}" for place, rule in error.problems]


def _fitted(value: Any, schema: dict[str, Any] | type[BaseModel] | None, document: Document | None) -> object:
    if schema is None:
        return value
    if isinstance(schema, dict):
        value = fitted(value, schema)
        found = tuple(problems(value, schema))
        if found:
            raise ReplyInvalid(_summary(found), problems=found, value=value)
        return value
    try:
        # Strict about JSON types, yet from JSON: a date is a string there.
        return schema.model_validate_json(json.dumps(value), context={"document": document})
    except ValidationError as error:
        raise _rejection(error, value) from error


def _rejection(error: ValidationError, value: Any) -> ReplyInvalid:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    found = tuple((".".join(map(str, each["loc"])), each["msg"]) for each in details)
    kind = ReplyWrong if all(each["type"] in SEMANTIC for each in details) else ReplyInvalid
    return kind(_summary(found), problems=found, value=value)


def _summary(found: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{place or 'the answer'}: {rule}" for place, rule in found[:5])


def _storable(value: Any) -> None:
    for place, text in _texts(value, ""):
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ReplyInvalid(
                f"{place or 'the answer'} holds a character that no database stores",
                problems=((place, "must not hold NUL or half a surrogate pair"),),
            )


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        below = f"{place}.{step}" if place else str(step)
        yield below, str(step)
        yield from _texts(member, below)
