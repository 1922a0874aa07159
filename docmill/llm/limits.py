"""Requests and tokens a minute, as providers tell them in headers (docs/providers.md, section 6.1); pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Limits", "told_left", "told_limits"]

REQUESTS = (
    "x-ratelimit-limit-requests",
    "anthropic-ratelimit-requests-limit",
    "x-ratelimit-limit-req-minute",
)
TOKENS = (
    "x-ratelimit-limit-tokens",
    "anthropic-ratelimit-tokens-limit",
    "x-ratelimit-limit-tokens-minute",
)
REQUESTS_A_DAY = frozenset({"groq"})
"""Providers that count requests a day under the name of those a minute."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A minute's requests and tokens; None is unknown."""

    requests: float | None = None
    tokens: float | None = None
    open_calls: int | None = None
    """Calls that one tenant may have open at once; None is any number."""


def told_limits(provider: str, headers: Mapping[str, str]) -> Limits:
    """The limits that an answer's headers name."""
    found = {name.lower(): value for name, value in headers.items()}
    requests = None if provider.lower() in REQUESTS_A_DAY else _first(found, REQUESTS)
    return Limits(requests=requests, tokens=_first(found, TOKENS))


def told_left(provider: str, headers: Mapping[str, str]) -> Limits:
    """What an answer's headers say to be left of the limits."""
    found = {name.lower().replace("remaining", "limit"): value for name, value in headers.items() if _left(name)}
    requests = None if provider.lower() in REQUESTS_A_DAY else _first(found, REQUESTS, least=0)
    return Limits(requests=requests, tokens=_first(found, TOKENS, least=0))


def _left(name: str) -> bool:
    return "remaining" in name.lower()


def _first(headers: Mapping[str, str], names: tuple[str, ...], *, least: int = 1) -> float | None:
    for name in names:
        value = headers.get(name, "").strip()
        if value.isascii() and value.isdigit() and int(value) >= least:
            return float(value)
    return None
