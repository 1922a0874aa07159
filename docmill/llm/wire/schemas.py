"""JSON Schemas as strict servers want them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from docmill.parsing.schema import resolved

__all__ = ["GIVEN", "NAMED", "UNSAID", "closed", "digest_of", "fields_in", "open_places"]


NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
"""Keywords whose keys are names that the author chose: one may well be called "default" or "title"."""
GIVEN = frozenset({"const", "enum", "required"})
"""Keywords whose values are data, and no schemas."""
UNSAID = frozenset({"default", "examples", "title"})
"""Keywords that only cost tokens, or that strict servers reject."""


def closed(schema: Any) -> Any:
    """Returns the schema with every object closed, every key required, and no defaults, titles or examples.

    The rule is OpenAI's strict mode (docs/providers.md). Whether a key may be null stays as the schema has it; an
    object without named properties stays open, because closing it would leave nothing to say.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {keyword: _part(keyword, value) for keyword, value in schema.items() if keyword not in UNSAID}
    if isinstance(schema.get("properties"), dict):
        result |= {"required": list(schema["properties"]), "additionalProperties": False}
    return result


def _part(keyword: str, value: Any) -> Any:
    if keyword in NAMED and isinstance(value, dict):
        return {name: closed(part) for name, part in value.items()}
    return value if keyword in GIVEN else closed(value)


def digest_of(schema: Mapping[str, Any]) -> str:
    """By which a schema is known again: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16]


def fields_in(schema: Mapping[str, Any]) -> int:
    """Counts the fields that an answer's schema unfolds to, each reference as often as it is used."""
    return _fields_in(schema, schema, {})


def _fields_in(schema: Any, root: Mapping[str, Any], known: dict[str, int]) -> int:
    if isinstance(schema, list):
        return sum(_fields_in(item, root, known) for item in schema)
    if not isinstance(schema, Mapping):
        return 0
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in known:
        known[reference] = 0  # one that comes back to itself ends here
        known[reference] = _fields_in(resolved(reference, root), root, known)
    members = schema.get("properties")
    named = list(members.values()) if isinstance(members, Mapping) else []
    inner = [
        schema[keyword] for keyword in ("items", "prefixItems", "anyOf", "oneOf", "allOf") if keyword in schema
    ]
    below = _fields_in([*named, *inner], root, known)
    return len(named) + below + (known[reference] if isinstance(reference, str) else 0)


def open_places(schema: Any, place: str = "the answer") -> list[str]:
    """Returns where a closed schema still has an object of any fields, which strict providers reject."""
    if isinstance(schema, list):
        return [found for item in schema for found in open_places(item, place)]
    if not isinstance(schema, dict):
        return []
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    named = [pair for names in ("properties", "$defs") for pair in (schema.get(names) or {}).items()]
    inner = [(place, value) for key, value in schema.items() if key not in ("properties", "$defs")]
    below = [found for name, value in (*named, *inner) for found in open_places(value, name)]
    return [place, *below] if is_open else below
