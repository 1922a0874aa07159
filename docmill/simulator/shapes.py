"""How two kinds of providers write requests, answers and refusals; pure.

A question comes out of a request's JSON, whatever its shape; an answer or a refusal goes back in that shape
(docs/providers.md, sections 3 to 6).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, Protocol, TypeAlias

from docmill.simulator.connection import Answer
from docmill.simulator.eyes import Shown, pictures_in
from docmill.simulator.limits import Standing

__all__ = [
    "SHAPES",
    "OpenAIShape",
    "Question",
    "Refusal",
    "RefusalKind",
    "Said",
    "Shape",
    "Wait",
]

DEFAULT_OUTPUT = 1024

Headers: TypeAlias = tuple[tuple[str, str], ...]
RefusalKind: TypeAlias = Literal[
    "auth", "not_found", "bad_request", "rate_limited", "quota", "server_error", "overloaded", "overflow",
    "no_rule", "no_eyes", "no_picture", "many", "bytes", "dots",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, of which model."""

    model: str
    messages: Sequence[Mapping[str, str]] = field(repr=False)
    """Each with ``role`` and ``content``; the system's among them."""
    output_limit: int
    schema: Mapping[str, Any] | None = None
    """The native one, where the request has it."""
    pictures: Sequence[Shown] = field(default=(), repr=False)
    read: Sequence[str] = field(default=(), repr=False)
    """What the pictures say, once they were looked at."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the simulated model says."""

    model: str
    text: str = field(repr=False)
    finish: Literal["stop", "length", "refusal"] = "stop"
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """How long to wait, and in which of the forms that providers have it is told."""

    seconds: float
    form: int = 0


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a request is not answered. ``tokens_in`` and what follows it serve an overflow."""

    kind: RefusalKind
    message: str = ""
    wait: Wait | None = None
    tokens_in: int = 0
    output_limit: int = 0
    window: int = 0
    place: str = ""
    """Of a picture that is at fault."""


OPENAI_WORDS: Mapping[RefusalKind, tuple[int, str, str]] = {
    "auth": (401, "invalid_api_key", "Incorrect API key provided."),
    "not_found": (404, "model_not_found", ""),
    "bad_request": (400, "invalid_request_error", ""),
    "no_rule": (422, "simulator_no_rule", ""),
    "rate_limited": (429, "rate_limit_exceeded", "Rate limit reached."),
    "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan."),
    "server_error": (500, "server_error", "The server had an error while processing your request"),
    "overloaded": (503, "overloaded", "The engine is currently overloaded, please try again later"),
    "overflow": (400, "context_length_exceeded", ""),
    "no_eyes": (400, "", "Invalid content type. image_url is only supported by certain models."),
    "no_picture": (
        400,
        "invalid_image",
        (
            "The image data you provided does not represent a valid image. Please check your input and try again"
            " with one of the supported image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp']."
        ),
    ),
    "many": (400, "invalid_request_error", "At most 20 image(s) may be provided in one request."),
    "bytes": (400, "invalid_request_error", "image exceeds 10 MB maximum"),
    "dots": (400, "invalid_request_error", "The image dimensions exceed the maximum of 2600 pixels."),
}
"""Status, code and message."""
ANTHROPIC_WORDS: Mapping[RefusalKind, tuple[int, str, str]] = {
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "not_found": (404, "not_found_error", ""),
    "bad_request": (400, "invalid_request_error", ""),
    "no_rule": (422, "simulator_no_rule", ""),
    "rate_limited": (429, "rate_limit_error", "This request would exceed your account's rate limit."),
    "quota": (400, "invalid_request_error", "Your credit balance is too low to access the API."),
    "server_error": (500, "api_error", "Internal server error"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "overflow": (400, "invalid_request_error", ""),
    "no_eyes": (400, "invalid_request_error", "This model does not support image input."),
    "no_picture": (400, "invalid_request_error", "Could not process image"),
    "many": (400, "invalid_request_error", "Too many images: at most 20 may be provided in one request"),
    "bytes": (400, "invalid_request_error", "image exceeds 10 MB maximum"),
    "dots": (
        400,
        "invalid_request_error",
        "At least one of the image dimensions exceed max allowed size: 2600 pixels",
    ),
}
"""Status, type and message."""


class Shape(Protocol):
    """One way to speak HTTP about messages."""

    path: str

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        """The credential of a request."""

    def question(self, body: Mapping[str, Any]) -> Question:
        """Raises KeyError, TypeError or ValueError for a body that asks nothing."""

    def answer(self, said: Said) -> bytes:
        """The JSON of a good reply."""

    def refusal(self, refusal: Refusal) -> Answer:
        """The JSON, status and headers of a refusal."""

    def limit_headers(self, standings: Sequence[Standing]) -> Headers:
        """Returns what is left of the limits."""


class OpenAIShape:
    """Chat completions, and the errors that embeddings share with them."""

    path = "/v1/chat/completions"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def question(self, body: Mapping[str, Any]) -> Question:
        native = (body.get("response_format") or {}).get("json_schema")
        return Question(
            model=str(body["model"]),
            messages=[_message(message["role"], message.get("content")) for message in body["messages"]],
            output_limit=int(body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_OUTPUT),
            schema=native["schema"] if native else None,
            pictures=pictures_in(body["messages"]),
        )

    def answer(self, said: Said) -> bytes:
        refused = said.finish == "refusal"
        message = {"role": "assistant", "content": None if refused else said.text}
        reply = {
            "object": "chat.completion",
            "model": said.model,
            "system_fingerprint": "docmill-simulator",
            "choices": [
                {
                    "index": 0,
                    "message": message | ({"refusal": said.text} if refused else {}),
                    "finish_reason": "stop" if refused else said.finish,
                }
            ],
            "usage": {
                "prompt_tokens": said.tokens_in,
                "completion_tokens": said.tokens_out,
                "total_tokens": said.tokens_in + said.tokens_out,
            },
        }
        return json.dumps(reply).encode()

    def refusal(self, refusal: Refusal) -> Answer:
        status, code, message = OPENAI_WORDS[refusal.kind]
        message = self._overflow(refusal) if refusal.kind == "overflow" else refusal.message or message
        words, headers = _told_wait(refusal.wait)
        error: dict[str, Any] = {"message": f"{message}{words}", "type": code, "param": None, "code": code}
        if refusal.place:
            error |= {"type": "invalid_request_error", "param": refusal.place, "code": code or None}
        return Answer(status=status, content=json.dumps({"error": error}).encode(), headers=headers)

    def limit_headers(self, standings: Sequence[Standing]) -> Headers:
        return tuple(
            (f"x-ratelimit-{told}-{each.name}", value)
            for each in standings
            for told, value in (
                ("limit", f"{each.per_minute:.0f}"),
                ("remaining", f"{each.left}"),
                ("reset", f"{each.reset_s:.3f}s"),
            )
        )

    def _overflow(self, refusal: Refusal) -> str:
        asked = refusal.tokens_in + refusal.output_limit
        return (
            f"This model's maximum context length is {refusal.window} tokens. However, you requested {asked}"
            f" tokens ({refusal.tokens_in} in the messages, {refusal.output_limit} in the completion)."
            " Please reduce the length."
        )


class AnthropicShape:
    """Messages, with errors and limits as Anthropic tells them."""

    path = "/v1/messages"

    def key_in(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-api-key") or None

    def question(self, body: Mapping[str, Any]) -> Question:
        system = [_message("system", body["system"])] if body.get("system") else []
        told = [_message(message["role"], message.get("content")) for message in body["messages"]]
        native = (body.get("output_config") or {}).get("format") or {}
        return Question(
            model=str(body["model"]),
            messages=[*system, *told],
            # Here the limit is no option.
            output_limit=int(body["max_tokens"]),
            schema=native.get("schema"),
            pictures=pictures_in(body["messages"]),
        )

    def answer(self, said: Said) -> bytes:
        stop = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}[said.finish]
        refused = said.finish == "refusal"
        reply = {
            "type": "message",
            "role": "assistant",
            "model": said.model,
            "content": [] if refused else [{"type": "text", "text": said.text}],
            "stop_reason": stop,
            "usage": {"input_tokens": said.tokens_in, "output_tokens": said.tokens_out},
        }
        if refused:
            reply["stop_details"] = {"category": "policy", "explanation": said.text}
        return json.dumps(reply).encode()

    def refusal(self, refusal: Refusal) -> Answer:
        status, kind, message = ANTHROPIC_WORDS[refusal.kind]
        message = self._overflow(refusal) if refusal.kind == "overflow" else refusal.message or message
        words, headers = _told_wait(refusal.wait)
        place = f"{refusal.place}.source.base64.data: " if refusal.place and refusal.kind != "no_eyes" else ""
        error = {"type": "error", "error": {"type": kind, "message": f"{place}{message}{words}"}}
        return Answer(status=status, content=json.dumps(error).encode(), headers=headers)

    def limit_headers(self, standings: Sequence[Standing]) -> Headers:
        now = datetime.now(UTC)
        return tuple(
            (f"anthropic-ratelimit-{each.name}-{told}", value)
            for each in standings
            for told, value in (
                ("limit", f"{each.per_minute:.0f}"),
                ("remaining", f"{each.left}"),
                ("reset", (now + timedelta(seconds=each.reset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")),
            )
        )

    def _overflow(self, refusal: Refusal) -> str:
        if refusal.tokens_in > refusal.window:
            return f"prompt is too long: {refusal.tokens_in} tokens > {refusal.window} maximum"
        sizes = f"{refusal.tokens_in} + {refusal.output_limit} > {refusal.window}"
        return f"input length and `max_tokens` exceed context limit: {sizes}, decrease one of them and try again"


SHAPES: Mapping[str, Shape] = {shape.path: shape for shape in (OpenAIShape(), AnthropicShape())}


def _message(role: str, content: object) -> dict[str, str]:
    """Content as text, also where it is a list of blocks."""
    if isinstance(content, list):
        content = "".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return {"role": str(role), "content": "" if content is None else str(content)}


def _told_wait(wait: Wait | None) -> tuple[str, Headers]:
    """Words for the message, and headers; a drawn limit tells its wait in each form in turn."""
    if wait is None:
        return "", ()
    seconds = ("retry-after", str(math.ceil(wait.seconds)))
    milliseconds = ("retry-after-ms", str(math.ceil(wait.seconds * 1000)))
    later = datetime.now(UTC) + timedelta(seconds=math.ceil(wait.seconds))
    forms: tuple[tuple[str, Headers], ...] = (
        ("", (seconds, milliseconds)),
        ("", (seconds,)),
        (f" Please try again in {wait.seconds:.3f}s.", ()),
        ("", (("retry-after", format_datetime(later, usegmt=True)),)),
        ("", (milliseconds,)),
    )
    return forms[wait.form % len(forms)]
