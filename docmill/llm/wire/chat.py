"""The OpenAI chat shape, and what sets its many speakers apart.

Strict servers reject keys that they do not know, so a body is built from an allow-list and never holds a
null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from docmill.llm.types import FinishReason, Message, Picture, Request
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.answers import Draft
from docmill.llm.wire.messages import Said, combined, said_in, said_of
from docmill.llm.wire.pictures import data_url, parts_of
from docmill.llm.wire.repairs import is_dropped, json_allowed, native_schema, with_repairs
from docmill.llm.wire.schemas import closed
from docmill.llm.wire.shapes import at, label, listed, mapping, text
from docmill.llm.wire.streams import UNFINISHED

__all__ = ["PROFILES", "ChatWire", "Profile", "read_chat"]


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
    detail: bool = False
    """Whether a picture's ``detail`` is known; where it is, its absence can mean the dearest."""
    text_first: bool = False
    """Whether the text stands before the pictures: elsewhere they go first, as most providers advise."""


PROFILES: Mapping[str, Profile] = {
    "openai": Profile(max_tokens_key="max_completion_tokens", strict_schema=True, cache_key=True, detail=True),
    "openai-compatible": Profile(),
    "simulator": Profile(max_tokens_key="max_completion_tokens", detail=True),
    "groq": Profile(max_tokens_key="max_completion_tokens", path="/openai/v1/chat/completions"),
    "together": Profile(),
    "openrouter": Profile(path="/api/v1/chat/completions", detail=True, text_first=True),
    "deepseek": Profile(json_schema=False, path="/chat/completions"),
    "gemini-compat": Profile(path="/v1beta/openai/chat/completions"),
    "xai": Profile(max_tokens_key="max_completion_tokens", detail=True),
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

    @property
    def strict_schema(self) -> bool:
        return self.profile.strict_schema

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
            "messages": [_message(message, self.profile, known) for message in request.messages],
            self.profile.max_tokens_key: request.max_output_tokens,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.cache_key is not None and self.profile.cache_key:
            body["prompt_cache_key"] = request.cache_key
        body |= _response_format(request, self.profile, known)
        return with_repairs(body, known)


def _message(message: Message, profile: Profile, learned: Mapping[str, Any]) -> dict[str, Any]:
    if not message.pictures:
        return message.as_json()
    told = profile.detail and not is_dropped("detail", learned)

    def shown(picture: Picture) -> dict[str, Any]:
        detail = {"detail": picture.detail} if told else {}
        return {"type": "image_url", "image_url": {"url": data_url(picture), **detail}}

    parts = parts_of(message, text=_text, picture=shown, text_first=profile.text_first)
    return {"role": message.role, "content": parts}


def _text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def _response_format(request: Request, profile: Profile, learned: Mapping[str, Any]) -> dict[str, Any]:
    """The most that the request asks for and the server is known to take."""
    if request.json_schema is not None and profile.json_schema and native_schema(learned, request.json_schema):
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


def read_chat(body: Mapping[str, Any]) -> Draft | None:
    """Reads a chat completion; None for another shape. One without a choice ended in error, or in a filter."""
    if "choices" not in body and not text(body.get("object")).startswith("chat.completion"):
        return None
    choices = listed(body.get("choices"))
    if not choices:
        return Draft(finish="content_filter" if _is_filtered(body) else "error")
    said = [_said(choice) for choice in choices]
    # Copilot puts the words into one choice, and the call of the tool into the next.
    place = next((number for number, each in enumerate(said) if each.calls), None)
    place = _first_that_says(said) if place is None else place
    choice = choices[place]
    word = choice.get("finish_reason") or choice.get("finishReason")
    # A piece of a stream, of which the rest never came.
    is_piece = not word and isinstance(choice.get("delta"), dict) and not choice.get("message")
    words = (UNFINISHED if is_piece else word, choice.get("native_finish_reason"))
    return Draft(
        said=said[place],
        words=words,
        finish=_finish(choice, said[place]),
        model=body.get("model"),
        id=label(at(body, "x_groq.id")) or body.get("id"),
        may_overflow=True,
    )


def _said(choice: Mapping[str, Any]) -> Said:
    message = choice.get("message") or choice.get("delta")
    if isinstance(message, dict):
        return said_in(message)
    # Completions of old have a text, MiniMax's a list of messages, and some the content without a message.
    content = message or choice.get("text") or choice.get("content")
    if content:
        return said_of(content)
    told = listed(choice.get("messages"))
    return combined(said_in({**each, "content": each.get("content") or each.get("text")}) for each in told)


def _first_that_says(said: Sequence[Said]) -> int:
    return next((number for number, each in enumerate(said) if each.content.strip()), 0)


def _finish(choice: Mapping[str, Any], said: Said) -> FinishReason | None:
    if choice.get("error"):
        return "error"
    is_empty = not (said.content.strip() or said.calls)
    return "content_filter" if is_empty and _is_filtered(choice) else None


FILTERS = ("prompt_filter_results", "prompt_annotations", "content_filter_results", "content_filter_result")


def _is_filtered(holder: Mapping[str, Any]) -> bool:
    """Whether one of Azure's filters says that it withheld the question or the answer."""
    told = [mapping(each.get("content_filter_results")) for key in FILTERS for each in listed(holder.get(key))]
    told += [mapping(holder.get(key)) for key in FILTERS]
    verdicts = (verdict for results in told for each in results.values() for verdict in listed(each))
    return any(verdict.get("filtered") is True for verdict in verdicts)
