"""Replies of OpenAI's Responses shape: read where a gateway sends them; docmill itself asks in the chat
shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docmill.llm.types import FinishReason, Reply, Usage
from docmill.llm.wire.shapes import mapping, mappings, text, whole

__all__ = ["read_responses"]


def read_responses(body: object) -> Reply:
    """A response in docmill's words."""
    response = mapping(body)
    parts = [part for item in mappings(response.get("output")) for part in mappings(item.get("content"))]
    refusal = "".join(text(part.get("refusal")) for part in parts if part.get("type") == "refusal") or None
    return Reply(
        text="".join(text(part.get("text")) for part in parts if part.get("type") == "output_text"),
        finish_reason=_finish(response, refusal),
        usage=_usage(response.get("usage")),
        model_echoed=text(response.get("model")) or None,
        request_id=text(response.get("id")) or None,
        refusal=refusal,
    )


def _finish(response: Mapping[str, Any], refusal: str | None) -> FinishReason:
    status = text(response.get("status"))
    if status == "incomplete":
        filtered = mapping(response.get("incomplete_details")).get("reason") == "content_filter"
        return "content_filter" if filtered else "length"
    if status in ("failed", "cancelled"):
        return "error"
    return "refusal" if refusal else "stop"


def _usage(usage: object) -> Usage:
    told = mapping(usage)
    asked = mapping(told.get("input_tokens_details"))
    return Usage(
        input_tokens=whole(told.get("input_tokens")),
        output_tokens=whole(told.get("output_tokens")),
        cached_tokens=whole(asked.get("cached_tokens")),
        cache_write_tokens=whole(asked.get("cache_write_tokens")),
        reasoning_tokens=whole(mapping(told.get("output_tokens_details")).get("reasoning_tokens")),
    )
