"""What goes to a model and what comes back, in docmill's own words, whatever the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant"]

FinishReason: TypeAlias = Literal["stop", "length", "content_filter", "refusal", "error"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str

    def as_json(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to a model. ``temperature`` is sent only where the prompt sets it: newer models reject it."""

    model: str
    """The provider's own name of the model."""
    messages: tuple[Message, ...]
    max_output_tokens: int
    temperature: float | None = None
    json_schema: dict[str, Any] | None = None
    """Asks for the provider's native structured output; None leaves the schema to the prompt's words."""
    json_mode: bool = False
    """Asks for any valid JSON object."""
    cache_key: str | None = None
    """Names the requests that begin alike, where the provider wants to be told what it may keep."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; None is unknown, which is not zero.

    ``input_tokens`` includes ``cached_tokens`` and ``cache_write_tokens``; ``output_tokens`` includes
    ``reasoning_tokens``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A provider's answer, normalised."""

    text: str
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    model_echoed: str | None = None
    request_id: str | None = None
    """As the body has it."""
    refusal: str | None = None
    cost_usd: str | None = None
    """A decimal string, where the provider itself says what the call cost (OpenRouter)."""
    warnings: tuple[str, ...] = ()
    """What in the reply makes no sense and is taken for unknown, or is taken otherwise than it was told."""
