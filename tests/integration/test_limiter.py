"""The shared limits, on a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from uuid import uuid4

import pytest
import redis

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


def go(limiter: RedisLimiter, model: str, name: str, tokens: int, known: Limits, **asker: object) -> float:
    """Asks again and again as told; the seconds until the call may go."""
    started = time.monotonic()
    while (slot := limiter.ask(model, name, tokens, known, **asker)).wait_s > 0:  # type: ignore[arg-type]
        assert slot.wait_s < 20
        time.sleep(slot.wait_s)
    return time.monotonic() - started


def answered(limiter: RedisLimiter, model: str, known: Limits = UNKNOWN, learned: Limits = UNKNOWN) -> None:
    limiter.answered(model, 1, 1, known, learned, name="-")


def test_requests_are_spread_over_the_minute(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=1200)
    started = time.monotonic()
    for number in range(41):
        go(limiter, model, str(number), 1, known)
    assert time.monotonic() - started == pytest.approx(2.0, abs=0.5)


def test_tokens_bind_where_they_are_scarcer(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=6000, tokens=60_000)
    go(limiter, model, "first", 500, known)
    assert go(limiter, model, "second", 1, known) == pytest.approx(0.5, abs=0.2)


def test_tokens_that_were_not_used_are_given_back(limiter: RedisLimiter, model: str) -> None:
    known = Limits(tokens=60_000)
    go(limiter, model, "a", 10_000, known)
    limiter.answered(model, 10_000, 1_000, known, UNKNOWN, name="a")
    assert go(limiter, model, "b", 1, known) == pytest.approx(1.0, abs=0.5)


def test_who_asks_again_finds_the_place_that_was_kept(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=60)
    go(limiter, model, "a", 1, known)
    waits = [limiter.ask(model, name, 1, known).wait_s for name in ("b", "c", "d", "e", "f")]
    assert waits == pytest.approx(sorted(waits), abs=0.05)
    assert limiter.ask(model, "f", 1, known).wait_s == pytest.approx(waits[-1], abs=0.2)


def test_no_place_is_kept_farther_ahead_than_a_minute(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=2)
    slots = [limiter.ask(model, str(number), 1, known) for number in range(4)]
    assert [slot.reserved for slot in slots] == [True, True, False, False]
    assert all(slot.wait_s <= 60 for slot in slots if slot.reserved)


def test_a_wait_that_one_is_told_all_keep(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=6000)
    go(limiter, model, "a", 1, known)
    limiter.told(model, 3.0)
    assert limiter.ask(model, "b", 1, known).wait_s == pytest.approx(3.0, abs=0.2)
    limiter.told(model, 300)
    held = limiter.ask(model, "c", 1, known)
    assert (held.reserved, held.wait_s > 60) == (False, True)
    assert limiter.room(model) == 0


def test_who_is_waited_for_goes_before_those_who_stand_in_the_row(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=60)
    waits = [limiter.ask(model, str(number), 1, known).wait_s for number in range(10)]
    assert limiter.ask(model, "person", 1, known, first=True).wait_s < 2.5 < waits[-1]


def test_a_tenant_that_comes_late_does_not_wait_for_all_of_another(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=60)
    waits = [limiter.ask(model, f"a{number}", 1, known, tenant="a").wait_s for number in range(20)]
    other = [limiter.ask(model, f"b{number}", 1, known, tenant="b").wait_s for number in range(5)]
    assert other[0] < 2.5
    assert other[-1] < waits[-1] / 1.5


def test_one_call_goes_first_where_no_limit_is_known(limiter: RedisLimiter, model: str) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    others = limiter.ask(model, "b", 1, UNKNOWN)
    assert (others.wait_s > 0, others.reserved) == (True, False)
    answered(limiter, model, learned=Limits(requests=60))
    waits = [limiter.ask(model, str(number), 1, UNKNOWN).wait_s for number in range(6)]
    assert waits[-1] > 2


def test_each_answer_opens_one_more_where_no_limit_is_told(limiter: RedisLimiter, model: str) -> None:
    for most in (1, 2, 3):
        went = [limiter.ask(model, f"{most}.{number}", 1, UNKNOWN).wait_s == 0 for number in range(5)]
        assert sum(went) == most
        for number in range(5):
            limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"{most}.{number}", sent=number > 0)
            if number == 1:
                break
        for number in range(2, 5):
            limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"{most}.{number}", sent=False)
    limiter.told(model, 0.0)
    went = [limiter.ask(model, f"after.{number}", 1, UNKNOWN).wait_s == 0 for number in range(5)]
    assert sum(went) == 1


def test_a_tenant_has_only_so_many_calls_open(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=60_000, open_calls=2)
    for name in ("a", "b"):
        go(limiter, model, name, 1, known, tenant="one")
    assert not limiter.ask(model, "c", 1, known, tenant="one").reserved
    assert go(limiter, model, "d", 1, known, tenant="two") < 1
    limiter.answered(model, 1, 1, known, UNKNOWN, name="a", tenant="one")
    assert go(limiter, model, "c", 1, known, tenant="one") < 1


def test_a_server_that_lost_its_state_floods_nobody(
    servers: EmbeddedServers, limiter: RedisLimiter, model: str
) -> None:
    known = Limits(requests=60)
    answered(limiter, model, learned=known)
    client = redis.Redis.from_url(servers.cache_url)
    client.delete(f"docmill:limit:{{{model}}}")
    client.close()
    waits = [limiter.ask(model, str(number), 1, UNKNOWN).wait_s for number in range(5)]
    assert sum(wait == 0 for wait in waits) <= 1
    assert waits[-1] > 1


def test_without_the_cache_server_each_process_keeps_to_its_share() -> None:
    limiter = RedisLimiter("unix:///nowhere/cache")
    limiter.share_with(4)
    started = time.monotonic()
    assert limiter.ask("m", "a", 1, Limits(requests=60)).wait_s == 0
    assert limiter.ask("m", "b", 1, Limits(requests=60)).wait_s == pytest.approx(4.0, abs=0.2)
    limiter.told("m", 5)
    assert limiter.ask("m", "b", 1, Limits(requests=60)).wait_s == pytest.approx(5.0, abs=0.2)
    answered(limiter, "m")
    assert limiter.room("m") == 0
    assert time.monotonic() - started < 1
    limiter.close()


def test_a_tenants_places_lie_as_far_apart_as_there_are_tenants_in_the_row(
    limiter: RedisLimiter, model: str
) -> None:
    known = Limits(requests=60)

    def steps(tenant: str, first: int) -> list[float]:
        waits = [
            limiter.ask(model, f"{tenant}{n}", 1, known, tenant=tenant).wait_s for n in range(first, first + 6)
        ]
        return [later - earlier for earlier, later in pairwise(waits[2:])]

    assert steps("a", 0) == pytest.approx([0.95] * 3, abs=0.2)
    assert steps("b", 0) == pytest.approx([1.9] * 3, abs=0.3)
    assert steps("c", 0) == pytest.approx([2.85] * 3, abs=0.4)


@pytest.mark.parametrize(("sent", "at_once"), [(False, True), (True, False)])
def test_a_call_that_was_not_sent_gives_its_request_back(
    limiter: RedisLimiter, model: str, sent: bool, at_once: bool
) -> None:
    known = Limits(requests=20)
    go(limiter, model, "a", 1, known)
    limiter.answered(model, 1, 0, known, UNKNOWN, name="a", sent=sent)
    assert (limiter.ask(model, "b", 1, known).wait_s == 0) is at_once
