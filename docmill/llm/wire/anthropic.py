"""The Anthropic messages shape (docs/providers.md, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docmill.llm.types import FinishReason, Reply, Request, Usage
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.repairs import native_schema, with_repairs
from docmill.llm.wire.schemas import closed
from docmill.llm.wire.shapes import mapping, mappings, text, whole

__all__ = ["AnthropicWire", "read_anthropic"]

VERSION = "2023-06-01"
"""Later versions reject sampling parameters on every model."""

CACHE_CONTROL = "cache_control"

FINISH: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class AnthropicWire:
    """Requests and replies of the messages endpoint."""

    path = "/v1/messages"

    def url(self, base_url: str, model: str) -> str:  # noqa: ARG002 - Gemini has the model in the path
        return joined(base_url, self.path)

    def list_url(self, base_url: str) -> str:
        return joined(base_url, "/v1/models")

    def headers(self, key: str | None) -> dict[str, str]:
        version = {"anthropic-version": VERSION}
        return {**version, "x-api-key": key} if key else version

    def body(self, request: Request, learned: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON to send; the system messages stand apart, and the output limit is required."""
        known = learned or {}
        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_output_tokens,
            "messages": [message.as_json() for message in request.messages if message.role != "system"],
        }
        if system:
            body["system"] = _system(system, request, known)
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.json_schema is not None and native_schema(known):
            body["output_config"] = {"format": {"type": "json_schema", "schema": closed(request.json_schema)}}
        return with_repairs(body, known)

    def reply(self, body: object) -> Reply:
        return read_anthropic(body)


def _system(system: str, request: Request, learned: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    """The part that all documents of a prompt share, marked to be kept.

    A part below the model's least (512 tokens and more) is not kept, and costs nothing extra.
    """
    if request.cache_key is None or CACHE_CONTROL in learned.get("drop", ()):
        return system
    return [{"type": "text", "text": system, CACHE_CONTROL: {"type": "ephemeral"}}]


def read_anthropic(body: object) -> Reply:
    """A message in docmill's words. Its input counts leave out what was cached: here they are summed."""
    message = mapping(body)
    blocks = mappings(message.get("content"))
    finish = FINISH.get(text(message.get("stop_reason")), "stop")
    details = mapping(message.get("stop_details"))
    refusal = text(details.get("explanation")) or text(details.get("category")) or "refused"
    return Reply(
        text="".join(text(block.get("text")) for block in blocks if block.get("type") == "text"),
        finish_reason=finish if isinstance(message.get("content"), list) else "error",
        usage=_usage(message.get("usage")),
        model_echoed=text(message.get("model")) or None,
        request_id=text(message.get("id")) or None,
        refusal=refusal if finish == "refusal" else None,
    )


def _usage(usage: object) -> Usage:
    told = mapping(usage)
    fresh = whole(told.get("input_tokens"))
    cached = whole(told.get("cache_read_input_tokens"))
    written = whole(told.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        output_tokens=whole(told.get("output_tokens")),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=whole(mapping(told.get("output_tokens_details")).get("thinking_tokens")),
    )
