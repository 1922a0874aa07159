"""Requests and replies as each provider writes them; pure: values in, values out.

One file a shape. A provider is a shape and a profile of what sets it apart. Replies are read by their shape alone,
because gateways answer in the shape of whatever stands behind them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Protocol

from docmill.errors import Misconfigured
from docmill.llm.types import Request
from docmill.llm.wire.anthropic import AnthropicWire
from docmill.llm.wire.azure import AzureWire
from docmill.llm.wire.chat import PROFILES, ChatWire
from docmill.llm.wire.gemini import GeminiWire
from docmill.llm.wire.mistral import MistralWire
from docmill.llm.wire.ollama import OllamaWire
from docmill.llm.wire.repairs import learn

__all__ = ["learn", "wire_for"]


class Wire(Protocol):
    """How to ask one provider. What any of them answers is read by :func:`docmill.llm.wire.replies.read_reply`."""

    @property
    def strict_schema(self) -> bool:
        """Whether the provider takes only schemas that close every object."""

    @property
    def path(self) -> str:
        """The path of the address, as it follows a base URL without one."""

    def url(self, base_url: str, model: str) -> str:
        """The whole address; the base may hold a part of the path already (``…/v1``)."""

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers that authenticate, and those that the provider demands; no content type."""

    def body(self, request: Request, learned: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON to send, with what was learned about the model applied."""

    def list_url(self, base_url: str) -> str:
        """Returns where the provider lists its models."""


WIRES: Mapping[str, Wire] = {
    **{name: ChatWire(profile=profile) for name, profile in PROFILES.items()},
    "anthropic": AnthropicWire(),
    "azure": AzureWire(),
    "gemini": GeminiWire(),
    "mistral": MistralWire(),
    "ollama": OllamaWire(),
}


def wire_for(provider: str) -> Wire:
    """The wire of a provider as docmill.toml names it.

    Raises Misconfigured for a name that it does not know.
    """
    wire = WIRES.get(provider.lower())
    if wire is None:
        near = difflib.get_close_matches(provider.lower(), WIRES, n=1)
        raise Misconfigured(
            f"docmill.toml names the provider {provider!r}, which docmill does not know: "
            f"{f'did you mean {near[0]}? ' if near else ''}use one of "
            f"{', '.join(sorted(WIRES))} ('openai-compatible' for any that speaks the OpenAI chat shape)"
        )
    return wire
