"""Azure OpenAI: the OpenAI chat shape at an address of one's own (docs/providers.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from docmill.llm.wire.addresses import joined
from docmill.llm.wire.chat import ChatWire, Profile

__all__ = ["AzureWire"]

PROFILE = Profile(
    max_tokens_key="max_completion_tokens",
    strict_schema=True,
    key_header="api-key",
    path="/openai/v1/chat/completions",
    detail=True,
)


@dataclass(frozen=True, kw_only=True)
class AzureWire(ChatWire):
    """The model is the deployment's name. A base URL with ``?api-version=`` gives the addresses of old, which hold
    that name."""

    profile: Profile = PROFILE

    def url(self, base_url: str, model: str) -> str:
        parts = urlsplit(base_url)
        if "api-version=" not in parts.query:
            return joined(base_url, self.path)
        path = joined(parts.path, f"/openai/deployments/{model}/chat/completions")
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def headers(self, key: str | None) -> dict[str, str]:
        # A token of Entra ID (a JWT, which begins so) goes where other providers have the key.
        if key is not None and key.startswith("eyJ"):
            return {"authorization": f"Bearer {key}"}
        return super().headers(key)
