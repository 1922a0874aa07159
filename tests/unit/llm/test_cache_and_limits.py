"""The first cache layer, and the limits that headers tell."""

from __future__ import annotations

import pytest

from docmill.llm.cache import Recent
from docmill.llm.limits import Limits, told_limits


def test_the_least_used_answers_make_room() -> None:
    recent = Recent(max_bytes=30)
    for name in (b"a", b"b", b"c"):
        recent.put(name, name * 10)
    assert recent.get(b"a") == b"a" * 10
    recent.put(b"d", b"d" * 10)
    assert [recent.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    recent.put(b"e", b"e" * 31)
    assert recent.get(b"e") is None


def test_an_old_answer_is_asked_for_anew() -> None:
    now = [0.0]
    recent = Recent(max_age_s=60, clock=lambda: now[0])
    recent.put(b"a", b"x")
    now[0] = 59.0
    assert recent.get(b"a") == b"x"
    now[0] = 61
    assert recent.get(b"a") is None


@pytest.mark.parametrize(
    ("provider", "headers", "limits"),
    [
        (
            "openai",
            {"X-RateLimit-Limit-Requests": "600", "x-ratelimit-limit-tokens": "200000"},
            Limits(requests=600, tokens=200_000),
        ),
        ("groq", {"x-ratelimit-limit-requests": "14400"}, Limits()),
        ("anthropic", {"anthropic-ratelimit-requests-limit": "50"}, Limits(requests=50)),
        ("openai", {"x-ratelimit-limit-requests": "-1"}, Limits()),
        ("openai", {}, Limits()),
    ],
)
def test_limits_are_read_from_headers(provider: str, headers: dict[str, str], limits: Limits) -> None:
    assert told_limits(provider, headers) == limits
