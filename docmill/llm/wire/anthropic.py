"""The Anthropic messages shape (docs/providers.md, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docmill.llm.types import Message, Picture, Request
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.answers import Draft
from docmill.llm.wire.finish import word_of
from docmill.llm.wire.messages import said_of
from docmill.llm.wire.pictures import base64_of, parts_of
from docmill.llm.wire.repairs import is_dropped, native_schema, with_repairs
from docmill.llm.wire.schemas import closed
from docmill.llm.wire.shapes import mapping, text

__all__ = ["AnthropicWire", "read_anthropic"]

VERSION = "2023-06-01"
"""Later versions reject sampling parameters on every model."""

CACHE_CONTROL = "cache_control"


class AnthropicWire:
    """Requests and replies of the messages endpoint."""

    path = "/v1/messages"
    strict_schema = True

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
            "messages": [_message(message, known) for message in request.messages if message.role != "system"],
        }
        if system:
            body["system"] = _system(system, request, known)
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.json_schema is not None and native_schema(known, request.json_schema):
            body["output_config"] = {"format": {"type": "json_schema", "schema": closed(request.json_schema)}}
        return with_repairs(body, known)


def _message(message: Message, learned: Mapping[str, Any]) -> dict[str, Any]:
    if not message.pictures:
        return message.as_json()
    # A picture that is too large would be made smaller without a word; rather it is refused.
    whole = {} if is_dropped("transformations", learned) else {"transformations": {"oversized_image": "error"}}

    def shown(picture: Picture) -> dict[str, Any]:
        source = {"type": "base64", "media_type": picture.media_type, "data": base64_of(picture)}
        return {"type": "image", "source": source, **whole}

    return {"role": message.role, "content": parts_of(message, text=_text, picture=shown)}


def _text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def _system(system: str, request: Request, learned: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    """The part that all documents of a prompt share, marked to be kept.

    A part below the model's least (512 tokens and more) is not kept, and costs nothing extra.
    """
    if request.cache_key is None or CACHE_CONTROL in learned.get("drop", ()):
        return system
    return [{"type": "text", "text": system, CACHE_CONTROL: {"type": "ephemeral"}}]


def read_anthropic(body: Mapping[str, Any]) -> Draft | None:
    """Reads a message; None for another shape."""
    content = body.get("content")
    is_message = body.get("type") == "message" or ("stop_reason" in body and isinstance(content, list))
    if not is_message:
        return None
    said, word = said_of(content), body.get("stop_reason")
    if word_of(word) == "refusal":
        details = mapping(body.get("stop_details"))
        told = text(details.get("explanation")) or text(details.get("category")) or said.refusal
        said = replace(said, refusal=told or "refused")
    return Draft(
        said=said,
        words=(word,),
        finish=None if isinstance(content, list | str) else "error",
        model=body.get("model"),
        id=body.get("id"),
    )
