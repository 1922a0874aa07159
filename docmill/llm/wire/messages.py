"""What a model's message holds, in whatever place and shape a provider, or a gateway before it, puts it.

Texts, thoughts, the arguments of tools, and refusals are told apart here and nowhere else; which of them is the
answer is decided in :mod:`docmill.llm.wire.answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from docmill.llm.wire.shapes import at, first, listed, mapping, sequence, text
from docmill.storable import MOST_DEPTH, deeper_than, dump_json

__all__ = ["Said", "arguments", "combined", "said_in", "said_of"]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model said in a message."""

    content: str = ""
    thoughts: str = ""
    calls: tuple[str, ...] = ()
    """The arguments of each tool that it calls, as JSON."""
    refusal: str = ""


TEXT_KINDS = frozenset({"text", "output_text", "message", "markdown"})
JSON_KINDS = frozenset({"json", "output_json", "json_object", "object"})
CALL_KINDS = frozenset({"tool_use", "tool_call", "function_call", "function", "tool-call"})
THOUGHT_KINDS = frozenset(
    {
        "thinking",
        "redacted_thinking",
        "reasoning",
        "reasoning_text",
        "reasoning_content",
        "summary_text",
        "thought",
        "analysis",
    }
)
KINDS = TEXT_KINDS | JSON_KINDS | CALL_KINDS | THOUGHT_KINDS | {"refusal"}
UNTYPED = frozenset({"text", "parts", "thought", "functionCall", "function_call", "toolUse", "reasoningContent"})
"""Names that make an object without a type a part of a message: Gemini's and Bedrock's."""
BESIDE = UNTYPED | frozenset({"role", "id", "index", "thoughtSignature", "annotations", "logprobs", "citations"})

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thoughts", "thought", "think")
"""Where a message has its thoughts; some have the same ones in several places."""
THOUGHT_TEXTS = ("text", "thinking", "reasoning", "summary", "content", "reasoningText", "reasoning_content")
ARGUMENTS = (
    "function.arguments",
    "arguments",
    "input",
    "args",
    "parameters",
    "functionCall.args",
    "function_call.args",
    "function_call.arguments",
    "toolUse.input",
    "function.parameters",
    "function.input",
)
DEEPEST_THOUGHTS = 4


def said_in(message: Mapping[str, Any]) -> Said:
    """Reads a message object of any provider."""
    said = said_of(message.get("content"))
    calls = [arguments(first(call, ARGUMENTS)) for call in listed(message.get("tool_calls"))]
    calls.append(arguments(first(mapping(message.get("function_call")), ("arguments", "args"))))
    thoughts = (said.thoughts, *(_thought(message.get(name)) for name in THOUGHTS))
    parsed = message.get("parsed") if isinstance(message.get("parsed"), dict) else None
    return Said(
        content=said.content or arguments(parsed),
        thoughts=next(filter(str.strip, thoughts), ""),
        calls=(*said.calls, *filter(None, calls)),
        refusal=text(message.get("refusal")) or said.refusal,
    )


def said_of(content: object) -> Said:
    """Reads the content of a message: a text, parts, or the answer itself as an object."""
    if isinstance(content, str):
        return Said(content=content)
    if isinstance(content, dict) and not isinstance(content.get("parts"), list):
        return _part(content) if _is_part(content) else Said(content=arguments(content))
    items = sequence(mapping(content).get("parts", content))
    if items and all(isinstance(item, dict) and "type" not in item and not _is_part(item) for item in items):
        return Said(content=arguments(content))
    return combined(_part(item) if isinstance(item, dict) else Said(content=text(item)) for item in items)


def combined(all_said: Iterable[Said]) -> Said:
    """Puts the parts of a message together."""
    parts = list(all_said)
    return Said(
        content="".join(part.content for part in parts),
        thoughts="".join(part.thoughts for part in parts),
        calls=tuple(call for part in parts for call in part.calls),
        refusal="".join(part.refusal for part in parts),
    )


def arguments(value: object) -> str:
    """Writes the arguments of a call, or an answer that came as an object, as JSON.

    Empty for what holds nothing, and for what is nested so deep that nobody could store it.
    """
    if isinstance(value, str):
        return "" if value.strip() in ("{}", "null") else value
    if not isinstance(value, dict | list) or not value or deeper_than(value, MOST_DEPTH):
        return ""
    return dump_json(value)


def _is_part(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    if kind is None:
        return bool(value.keys() & UNTYPED) and value.keys() <= BESIDE
    return kind in KINDS if isinstance(kind, str) else False


def _part(part: Mapping[str, Any]) -> Said:
    kind = text(part.get("type"))
    if kind in CALL_KINDS or (
        not kind and isinstance(first(part, ("functionCall", "function_call", "toolUse")), dict)
    ):
        return Said(calls=tuple(filter(None, [arguments(first(part, ARGUMENTS))])))
    if kind in THOUGHT_KINDS or part.get("thought") is True or "reasoningContent" in part:
        return Said(thoughts=_thought(mapping(part.get("reasoningContent")) or part))
    if kind == "refusal":
        return Said(refusal=text(part.get("refusal")))
    if kind in JSON_KINDS:
        return Said(content=arguments(first(part, ("json", "object", "data", "output", "value"))))
    if kind and kind not in TEXT_KINDS:
        return Said()
    return Said(content=text(part.get("text")) or text(at(part, "text.value")) or text(part.get("content")))


def _thought(value: object, depth: int = 0) -> str:
    """The text of thoughts, which stand in themselves in some shapes."""
    if isinstance(value, str):
        return value
    if depth >= DEEPEST_THOUGHTS:
        return ""
    if isinstance(value, dict):
        return next(filter(None, (_thought(value.get(name), depth + 1) for name in THOUGHT_TEXTS)), "")
    return "".join(_thought(item, depth + 1) for item in sequence(value))
