"""Requests and tokens a minute, as providers tell them in headers (docs/providers.md, section 6.1); pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from docmill.llm.wire.shapes import text, whole

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
MOST_A_MINUTE = 10**11
"""No provider gives so much to anybody."""
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
    """Reads the limits that an answer's headers name. One of zero, or no number, is unknown. Never raises."""
    found = {name.lower(): value for name, value in headers.items()}
    requests = None if provider.lower() in REQUESTS_A_DAY else _first(found, REQUESTS)
    return Limits(requests=requests, tokens=_first(found, TOKENS))


def told_left(provider: str, headers: Mapping[str, str]) -> Limits:
    """Reads what an answer's headers say to be left of the limits: no more than these are. Never raises."""
    found = {name.lower().replace("remaining", "limit"): value for name, value in headers.items() if _left(name)}
    told = told_limits(provider, headers)
    requests = None if provider.lower() in REQUESTS_A_DAY else _first(found, REQUESTS, least=0)
    return Limits(
        requests=_within(requests, told.requests), tokens=_within(_first(found, TOKENS, least=0), told.tokens)
    )


def _left(name: str) -> bool:
    return "remaining" in name.lower()


def _within(left: float | None, limit: float | None) -> float | None:
    return None if left is not None and limit is not None and left > limit else left


def _first(headers: Mapping[str, str], names: tuple[str, ...], *, least: int = 1) -> float | None:
    counts = (whole(text(headers.get(name)).strip(), MOST_A_MINUTE) for name in names)
    return next((float(count) for count in counts if count is not None and count >= least), None)
