"""Checking a value against a JSON Schema: the keywords that prompts use.

A prompt's own schema is a Pydantic model and is checked by Pydantic. This is for a schema that arrives as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

__all__ = ["SCALARS", "kinds", "labels", "problems", "resolved"]

DEEPEST_REFERENCE = 20
"""References and alternatives, one within another."""

Problem: TypeAlias = tuple[str, str]
"""A place, as in ``lines.0.total``, and the rule that it breaks."""

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})


def kinds(schema: Any, root: Mapping[str, Any] | None = None, *, depth: int = 0) -> frozenset[str]:
    """The JSON types that a value may have; empty where the schema does not say."""
    if not isinstance(schema, Mapping) or depth > DEEPEST_REFERENCE:
        return frozenset()
    root = root if root is not None else schema
    if "$ref" in schema:
        return kinds(resolved(schema["$ref"], root), root, depth=depth + 1)
    if "type" in schema:
        named = schema["type"]
        return frozenset([named] if isinstance(named, str) else named)
    for keyword in ("anyOf", "oneOf"):
        choices = [kinds(choice, root, depth=depth + 1) for choice in schema.get(keyword, ())]
        if choices:
            return frozenset().union(*choices) if all(choices) else frozenset()
    allowed = labels(schema)
    if allowed:
        return frozenset(name for name in TYPES if any(_is(label, name) for label in allowed))
    of_parts = (kinds(part, root, depth=depth + 1) for part in schema.get("allOf", ()))
    by_keyword = {"object"} if "properties" in schema else {"array"} if "items" in schema else set()
    return next(filter(None, of_parts), frozenset(by_keyword))


def labels(schema: Mapping[str, Any]) -> list[Any]:
    """The values that an enumeration, or a constant, allows."""
    return list(schema.get("enum") or ([schema["const"]] if "const" in schema else []))


def problems(value: Any, schema: Any, root: Mapping[str, Any] | None = None, place: str = "") -> list[Problem]:
    """What keeps the value from fitting; empty where it fits."""
    if not isinstance(schema, Mapping):
        return [] if schema is not False else [(place, "nothing is allowed here")]
    return list(_problems(value, schema, root if root is not None else schema, place))


def _problems(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str) -> Iterator[Problem]:
    if "$ref" in schema:
        yield from problems(value, resolved(schema["$ref"], root), root, place)
    wanted = schema.get("type")
    names = [wanted] if isinstance(wanted, str) else (wanted or [])
    if names and not any(_is(value, name) for name in names):
        yield place, f"must be {' or '.join(names)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield place, f"must be one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema and value != schema["const"]:
        yield place, f"must be {schema['const']}"
    yield from _alternatives(value, schema, root, place)
    yield from _bounds(value, schema, place)
    if isinstance(value, dict):
        yield from _members(value, schema, root, place)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], root, _below(place, index))


def _alternatives(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str) -> Iterator[Problem]:
    for keyword in ("anyOf", "oneOf"):
        choices = schema.get(keyword)
        if choices and all(problems(value, choice, root, place) for choice in choices):
            yield place, "fits none of the allowed forms"
    for part in schema.get("allOf", ()):
        yield from problems(value, part, root, place)


def _members(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], place: str
) -> Iterator[Problem]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield _below(place, name), "is missing"
    for name, member in value.items():
        others = schema.get("additionalProperties", True)
        if name not in known and others is False:
            yield _below(place, name), "is not a known field"
        else:
            yield from problems(member, known.get(name, others), root, _below(place, name))


def _bounds(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[Problem]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from _between(value, schema, place, least="minimum", most="maximum")
    if isinstance(value, str):
        yield from _between(len(value), schema, place, least="minLength", most="maxLength", unit=" characters")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield place, f"must match {schema['pattern']}"
    if isinstance(value, list):
        yield from _between(len(value), schema, place, least="minItems", most="maxItems", unit=" items")


def _between(
    size: float, schema: Mapping[str, Any], place: str, *, least: str, most: str, unit: str = ""
) -> Iterator[Problem]:
    if size < schema.get(least, size):
        yield place, f"must be at least {schema[least]}{unit}"
    if size > schema.get(most, size):
        yield place, f"must be at most {schema[most]}{unit}"


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES.get(name, (object,)))


def resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within the schema points to."""
    target: Any = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        target = target[step.replace("~1", "/").replace("~0", "~")]
    return target


def _below(place: str, step: object) -> str:
    return f"{place}.{step}" if place else str(step)
