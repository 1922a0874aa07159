"""What the OpenAPI says for generated clients, in words that they know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from web.answer_schemas import COMPONENTS

__all__ = ["leave_out_defaults", "leave_out_items_of_streams", "leave_out_openness"]


def leave_out_defaults(openapi: dict[str, Any]) -> None:
    """Tells what a request's field is unless it is given in words, and no more as its ``default``.

    Generators of clients take a field with a default for one that is always there, and demand it of requests.
    """
    schemas = openapi["components"]["schemas"]
    for name in _of_requests(openapi):
        for field in schemas[name].get("properties", {}).values():
            if "default" in field:
                given = json.dumps(field.pop("default"))
                field["description"] = f"{field.get('description', '')} ({given} unless given)".strip()


def leave_out_openness(part: Any) -> None:
    """Does not say of an object with named fields that it may have more: so it is unless it is denied.

    Where it is said, generators give the named fields the type of the others, which nobody knows.
    """
    if isinstance(part, list):
        for each in part:
            leave_out_openness(each)
    if isinstance(part, dict):
        if "properties" in part and part.get("additionalProperties") is True:
            del part["additionalProperties"]
        for each in part.values():
            leave_out_openness(each)


def leave_out_items_of_streams(openapi: Mapping[str, Any]) -> None:
    """OpenAPI 3.1 has no word yet for the items of a stream."""
    operations = (operation for path in openapi["paths"].values() for operation in path.values())
    for operation in operations:
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                content.pop("itemSchema", None)


def _of_requests(openapi: Mapping[str, Any]) -> Iterator[str]:
    """The schemas that bodies of requests are made of."""
    schemas, seen = openapi["components"]["schemas"], set[str]()
    operations = (operation for path in openapi["paths"].values() for operation in path.values())
    looked_at: list[Any] = [operation.get("requestBody") for operation in operations]
    while looked_at:
        part = looked_at.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix(COMPONENTS)
            if name in schemas and name not in seen:
                seen.add(name)
                looked_at.append(schemas[name])
                yield name
            looked_at += part.values()
        elif isinstance(part, list):
            looked_at += part
