"""What the OpenAPI says for generated clients: requests whose fields may be left out, and each prompt's answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docmill.errors import PromptError
from prompts import Registry

__all__ = ["answers", "leave_out_defaults"]

COMPONENTS = "#/components/schemas/"


def answers(registry: Registry) -> dict[str, Any]:
    """A schema for each prompt version's answer, and ``Answers``: by prompt, what any of its versions gives.

    A version whose files do not load has none.
    """
    found: dict[str, Any] = {}
    by_prompt: dict[str, list[dict[str, str]]] = {}
    for name in registry.names():
        for version in registry.versions(name):
            called = f"Answer_{name}_{version}"
            try:
                schema = registry.get(name, version).schema
            except PromptError:
                continue
            found |= _apart(called, schema)
            by_prompt.setdefault(name, []).append({"$ref": COMPONENTS + called})
    told = "By prompt, the value of a job of it that was accepted"
    members = {name: {"anyOf": refs} for name, refs in by_prompt.items()}
    return {**found, "Answers": {"type": "object", "description": told, "properties": members}}


def _apart(called: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema, and each of its definitions, as components of their own."""
    definitions = schema.get("$defs", {})
    renamed = {f"#/$defs/{name}": f"{COMPONENTS}{called}_{name}" for name in definitions}
    whole = {name: part for name, part in schema.items() if name != "$defs"}
    parts = {called: whole, **{f"{called}_{name}": part for name, part in definitions.items()}}
    return {name: _with_names(part, renamed) for name, part in parts.items()}


def _with_names(part: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {
            name: renamed.get(each, each) if name == "$ref" else _with_names(each, renamed)
            for name, each in part.items()
        }
    return [_with_names(each, renamed) for each in part] if isinstance(part, list) else part


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
