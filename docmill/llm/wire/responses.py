"""Replies of OpenAI's Responses shape: read where a gateway sends them; docmill itself asks in the chat
shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docmill.llm.types import FinishReason
from docmill.llm.wire.answers import Draft
from docmill.llm.wire.finish import finish_of
from docmill.llm.wire.messages import Said, arguments, combined, said_of
from docmill.llm.wire.shapes import at, mappings, text
from docmill.llm.wire.streams import UNFINISHED

__all__ = ["read_responses"]

ITEMS = frozenset({"message", "reasoning", "function_call", "output_text"})


def read_responses(body: Mapping[str, Any]) -> Draft | None:
    """Reads a response; None for another shape."""
    items = mappings(body.get("output"))
    if body.get("object") != "response" and not any(text(item.get("type")) in ITEMS for item in items):
        return None
    said = combined(map(_item, items))
    if said == Said():
        said = said_of(body.get("output_text"))
    word, finish = _ended(text(body.get("status")), at(body, "incomplete_details.reason"))
    return Draft(said=said, words=(word,), finish=finish, model=body.get("model"), id=body.get("id"))


def _ended(status: str, reason: object) -> tuple[object, FinishReason | None]:
    """The word for how a response ended, and what it comes to where the word alone would not say."""
    if status == "incomplete":
        word = reason or "max_output_tokens"
        return word, None if finish_of(word) not in ("stop", None) else "error"
    if status in ("completed", "requires_action", UNFINISHED, ""):
        return UNFINISHED if status == UNFINISHED else "completed", None
    return status, "error"


def _item(item: Mapping[str, Any]) -> Said:
    match item.get("type"):
        case "function_call" | "custom_tool_call" | "tool_call":
            return Said(calls=tuple(filter(None, [arguments(item.get("arguments") or item.get("input"))])))
        case "reasoning":
            thought = combined(said_of(item.get(name)) for name in ("summary", "content"))
            return Said(thoughts=thought.thoughts + thought.content)
        case "output_text" | "refusal":
            return said_of([item])
        case _:
            return said_of(item.get("content"))
