"""What goes to a model and what comes back, in docmill's own words, whatever the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant"]

FinishReason: TypeAlias = Literal["stop", "length", "content_filter", "refusal", "error"]

PictureType: TypeAlias = Literal["image/png", "image/jpeg"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A page as a model is shown it: upright, in eight bits of red, green and blue, no larger than the model sees.

    Document, page, size and hash are what is kept of it; its bytes are there only while a call is made.
    """

    document_id: int
    page: int
    """From 1."""
    width: int
    height: int
    """In dots, as the width."""
    dots_an_inch: int = 0
    """With which it was drawn."""
    media_type: PictureType
    sha256: str
    """Of the bytes, in hexadecimal digits."""
    size: int
    """In bytes."""
    detail: str = "high"
    """As the provider calls the resolution."""
    tokens: int
    """By the provider's published rule; before anything is learned."""
    most_tokens: int
    """What the provider may count at most."""
    content: bytes = field(default=b"", repr=False, compare=False)

    @property
    def label(self) -> str:
        """What stands before it, so that model and reader mean the same page."""
        return f"Page {self.page}:"

    def as_json(self) -> dict[str, Any]:
        """Returns what is on record of it, by which the very picture can be drawn again."""
        names = ("document_id", "page", "dots_an_inch", "width", "height", "media_type", "sha256", "detail")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a conversation: a text and, of a user's, the pictures that belong to it.

    Whether pictures stand before or after the text is the provider's wish, and so the wire's matter.
    """

    role: Role
    content: str
    pictures: tuple[Picture, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The message as it is kept; one without pictures is on most wires just this."""
        said: dict[str, Any] = {"role": self.role, "content": self.content}
        return said | {"pictures": [each.as_json() for each in self.pictures]} if self.pictures else said


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

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All that the messages show, in order."""
        return tuple(picture for message in self.messages for picture in message.pictures)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; None is unknown, which is not zero.

    ``input_tokens`` includes ``cached_tokens`` and ``cache_write_tokens``, which include
    ``cache_write_1h_tokens``; ``output_tokens`` includes ``reasoning_tokens``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """Those of them that are kept for an hour, and not for five minutes."""
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
