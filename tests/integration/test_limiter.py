"""The shared limits, on a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from docmill.llm.limiter import RedisLimiter
from docmill.llm.limits import Limits
from workers.stack.servers import EmbeddedServers

UNKNOWN = Limits()


@pytest.fixture
def limiter(servers: EmbeddedServers) -> Iterator[RedisLimiter]:
    made = RedisLimiter(servers.cache_url)
    yield made
    made.close()


@pytest.fixture
def model() -> str:
    return uuid4().hex


def test_requests_are_spread_over_the_minute(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=120)
    waits = [limiter.ask(model, str(number), 1, known).wait_s for number in range(5)]
    assert waits == pytest.approx([0, 0.5, 1.0, 1.5, 2.0], abs=0.1)


def test_tokens_bind_where_they_are_scarcer(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=6000, tokens=60_000)
    waits = [limiter.ask(model, str(number), 2000, known).wait_s for number in range(3)]
    assert waits == pytest.approx([0, 2.0, 4.0], abs=0.1)


def test_who_asks_again_finds_the_slot_that_was_kept(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=60)
    limiter.ask(model, "a", 1, known)
    first = limiter.ask(model, "b", 1, known)
    again = limiter.ask(model, "b", 1, known)
    assert first.reserved
    assert again.wait_s == pytest.approx(first.wait_s, abs=0.1)
    assert limiter.ask(model, "c", 1, known).wait_s == pytest.approx(2.0, abs=0.2)


def test_no_slot_is_kept_farther_ahead_than_a_minute(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=2)
    slots = [limiter.ask(model, str(number), 1, known) for number in range(4)]
    assert [slot.reserved for slot in slots] == [True, True, False, False]


def test_a_wait_that_one_is_told_all_keep(limiter: RedisLimiter, model: str) -> None:
    limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN)
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    limiter.told(model, 3.0)
    assert limiter.ask(model, "b", 1, UNKNOWN).wait_s == pytest.approx(3.0, abs=0.2)


def test_tokens_that_were_not_used_are_given_back(limiter: RedisLimiter, model: str) -> None:
    known = Limits(tokens=60_000)
    limiter.ask(model, "a", 10_000, known)
    limiter.answered(model, 10_000, 1_000, known, UNKNOWN)
    assert limiter.ask(model, "b", 1, known).wait_s == pytest.approx(1.2, abs=0.2)


def test_unknown_limits_are_learned_from_the_first_answer(limiter: RedisLimiter, model: str) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    others = limiter.ask(model, "b", 1, UNKNOWN)
    assert (others.wait_s > 0, others.reserved) == (True, False)
    limiter.answered(model, 1, 1, UNKNOWN, Limits(requests=60))
    waits = [limiter.ask(model, str(number), 1, UNKNOWN).wait_s for number in range(3)]
    assert waits == pytest.approx([0, 1.0, 2.0], abs=0.2)


def test_without_the_cache_server_every_call_may_go() -> None:
    limiter = RedisLimiter("unix:///nowhere/cache")
    started = time.monotonic()
    assert limiter.ask("m", "a", 1, Limits(requests=1)).wait_s == 0
    limiter.told("m", 5)
    limiter.answered("m", 1, 1, UNKNOWN, UNKNOWN)
    assert time.monotonic() - started < 1
    limiter.close()
