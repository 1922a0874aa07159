"""The list of models that a provider offers."""

from __future__ import annotations

from docmill.llm.wire.shapes import mapping, mappings, text

__all__ = ["names_in"]


def names_in(body: object) -> list[str]:
    """The names in a list of models of any provider's shape; empty where the body is none."""
    told = mapping(body)
    rows = mappings(told.get("data")) or mappings(told.get("models"))
    named = [text(row.get("id")) or text(row.get("name")) for row in rows]
    # Gemini puts the kind before the name, Ollama the usual tag behind it.
    return [name.removeprefix("models/").removesuffix(":latest") for name in named if name]
