"""Mistral: the OpenAI chat shape, strict about the keys it knows (docs/providers.md, section 3).

Its reasoning models answer in parts, and its reasons for an end are ``model_length`` and ``error`` too; both are
read in :mod:`docmill.llm.wire.chat`, because gateways pass them on.
"""

from __future__ import annotations

from dataclasses import dataclass

from docmill.llm.wire.chat import ChatWire, Profile

__all__ = ["MistralWire"]

PROFILE = Profile(strict_schema=True, cache_key=True, detail=True)


@dataclass(frozen=True, kw_only=True)
class MistralWire(ChatWire):
    """Requests and replies of ``/v1/chat/completions``."""

    profile: Profile = PROFILE
