"""An answer's fields in the order in which its schema names them: Postgres keeps them by length and letter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docmill.errors import PromptError
from prompts.registry import Registry

__all__ = ["in_order", "in_prompts_order", "of_kind"]


def in_prompts_order(registry: Registry, prompt: str | None, version: str | None, value: Any) -> Any:
    """The value as the prompt's schema orders it; as it is where the prompt is gone, or was none."""
    if not prompt or version is None or not isinstance(value, dict):
        return value
    try:
        schema = registry.get(prompt, version).schema
    except PromptError:
        return value
    return in_order(value, schema, schema)


def in_order(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Members that the schema does not know come last, as they are."""
    if isinstance(value, list):
        items = of_kind(schema, "items", root)
        return [in_order(each, items.get("items", {}), root) for each in value]
    if not isinstance(value, dict):
        return value
    known = of_kind(schema, "properties", root).get("properties", {})
    names = [*(name for name in known if name in value), *(name for name in value if name not in known)]
    return {name: in_order(value[name], known.get(name, {}), root) for name in names}


def of_kind(schema: Any, keyword: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a schema that has the keyword: itself, what it refers to, or one of its choices."""
    return next((form for form in _forms(schema, root) if keyword in form), {})


def _forms(schema: Any, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema, and its choices after it, with what they refer to once each: one may lead back to itself."""
    ahead, followed = [schema], set()
    while ahead:
        form = ahead.pop()
        if not isinstance(form, Mapping):
            continue
        if "$ref" not in form:
            yield form
            ahead += reversed(form.get("anyOf", ()))
        elif (name := str(form["$ref"]).rpartition("/")[2]) not in followed:
            followed.add(name)
            ahead.append(root.get("$defs", {}).get(name))
