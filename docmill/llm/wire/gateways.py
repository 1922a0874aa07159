"""Replies in shapes of gateways and of makers that docmill has no wire for: read where they come, never asked for.

Bedrock, DashScope, Replicate and Cohere have shapes of messages; TGI, llama.cpp, Cloudflare, Baidu and others put
one text beside its figures; many wrap another's reply whole into an object of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from docmill.llm.wire.answers import Draft
from docmill.llm.wire.bodies import decoded
from docmill.llm.wire.chat import read_chat
from docmill.llm.wire.messages import Said, arguments, said_in
from docmill.llm.wire.shapes import first, listed, mapping
from docmill.llm.wire.usage import INPUT, OUTPUT, TOTAL

__all__ = ["inner_body", "read_message", "read_output", "read_single"]

ENDS = (
    *(
        "finish_reason",
        "stop_reason",
        "finishReason",
        "stopReason",
        "completionReason",
        "done_reason",
        "stop_type",
    ),
    "details.finish_reason",
)
TEXTS = (
    *("generated_text", "outputText", "output_text", "completion", "generation", "response", "reply", "answer"),
    *("text", "content", "result", "output"),
)
SIGNS = (
    *ENDS,
    *INPUT,
    *OUTPUT,
    *TOTAL,
    "usage",
    "meta",
    "model",
    "generation_id",
    "tool_calls",
    "stop",
    "details",
)
"""What stands beside a model's text, and not beside another's word."""
LISTS = ("results", "outputs", "generations", "predictions")
WRAPPERS = ("result", "data", "response", "body", "output", "completion", "payload", "message")


def read_message(body: Mapping[str, Any]) -> Draft | None:
    """Reads a message with its end beside it, as Cohere writes it; None for another shape."""
    message = body.get("message")
    if not isinstance(message, dict) or not message.keys() & {"content", "tool_calls", "thinking"}:
        return None
    return _draft(said_in(message), body)


def read_output(body: Mapping[str, Any]) -> Draft | None:
    """Reads what stands under ``output``: a message (Bedrock), choices or a text (DashScope)."""
    output = mapping(body.get("output"))
    if isinstance(output.get("message"), dict):
        return _draft(said_in(output["message"]), body)
    chat = read_chat(output)
    if chat is not None:
        return replace(chat, id=body.get("request_id"), may_overflow=False)
    told = output.get("text")
    return _draft(Said(content=told), {**body, **output}) if isinstance(told, str) else None


def read_single(body: Mapping[str, Any]) -> Draft | None:
    """Reads one text beside its figures; None where nothing but the text would say that a model wrote it."""
    holder = {**body, **next((found[0] for name in LISTS if (found := listed(body.get(name)))), {})}
    name = next((name for name in TEXTS if holder.get(name) is not None), "")
    told = holder.get(name)
    is_answer = isinstance(told, str) and isinstance(decoded(told), dict | list)
    if not is_answer and not any(first(holder, (sign,)) is not None for sign in SIGNS):
        return None
    content = told if isinstance(told, str | list) else arguments(told) if _is_bare(told) else ""
    said = said_in({**holder, "content": content})
    if said == Said() and not isinstance(told, str):
        return None
    # Replicate's end is the status of what it ran.
    return _draft(said, {"finish_reason": body.get("status"), **holder} if name == "output" else holder)


def _is_bare(told: object) -> bool:
    """Whether an object is an answer, and no reply of a shape with a place of its own (Cloudflare)."""
    return isinstance(told, dict) and not told.keys() & {
        "choices",
        "output",
        "candidates",
        "message",
        "content",
        "error",
    }


def _draft(said: Said, body: Mapping[str, Any]) -> Draft:
    is_cut = body.get("is_truncated") is True or body.get("stopped_limit") is True
    word = "length" if is_cut else first(body, ENDS)
    return Draft(
        said=said, words=(word,), model=body.get("model"), id=first(body, ("id", "generation_id", "request_id"))
    )


def inner_body(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Unwraps the body that a gateway has put whole into one of its own; None where it has none.

    What is told beside it, tokens among it, stays.
    """
    for name in WRAPPERS:
        value = body.get(name)
        value = decoded(value) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
        inner: Sequence[Mapping[str, Any]] = listed(value)[:1]
        if inner and inner[0]:
            return {**({"usage": body["usage"]} if mapping(body.get("usage")) else {}), **inner[0]}
    return None
