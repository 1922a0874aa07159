"""Numbers that a person wrote as text, where the schema has numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from docmill.parsing.schema import kinds
from prompts.order import of_kind

__all__ = ["with_numbers"]

PLAIN = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)


def with_numbers(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """The value with each plain number as one; what is none stays a text."""
    if isinstance(value, list):
        items = of_kind(schema, "items", root).get("items", {})
        return [with_numbers(each, items, root) for each in value]
    if isinstance(value, dict):
        known = of_kind(schema, "properties", root).get("properties", {})
        return {name: with_numbers(each, known.get(name, {}), root) for name, each in value.items()}
    if not isinstance(value, str) or not PLAIN.fullmatch(value) or not {"number", "integer"} & kinds(schema, root):
        return value
    return float(value) if "." in value else int(value)
