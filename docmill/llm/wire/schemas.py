"""JSON Schemas as strict servers want them."""

from __future__ import annotations

from typing import Any

__all__ = ["closed", "open_places"]


def closed(schema: Any) -> Any:
    """The schema with every object closed, every key required, and no defaults.

    The rule is OpenAI's strict mode (providers.md, section 3). Whether a key may be null stays as the
    schema has it; an object without named properties stays open, because closing it would leave nothing to
    say.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items() if key != "default"}
    for names in ("properties", "$defs"):
        # These hold names chosen by the prompt's author: one may well be called "default".
        if isinstance(schema.get(names), dict):
            result[names] = {name: closed(value) for name, value in schema[names].items()}
    if isinstance(schema.get("properties"), dict):
        result |= {"required": list(schema["properties"]), "additionalProperties": False}
    return result


def open_places(schema: Any, place: str = "the answer") -> list[str]:
    """Where a closed schema still has an object of any fields, which strict providers reject."""
    if isinstance(schema, list):
        return [found for item in schema for found in open_places(item, place)]
    if not isinstance(schema, dict):
        return []
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    named = [pair for names in ("properties", "$defs") for pair in (schema.get(names) or {}).items()]
    inner = [(place, value) for key, value in schema.items() if key not in ("properties", "$defs")]
    below = [found for name, value in (*named, *inner) for found in open_places(value, name)]
    return [place, *below] if is_open else below
