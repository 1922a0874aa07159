"""Ollama's native chat shape, because its OpenAI shape cuts long prompts without saying so (docs/providers.md,
trap 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docmill.llm.types import Message, Request
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.answers import Draft
from docmill.llm.wire.messages import Said, said_in
from docmill.llm.wire.pictures import base64_of
from docmill.llm.wire.repairs import json_allowed, native_schema, with_repairs
from docmill.llm.wire.shapes import text
from docmill.llm.wire.streams import UNFINISHED

__all__ = ["OllamaWire", "read_ollama"]

BYTES_PER_TOKEN = 3
SMALLEST_WINDOW = 4096


class OllamaWire:
    """Requests and replies of ``/api/chat``."""

    path = "/api/chat"
    strict_schema = False

    def url(self, base_url: str, model: str) -> str:  # noqa: ARG002 - Gemini has the model in the path
        return joined(base_url.rstrip("/").removesuffix("/v1"), self.path)

    def list_url(self, base_url: str) -> str:
        return joined(base_url.rstrip("/").removesuffix("/v1"), "/api/tags")

    def headers(self, key: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def body(self, request: Request, learned: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON to send, with a window that holds the request: the server's own default is small."""
        known = learned or {}
        options: dict[str, Any] = {"num_ctx": _window(request), "num_predict": request.max_output_tokens}
        if request.temperature is not None:
            options["temperature"] = request.temperature
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [_message(message) for message in request.messages],
            "stream": False,
            "truncate": False,
            "shift": False,
            "options": with_repairs(options, known),
        }
        if request.json_schema is not None and native_schema(known, request.json_schema):
            body["format"] = request.json_schema
        elif (request.json_mode or request.json_schema is not None) and json_allowed(known):
            body["format"] = "json"
        return with_repairs(body, known)


def _message(message: Message) -> dict[str, Any]:
    """Pictures stand beside the text here, and have no place for labels but in it."""
    if not message.pictures:
        return message.as_json()
    pages = ", ".join(str(picture.page) for picture in message.pictures)
    return {
        "role": message.role,
        "content": f"Pictures of pages, in order: {pages}\n{message.content}",
        "images": [base64_of(picture) for picture in message.pictures],
    }


def _window(request: Request) -> int:
    """A power of two that surely holds messages and answer; a new size makes the server load the model
    anew."""
    size = sum(len(message.content.encode()) for message in request.messages)
    pictures = sum(picture.tokens for picture in request.pictures)
    needed = size // BYTES_PER_TOKEN + pictures + request.max_output_tokens
    return max(SMALLEST_WINDOW, 1 << max(needed, 1).bit_length())


def read_ollama(body: Mapping[str, Any]) -> Draft | None:
    """Reads a reply of ``/api/chat`` or ``/api/generate``; None for another shape."""
    message = body.get("message")
    if "done" not in body or not isinstance(message, dict | None):
        return None
    said = Said(content=text(body.get("response")), thoughts=text(body.get("thinking")))
    return Draft(
        said=said_in(message) if message is not None else said,
        # One line of many that never came.
        words=(UNFINISHED if body.get("done") is False else body.get("done_reason"),),
        finish="error" if message is None and "response" not in body else None,
        model=body.get("model"),
        may_overflow=True,
    )
