"""What a JSON Schema asks for, as far as a reading of a reply needs to know it.

Whether a value fits is decided by :mod:`docmill.parsing.checking`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["SCALARS", "choices_of", "kinds", "kinds_of", "labels", "only_form", "resolved"]

SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})
FORMS_WITHIN_EACH_OTHER = 12
"""References and choices that are followed; one that leads back to itself ends there."""
MOST_SUMS = 100
"""Forms put together out of parts that are looked into for the types of one value."""


def kinds(schema: Any, root: Mapping[str, Any] | None = None) -> frozenset[str]:
    """The JSON types that a value may have; empty where the schema does not say.

    A form that leads back to itself adds nothing to what the others say.
    """
    if not isinstance(schema, Mapping):
        return frozenset()
    return _kinds(schema, root if root is not None else schema, {})


def _kinds(schema: Any, root: Mapping[str, Any], sums: dict[int, frozenset[str]]) -> frozenset[str]:
    """``sums`` has what forms with parts were found to be, by their identities: none is looked at twice."""
    found = [_kinds_of_form(form, root, sums) for form in _forms(schema, root)]
    return frozenset().union(*found) if all(found) else frozenset()


def _forms(schema: Any, root: Mapping[str, Any]) -> Iterator[Any]:
    """What references and choices lead to, each once."""
    ahead, seen = [schema], set()
    while ahead:
        one = ahead.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if not isinstance(one, Mapping):
            yield one
        elif "$ref" in one:
            ahead.append(resolved(one["$ref"], root))
        elif "type" not in one and (choices := one.get("anyOf") or one.get("oneOf")):
            ahead += choices
        else:
            yield one


def _kinds_of_form(form: Any, root: Mapping[str, Any], sums: dict[int, frozenset[str]]) -> frozenset[str]:
    if not isinstance(form, Mapping):
        return frozenset()
    if "type" in form:
        named = form["type"]
        return frozenset([named] if isinstance(named, str) else named)
    if allowed := labels(form):
        return frozenset().union(*map(kinds_of, allowed))
    by_keyword = {"object"} if "properties" in form else {"array"} if "items" in form else set()
    return _kinds_of_sum(form, root, sums) or frozenset(by_keyword)


def _kinds_of_sum(
    form: Mapping[str, Any], root: Mapping[str, Any], sums: dict[int, frozenset[str]]
) -> frozenset[str]:
    """Those of the first of its parts that says any."""
    parts = form.get("allOf")
    if parts and id(form) not in sums and len(sums) < MOST_SUMS:
        sums[id(form)] = frozenset()  # a part that comes back to it says nothing
        of_parts = (_kinds(part, root, sums) for part in parts)
        sums[id(form)] = next(filter(None, of_parts), frozenset())
    return sums.get(id(form), frozenset())


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
