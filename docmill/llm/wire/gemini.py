"""Gemini's native shape (docs/providers.md, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from docmill.llm.types import FinishReason, Message, Reply, Request, Usage
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.repairs import json_allowed, native_schema, with_repairs
from docmill.llm.wire.shapes import mapping, mappings, text, whole

__all__ = ["GeminiWire", "read_gemini"]

FINISH: Mapping[str, FinishReason] = {
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "IMAGE_SAFETY",
            "LANGUAGE",
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL",
            "MALFORMED_RESPONSE",
            "OTHER",
            "UNEXPECTED_TOOL_CALL",
            "TOO_MANY_TOOL_CALLS",
        ),
        "error",
    ),
}


class GeminiWire:
    """Requests and replies of ``generateContent``."""

    path = "/v1beta/models/{model}:generateContent"

    def url(self, base_url: str, model: str) -> str:
        name = quote(model.removeprefix("models/"), safe="-._~")
        return joined(base_url, self.path.format(model=name))

    def list_url(self, base_url: str) -> str:
        return joined(base_url, "/v1beta/models")

    def headers(self, key: str | None) -> dict[str, str]:
        return {"x-goog-api-key": key} if key else {}

    def body(self, request: Request, learned: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON to send; what was learned concerns the keys of ``generationConfig``."""
        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        body: dict[str, Any] = {
            "contents": [_content(message) for message in request.messages if message.role != "system"],
            "generationConfig": with_repairs(_generation(request, learned or {}), learned or {}),
        }
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        return body

    def reply(self, body: object) -> Reply:
        return read_gemini(body)


def _content(message: Message) -> dict[str, Any]:
    return {"role": "model" if message.role == "assistant" else "user", "parts": [{"text": message.content}]}


def _generation(request: Request, learned: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {"maxOutputTokens": request.max_output_tokens}
    if request.temperature is not None:
        config["temperature"] = request.temperature
    wanted = request.json_mode or request.json_schema is not None
    if wanted and json_allowed(learned):
        config["responseMimeType"] = "application/json"
    if request.json_schema is not None and native_schema(learned):
        config["responseJsonSchema"] = request.json_schema
    return config


def read_gemini(body: object) -> Reply:
    """A generated content in docmill's words. A blocked prompt has no candidates, a blocked answer no
    parts."""
    response = mapping(body)
    blocked = text(mapping(response.get("promptFeedback")).get("blockReason"))
    candidate = next(iter(mappings(response.get("candidates"))), {})
    parts = mappings(mapping(candidate.get("content")).get("parts"))
    return Reply(
        text="".join(text(part.get("text")) for part in parts if not part.get("thought")),
        finish_reason="content_filter" if blocked else _finish(candidate, bool(parts)),
        usage=_usage(response.get("usageMetadata")),
        model_echoed=text(response.get("modelVersion")) or None,
        request_id=text(response.get("responseId")) or None,
    )


def _finish(candidate: Mapping[str, Any], has_parts: bool) -> FinishReason:
    told = FINISH.get(text(candidate.get("finishReason")), "stop")
    return "error" if told == "stop" and not has_parts else told


def _usage(usage: object) -> Usage:
    told = mapping(usage)
    asked, tools = whole(told.get("promptTokenCount")), whole(told.get("toolUsePromptTokenCount"))
    answered, thoughts = whole(told.get("candidatesTokenCount")), whole(told.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=None if asked is None else asked + (tools or 0),
        output_tokens=None if answered is None and thoughts is None else (answered or 0) + (thoughts or 0),
        cached_tokens=whole(told.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )
