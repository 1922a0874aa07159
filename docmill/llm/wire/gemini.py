"""Gemini's native shape (docs/providers.md, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from docmill.llm.types import Message, Picture, Request
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.answers import Draft
from docmill.llm.wire.finish import finish_of
from docmill.llm.wire.messages import Said, said_of
from docmill.llm.wire.pictures import base64_of, parts_of
from docmill.llm.wire.repairs import json_allowed, native_schema, with_repairs
from docmill.llm.wire.shapes import at, listed, text

__all__ = ["GeminiWire", "read_gemini"]


SIGNS = frozenset({"candidates", "promptFeedback", "usageMetadata"})
RESOLUTION = "MEDIA_RESOLUTION_HIGH"
EMBEDDINGS = frozenset({"embedding", "embeddings"})


class GeminiWire:
    """Requests and replies of ``generateContent``."""

    path = "/v1beta/models/{model}:generateContent"
    strict_schema = False

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


def _content(message: Message) -> dict[str, Any]:
    parts = parts_of(message, text=_text, picture=_inline)
    return {"role": "model" if message.role == "assistant" else "user", "parts": parts}


def _text(said: str) -> dict[str, Any]:
    return {"text": said}


def _inline(picture: Picture) -> dict[str, Any]:
    return {"inlineData": {"mimeType": picture.media_type, "data": base64_of(picture)}}


def _generation(request: Request, learned: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {"maxOutputTokens": request.max_output_tokens}
    if request.pictures:
        # Of the whole request, which models of both generations take; a part's own only the newer ones do.
        config["mediaResolution"] = RESOLUTION
    if request.temperature is not None:
        config["temperature"] = request.temperature
    wanted = request.json_mode or request.json_schema is not None
    if wanted and json_allowed(learned):
        config["responseMimeType"] = "application/json"
    if request.json_schema is not None and native_schema(learned, request.json_schema):
        config["responseJsonSchema"] = request.json_schema
    return config


def read_gemini(body: Mapping[str, Any]) -> Draft | None:
    """Reads a generated content; None for another shape. A blocked prompt has no candidates, a blocked answer no
    parts."""
    if not body.keys() & SIGNS or body.keys() & EMBEDDINGS:
        return None
    blocked = text(at(body, "promptFeedback.blockReason"))
    candidate = next(iter(listed(body.get("candidates"))), {})
    said = said_of(candidate.get("content"))
    word = candidate.get("finishReason")
    is_empty = said == Said() and finish_of(word) == "stop"
    rated = [candidate.get("safetyRatings"), at(body, "promptFeedback.safetyRatings")]
    if is_empty and any(rating.get("blocked") is True for ratings in rated for rating in listed(ratings)):
        blocked = "SAFETY"
    return Draft(
        said=said,
        words=(blocked or word,),
        finish="content_filter" if blocked else "error" if is_empty else None,
        model=body.get("modelVersion"),
        id=body.get("responseId"),
    )
