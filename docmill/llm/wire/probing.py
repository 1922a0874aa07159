"""Asking a server whether a model takes pictures, without sending one where the server knows a way; pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from docmill.llm.types import Message, Picture, Request
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.shapes import at, mappings, sequence, text

__all__ = ["canary", "probe_of"]

CANARY = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAKElEQVR42u3NQQEAAAQEMPTvfErw2wqs"
    "k9SnqWcCgUAgEAgEAoHgygLH8QM9BsqtpQAAAABJRU5ErkJggg=="
)
"""A white picture of 32 by 32 dots: several servers refuse smaller ones for their size."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A question that costs nothing."""

    url: str
    body: Mapping[str, Any] | None
    """To be posted; None is to be got."""
    read: Callable[[object], bool | None]
    """What the server's answer says; None where it says nothing of it."""


def probe_of(provider: str, base_url: str, model: str) -> Probe | None:
    """Returns how the provider is asked; None where it knows no way."""
    root = base_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
    match provider.lower():
        case "ollama":
            return Probe(url=f"{root}/api/show", body={"model": model}, read=_of_ollama)
        case "llamacpp":
            return Probe(url=f"{root}/props", body=None, read=_of_llamacpp)
        case "lmstudio":
            return Probe(url=f"{root}/api/v1/models", body=None, read=lambda body: _of_lmstudio(body, model))
        case "openrouter":
            url = joined(base_url, "/api/v1/models")
            return Probe(url=url, body=None, read=lambda body: _of_openrouter(body, model))
        case _:
            return None


def canary(model: str) -> Request:
    """The smallest question with a picture, for servers that can be asked in no other way: it is paid for."""
    picture = Picture(
        document_id=0,
        page=1,
        width=32,
        height=32,
        media_type="image/png",
        sha256=hashlib.sha256(CANARY).hexdigest(),
        size=len(CANARY),
        tokens=1,
        most_tokens=1,
        content=CANARY,
    )
    asked = Message(role="user", content="Answer with the word: seen", pictures=(picture,))
    return Request(model=model, messages=(asked,), max_output_tokens=16)


def _of_ollama(body: object) -> bool | None:
    told = at(body, "capabilities")
    return "vision" in sequence(told) if isinstance(told, list) else None


def _of_llamacpp(body: object) -> bool | None:
    return _truth(at(body, "modalities.vision"))


def _of_lmstudio(body: object, model: str) -> bool | None:
    rows = [*mappings(at(body, "models")), *mappings(at(body, "data"))]
    named = (row for row in rows if model in (text(row.get("key")), text(row.get("id"))))
    return next((_truth(at(row, "capabilities.vision")) for row in named), None)


def _of_openrouter(body: object, model: str) -> bool | None:
    named = (row for row in mappings(at(body, "data")) if text(row.get("id")) == model)
    told = next((at(row, "architecture.input_modalities") for row in named), None)
    return "image" in sequence(told) if isinstance(told, list) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
