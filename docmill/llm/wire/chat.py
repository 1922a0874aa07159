"""The OpenAI chat shape, and what sets its many speakers apart.

Strict servers reject keys that they do not know, so a body is built from an allow-list and never holds a
null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from docmill.llm.types import FinishReason, Reply, Request, Usage
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.repairs import json_allowed, native_schema, with_repairs
from docmill.llm.wire.schemas import closed
from docmill.llm.wire.shapes import decimal_text, mapping, mappings, sequence, text, whole

__all__ = ["PROFILES", "ChatWire", "Profile", "read_chat"]

FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "model_length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
    "error": "error",
    "abort": "error",
    "insufficient_system_resource": "error",
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How one provider differs from the common chat shape."""

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    json_schema: bool = True
    json_object: bool = True
    strict_schema: bool = False
    """True where ``strict`` is understood and the schema must close every object."""
    key_header: str = "authorization"
    """``authorization`` sends ``Bearer KEY``; any other header sends the key alone."""
    path: str = "/v1/chat/completions"
    cache_key: bool = False
    """Whether ``prompt_cache_key`` is known, which brings requests that begin alike to the same cache."""


PROFILES: Mapping[str, Profile] = {
    "openai": Profile(max_tokens_key="max_completion_tokens", strict_schema=True, cache_key=True),
    "openai-compatible": Profile(),
    "simulator": Profile(max_tokens_key="max_completion_tokens"),
    "groq": Profile(max_tokens_key="max_completion_tokens", path="/openai/v1/chat/completions"),
    "together": Profile(),
    "openrouter": Profile(path="/api/v1/chat/completions"),
    "deepseek": Profile(json_schema=False, path="/chat/completions"),
    "gemini-compat": Profile(path="/v1beta/openai/chat/completions"),
    "xai": Profile(max_tokens_key="max_completion_tokens"),
    "vllm": Profile(),
    "llamacpp": Profile(),
    "lmstudio": Profile(json_object=False),
}


@dataclass(frozen=True, kw_only=True)
class ChatWire:
    """Requests and replies of a server that speaks the OpenAI chat shape."""

    profile: Profile = Profile()

    @property
    def path(self) -> str:
        return self.profile.path

    def url(self, base_url: str, model: str) -> str:  # noqa: ARG002 - Gemini has the model in the path
        """The address, whether or not the base holds a part of the path already (``…/v1``)."""
        return joined(base_url, self.path)

    def list_url(self, base_url: str) -> str:
        return joined(base_url, self.path.replace("/chat/completions", "/models"))

    def headers(self, key: str | None) -> dict[str, str]:
        if not key:
            return {}
        name = self.profile.key_header
        return {name: f"Bearer {key}" if name == "authorization" else key}

    def body(self, request: Request, learned: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON to send. ``learned`` holds what the model is known to reject (see
        :func:`~.repairs.learn`)."""
        known = learned or {}
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [message.as_json() for message in request.messages],
            self.profile.max_tokens_key: request.max_output_tokens,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.cache_key is not None and self.profile.cache_key:
            body["prompt_cache_key"] = request.cache_key
        body |= _response_format(request, self.profile, known)
        return with_repairs(body, known)

    def reply(self, body: object) -> Reply:
        return read_chat(body)


def _response_format(request: Request, profile: Profile, learned: Mapping[str, Any]) -> dict[str, Any]:
    """The most that the request asks for and the server is known to take."""
    if request.json_schema is not None and profile.json_schema and native_schema(learned):
        schema = _schema(request.json_schema, profile)
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    wanted = request.json_mode or request.json_schema is not None
    if wanted and profile.json_object and json_allowed(learned):
        return {"response_format": {"type": "json_object"}}
    return {}


def _schema(schema: dict[str, Any], profile: Profile) -> dict[str, Any]:
    if not profile.strict_schema:
        return {"name": "answer", "schema": schema}
    return {"name": "answer", "schema": closed(schema), "strict": True}


def read_chat(body: object) -> Reply:
    """A chat completion in docmill's words; a body of another shape is a reply without text that ended in
    error."""
    whole_body = mapping(body)
    choice = next(iter(mappings(whole_body.get("choices"))), None)
    if choice is None:
        return Reply(text="", finish_reason="error", usage=_usage(whole_body.get("usage")))
    message = mapping(choice.get("message"))
    refusal = text(message.get("refusal")) or None
    usage = mapping(whole_body.get("usage"))
    return Reply(
        text=_content(message.get("content")),
        finish_reason=_finish(choice, refusal),
        usage=_usage(usage),
        model_echoed=text(whole_body.get("model")) or None,
        request_id=text(mapping(whole_body.get("x_groq")).get("id")) or text(whole_body.get("id")) or None,
        refusal=refusal,
        cost_usd=decimal_text(usage.get("cost")),
    )


def _finish(choice: Mapping[str, Any], refusal: str | None) -> FinishReason:
    if choice.get("error"):
        return "error"
    # Gemini's compat endpoint appends its own reason: "content_filter: SAFETY".
    told = text(choice.get("finish_reason")).split(":")[0].strip().lower()
    finish = FINISH.get(told, "stop")
    return "refusal" if refusal and finish != "content_filter" else finish


def _content(content: object) -> str:
    """The text, also of a list of parts (Mistral's magistral), without its thinking."""
    if isinstance(content, str):
        return content
    parts = [item if isinstance(item, str) else _part(mapping(item)) for item in sequence(content)]
    return "".join(parts)


def _part(part: Mapping[str, Any]) -> str:
    return text(part.get("text")) if part.get("type", "text") in ("text", "output_text") else ""


def _usage(usage: object) -> Usage:
    told = mapping(usage)
    asked, given = mapping(told.get("prompt_tokens_details")), mapping(told.get("completion_tokens_details"))
    cached = whole(asked.get("cached_tokens"))
    return Usage(
        input_tokens=whole(told.get("prompt_tokens")),
        output_tokens=whole(told.get("completion_tokens")),
        cached_tokens=whole(told.get("prompt_cache_hit_tokens")) if cached is None else cached,
        cache_write_tokens=whole(asked.get("cache_write_tokens")),
        reasoning_tokens=whole(given.get("reasoning_tokens")),
    )
