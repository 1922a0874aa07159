"""What a JSON Schema asks for, as far as a reading of a reply needs to know it.

Whether a value fits is decided by :mod:`docmill.parsing.checking`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["SCALARS", "choices_of", "kinds", "kinds_of", "labels", "only_form", "resolved"]

SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})
FORMS_WITHIN_EACH_OTHER = 12
"""References and choices that are followed; one that leads back to itself ends there."""


def kinds(schema: Any, root: Mapping[str, Any] | None = None) -> frozenset[str]:
    """The JSON types that a value may have; empty where the schema does not say."""
    if not isinstance(schema, Mapping):
        return frozenset()
    root = root if root is not None else schema
    if "$ref" in schema:
        return kinds(resolved(schema["$ref"], root), root)
    if "type" in schema:
        named = schema["type"]
        return frozenset([named] if isinstance(named, str) else named)
    for keyword in ("anyOf", "oneOf"):
        choices = [kinds(choice, root) for choice in schema.get(keyword, ())]
        if choices:
            return frozenset().union(*choices) if all(choices) else frozenset()
    if allowed := labels(schema):
        return frozenset().union(*map(kinds_of, allowed))
    of_parts = (kinds(part, root) for part in schema.get("allOf", ()))
    by_keyword = {"object"} if "properties" in schema else {"array"} if "items" in schema else set()
    return next(filter(None, of_parts), frozenset(by_keyword))


def only_form(schema: Any, root: Mapping[str, Any], *, among: Collection[str] = ()) -> Mapping[str, Any]:
    """Follows references and choices to the one form that a value has where it is no null.

    Where a choice leaves several, the only one whose types are ``among`` these is taken, and where there is none
    the schema that says so. Empty where no schema stands, or where they lead on without end.
    """
    for _ in range(FORMS_WITHIN_EACH_OTHER):
        if not isinstance(schema, Mapping):
            return {}
        if "$ref" in schema:
            schema = resolved(schema["$ref"], root)
            continue
        left = choices_of(schema, root)
        if len(left) != 1:
            left = [choice for choice in left if kinds(choice, root) & {*among}]
        if len(left) != 1:
            return schema
        schema = left[0]
    return {}


def choices_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Any]:
    """The schemas that this one leaves a choice of, or adds to itself, but for those of null."""
    told = [choice for keyword in ("anyOf", "oneOf", "allOf") for choice in schema.get(keyword, ())]
    return [choice for choice in told if kinds(choice, root) != {"null"}]


def labels(schema: Mapping[str, Any]) -> list[Any]:
    """The values that an enumeration, or a constant, allows."""
    return list(schema.get("enum") or ([schema["const"]] if "const" in schema else []))


def kinds_of(value: Any) -> frozenset[str]:
    """The JSON types that a value has: a whole number has two."""
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int | float):
        return frozenset({"number", "integer"} if value == int(value) else {"number"})
    names = {dict: "object", list: "array", str: "string", type(None): "null"}
    return frozenset({names[type(value)]})


def resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """Returns what a reference points to; True, which allows anything, where it is no path from the root."""
    target: Any = root
    for step in filter(None, unquote(reference).removeprefix("#").split("/")):
        try:
            target = target[int(step) if isinstance(target, list) else step.replace("~1", "/").replace("~0", "~")]
        except (LookupError, TypeError, ValueError):
            return True
    return target
