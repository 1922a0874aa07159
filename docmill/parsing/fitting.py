"""Fitting a value to a JSON Schema where what was meant is not in doubt.

A number as text, one object for a list of one, a label in other letters, an answer in a wrapper or encoded
twice: each has one reading that fits. Where a value fits as it is, it is not touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docmill.parsing.schema import problems, resolved

__all__ = ["fitted", "label_in"]

NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?")
NOT_OF_A_LABEL = re.compile(r"^[^\w]+|[^\w]+$")
WORDS = {"true": True, "false": False}


def fitted(value: Any, schema: Any, root: Mapping[str, Any] | None = None) -> Any:
    """The value in the form that the schema asks for; as it is where no reading fits."""
    if not isinstance(schema, Mapping):
        return value
    root = root if root is not None else schema
    if "$ref" in schema:
        return fitted(value, resolved(schema["$ref"], root), root)
    value = _members_fitted(value, schema, root)
    if not problems(value, schema, root):
        return value
    for reading in _readings(value, schema, root):
        if not problems(reading, schema, root):
            return reading
    return value


def label_in(text: str, labels: Sequence[Any]) -> Any:
    """The one label that stands in the text as a word of its own; None where none or several do."""
    if NEGATION.search(text):
        return None
    names = {str(label): label for label in labels if isinstance(label, str)}
    exact = {name for name in names if _stands_in(name, text, 0)}
    found = exact or {name for name in names if _stands_in(name, text, re.IGNORECASE)}
    # A label within a longer one that stands there is no second label.
    longest = {
        name for name in found if not any(name != other and name.lower() in other.lower() for other in found)
    }
    return names[longest.pop()] if len(longest) == 1 else None


NEGATION = re.compile(r"\b(?:not|no|nor|neither|never|cannot|without|unlike)\b|n['’]t\b", re.IGNORECASE)


def _stands_in(name: str, text: str, flags: int) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, flags) is not None


def _members_fitted(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if isinstance(value, dict) and isinstance(schema.get("properties"), Mapping):
        known = schema["properties"]
        return {
            name: fitted(member, known[name], root) if name in known else member for name, member in value.items()
        }
    if isinstance(value, list) and "items" in schema:
        return [fitted(member, schema["items"], root) for member in value]
    return value


def _readings(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Any]:
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        for choice in choices or ():
            yield fitted(value, choice, root)
    wanted = _types(schema)
    if isinstance(value, str):
        yield from _readings_of_text(value, schema, wanted, root)
    if isinstance(value, dict) and "object" in wanted and len(value) == 1:
        (inner,) = value.values()
        if isinstance(inner, dict):
            yield fitted(inner, schema, root)
    if "array" in wanted and not isinstance(value, list) and value is not None:
        yield fitted([value], schema, root)


def _readings_of_text(
    text: str, schema: Mapping[str, Any], wanted: set[str], root: Mapping[str, Any]
) -> Iterator[Any]:
    bare = text.strip()
    if wanted & {"number", "integer"} and NUMBER.fullmatch(bare):
        yield (
            json.loads(bare.replace(",", "").lstrip("+").lstrip("0") or "0")
            if _whole(bare)
            else float(bare.replace(",", ""))
        )
    if "boolean" in wanted and bare.lower() in WORDS:
        yield WORDS[bare.lower()]
    if wanted & {"object", "array"} and bare[:1] in ("{", "["):
        try:
            yield fitted(json.loads(bare), schema, root)
        except (ValueError, RecursionError):
            return
    labels = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    plain = NOT_OF_A_LABEL.sub("", bare).casefold()
    same = [label for label in labels if isinstance(label, str) and label.casefold() == plain]
    yield from same if len(same) == 1 else ()


def _whole(number: str) -> bool:
    return not re.search(r"[.eE]", number)


def _types(schema: Mapping[str, Any]) -> set[str]:
    wanted = schema.get("type", ())
    return {wanted} if isinstance(wanted, str) else set(wanted)
