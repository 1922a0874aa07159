"""What a schema says of lists; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from docmill.parsing.schema import only_form

__all__ = ["Schema", "fields_of_rows", "form_of", "members"]

Schema = Mapping[str, Any]
DEEPEST = 12
"""Objects and lists within each other that are looked into."""


def form_of(schema: Any, root: Schema) -> Schema:
    """The form of a value that is no null: of several the only object or list, as rows may stand there."""
    return only_form(schema, root, among=("object", "array"))


def members(schema: Any, root: Schema) -> Mapping[str, Any]:
    """The members of an object, by name; none of anything else."""
    found = form_of(schema, root).get("properties")
    return found if isinstance(found, Mapping) else {}


def fields_of_rows(schema: Schema) -> int:
    """Returns how many members the widest of an answer's rows has; 0 without a list of objects."""
    return max((len(members(items, schema)) for items in _row_schemas(schema)), default=0)


def _row_schemas(root: Schema) -> Iterator[Any]:
    """Each once, and the outer ones first: an object may have members of its own kind."""
    ahead, seen = deque[tuple[Any, int]]([(root, 0)]), set()
    while ahead:
        schema, depth = ahead.popleft()
        found = form_of(schema, root)
        if not found or id(found) in seen:
            continue
        seen.add(id(found))
        if "items" in found and members(found["items"], root):
            yield found["items"]
        if depth < DEEPEST:
            ahead.extend((member, depth + 1) for member in members(found, root).values())
