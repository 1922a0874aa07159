"""Good responses that are no good: a reply read by its shape, and what is wrong with it (docs/providers.md,
section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from docmill.errors import Failure, FailureKind
from docmill.llm.types import FinishReason, Reply
from docmill.llm.wire.anthropic import read_anthropic
from docmill.llm.wire.chat import read_chat
from docmill.llm.wire.envelopes import events_in
from docmill.llm.wire.gemini import read_gemini
from docmill.llm.wire.ollama import read_ollama
from docmill.llm.wire.responses import read_responses
from docmill.llm.wire.shapes import mapping, mappings, text

__all__ = ["failure_in_reply", "reader_of"]

Reader = Callable[[object], Reply]

KINDS: Mapping[FinishReason, tuple[FailureKind, str]] = {
    "length": ("truncated", "the answer reached the output limit and was cut off"),
    "content_filter": ("content_filtered", "the provider's filter withheld the answer"),
    "refusal": ("refused", "the model refused to answer"),
    "error": ("server_error", "the model ended its answer with an error"),
}


def failure_in_reply(provider: str, status: int, body: object) -> Failure | None:
    """What is wrong with a response that came with a good status and without an error; None for a good one.

    A JSON body of no known shape (embeddings, lists of models, counts) is good.
    """
    if isinstance(body, str):
        return _failure_in_stream(provider, status, body)
    if not isinstance(body, dict) or not body:
        return None if isinstance(body, list) and body else _nothing(status)
    read = reader_of(provider, body)
    return None if read is None else _failure_of(read, body, status)


def reader_of(provider: str, body: Mapping[str, Any]) -> Reader | None:
    """What reads a body of this shape; None where the shape is no model's reply."""
    if "choices" in body or body.get("object") == "chat.completion":
        return read_chat
    if body.get("object") == "response":
        return read_responses
    if body.get("type") == "message":
        return read_anthropic
    if any(key in body for key in ("candidates", "promptFeedback", "usageMetadata")) and not _embeds(body):
        return read_gemini
    if "done" in body and ("message" in body or provider == "ollama"):
        return read_ollama
    return None


def _embeds(body: Mapping[str, Any]) -> bool:
    return "embedding" in body or "embeddings" in body


def _failure_of(read: Reader, body: Mapping[str, Any], status: int) -> Failure | None:
    reply = read(body)
    if reply.finish_reason in KINDS:
        kind, message = KINDS[reply.finish_reason]
        return Failure(kind=kind, message=message, status=status, code=_told(body))
    if not reply.text.strip() and reply.usage.output_tokens == 0 and not _calls_tools(body):
        return _silent(read, reply, status)
    return None


def _silent(read: Reader, reply: Reply, status: int) -> Failure:
    """No text and no tokens: local servers answer so where the prompt does not fit (LM Studio, trap 2)."""
    if read in (read_chat, read_ollama):
        return Failure(
            kind="context_overflow",
            message="the answer is empty and has no tokens: the prompt probably does not fit the window",
            actual_tokens=reply.usage.input_tokens,
            status=status,
        )
    return Failure(kind="server_error", message="the answer is empty and has no tokens", status=status)


def _calls_tools(body: Mapping[str, Any]) -> bool:
    choice = next(iter(mappings(body.get("choices"))), {})
    message = mapping(choice.get("message")) or mapping(body.get("message"))
    return bool(message.get("tool_calls") or message.get("function_call"))


def _told(body: Mapping[str, Any]) -> str | None:
    """The provider's own word for how the reply ended."""
    choice = next(iter(mappings(body.get("choices") or body.get("candidates"))), {})
    words = (
        choice.get("native_finish_reason"),
        choice.get("finish_reason"),
        choice.get("finishReason"),
        mapping(body.get("promptFeedback")).get("blockReason"),
        mapping(body.get("incomplete_details")).get("reason"),
        body.get("stop_reason"),
        body.get("done_reason"),
    )
    return next((text(word)[:100] for word in words if text(word)), None)


def _failure_in_stream(provider: str, status: int, body: str) -> Failure | None:
    """A stream is as good as its events; a text that is none came from something that is no model."""
    events = list(events_in(body))
    if not events:
        return Failure(
            kind="server_error",
            message="the response is no JSON: something other than the provider may have answered",
            status=status,
        )
    read_by = [(event, _reader_of_event(provider, event)) for event in events]
    failures = [_failure_of(read, event, status) for event, read in read_by if read is not None]
    return next((failure for failure in failures if failure is not None), None)


def _reader_of_event(provider: str, event: Mapping[str, Any]) -> Reader | None:
    """Only an event that says how the reply ended can be judged as one."""
    read = reader_of(provider, event)
    return read if read is not None and _told(event) else None


def _nothing(status: int) -> Failure:
    return Failure(kind="server_error", message="the response is empty", status=status)
