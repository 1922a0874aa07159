"""The shared limits, on a real Valkey, whose script is given the time: nobody waits here, and no clock decides.

What always holds is in docs/limiter.md; here it is tried on made-up crowds of calls.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docmill.llm.limiter import RedisLimiter, Slot
from docmill.llm.limits import Limits
from workers.stack.servers import EmbeddedServers

UNKNOWN = Limits()
PACE = 0.99
EARLY_S = 1.2
"""Both of the script."""
tried = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Clock:
    """Seconds, which pass when somebody says so."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass(frozen=True)
class Asker:
    """A call that wants to be made."""

    tokens: int = 1
    tenant: str = "one"
    after_s: float = 0.0
    first: bool = False


@dataclass(frozen=True)
class Went:
    """A call that went, and when."""

    at: float
    asker: Asker


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def limiter(servers: EmbeddedServers, clock: Clock) -> Iterator[RedisLimiter]:
    made = RedisLimiter(servers.cache_url, clock=clock)
    yield made
    made.close()


@pytest.fixture
def model() -> str:
    return uuid4().hex


def play(limiter: RedisLimiter, clock: Clock, limits: Limits, askers: Sequence[Asker]) -> list[Went]:
    """All of them ask as they are told to, until each has gone; in order. Answers use what was reserved."""
    model, began, order = uuid4().hex, clock.at, count()
    waiting = [(began + asker.after_s, next(order), number) for number, asker in enumerate(askers)]
    heapq.heapify(waiting)
    went: list[Went] = []
    for _ in range(400 * len(askers)):
        if not waiting:
            break
        clock.at, _, number = heapq.heappop(waiting)
        asker = askers[number]
        slot = limiter.ask(model, str(number), asker.tokens, limits, tenant=asker.tenant, first=asker.first)
        assert slot.wait_s <= 60 or not slot.reserved
        if slot.wait_s > 0:
            heapq.heappush(waiting, (clock.at + slot.wait_s, next(order), number))
            continue
        went.append(Went(clock.at - began, asker))
        limiter.answered(model, asker.tokens, asker.tokens, limits, UNKNOWN, name=str(number), tenant=asker.tenant)
    assert not waiting, "they never went"
    return went


crowds = st.lists(
    st.builds(
        Asker,
        tokens=st.integers(1, 1000),
        tenant=st.sampled_from("abc"),
        after_s=st.floats(0, 20).map(lambda each: round(each, 3)),
        first=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=40,
)


@tried
@given(rpm=st.integers(60, 6000), tpm=st.integers(60_000, 1_000_000), askers=crowds)
def test_a_provider_with_a_seconds_bucket_refuses_nothing(
    limiter: RedisLimiter, clock: Clock, rpm: int, tpm: int, askers: list[Asker]
) -> None:
    went = play(limiter, clock, Limits(requests=rpm, tokens=tpm), askers)
    for limit, cost in ((rpm, lambda asker: 1), (tpm, lambda asker: asker.tokens)):
        level = full = max(1.0, limit / 60)
        before = 0.0
        for each in went:
            level = min(full, level + (each.at - before) * limit / 60)
            level, before = level - cost(each.asker), each.at
            assert level > -0.01 * full, (limit, each)


@tried
@given(rpm=st.integers(30, 3000), calls=st.integers(5, 60), tenants=st.integers(1, 3))
def test_the_limit_is_used(limiter: RedisLimiter, clock: Clock, rpm: int, calls: int, tenants: int) -> None:
    askers = [Asker(tenant=str(number % tenants)) for number in range(calls)]
    took_s = play(limiter, clock, Limits(requests=rpm), askers)[-1].at
    ideal_s = 60 * calls / rpm
    assert took_s <= 1.15 * ideal_s + 60 / rpm + 2, (took_s, ideal_s)


@tried
@given(rpm=st.integers(60, 240), calls=st.integers(4, 8))
def test_a_tenant_that_comes_late_does_not_wait_for_all_of_another(
    limiter: RedisLimiter, clock: Clock, rpm: int, calls: int
) -> None:
    model, known = uuid4().hex, Limits(requests=rpm)
    early = [limiter.ask(model, f"a{each}", 1, known, tenant="a").wait_s for each in range(4 * calls)]
    late = [limiter.ask(model, f"b{each}", 1, known, tenant="b").wait_s for each in range(calls)]
    assert late[0] <= EARLY_S + 60 / rpm
    assert late[-1] <= early[-1] / 1.5 + EARLY_S


@tried
@given(rpm=st.integers(30, 600), calls=st.integers(12, 40), at_s=st.floats(0.5, 5))
def test_who_is_waited_for_goes_before_those_who_stand_in_the_row(
    limiter: RedisLimiter, clock: Clock, rpm: int, calls: int, at_s: float
) -> None:
    person = Asker(tenant="person", after_s=at_s, first=True)
    went = play(limiter, clock, Limits(requests=rpm), [*[Asker() for _ in range(calls)], person])
    (mine,) = (each for each in went if each.asker is person)
    assert mine.at - at_s <= 5 * 60 / rpm + 2


@tried
@given(rpm=st.integers(30, 3000), wait_s=st.floats(0.1, 300), tokens=st.integers(1, 500))
def test_a_wait_that_one_is_told_all_keep(
    limiter: RedisLimiter, clock: Clock, rpm: int, wait_s: float, tokens: int
) -> None:
    model, known = uuid4().hex, Limits(requests=rpm, tokens=60_000)
    limiter.ask(model, "a", tokens, known)
    limiter.told(model, wait_s)
    over_at = clock.at + wait_s
    for number in range(5):
        slot = limiter.ask(model, str(number), tokens, known, first=number % 2 == 0)
        assert slot.wait_s > 0
        assert slot.reserved == (slot.wait_s <= 60)
        clock.at += min(slot.wait_s, max(0.0, over_at - clock.at) / 2)
    assert clock.at < over_at
    assert over_at - clock.at <= 30 or limiter.room(model) == 0


@tried
@given(most=st.integers(1, 5), asked=st.integers(1, 12))
def test_a_tenant_has_only_so_many_calls_open(limiter: RedisLimiter, clock: Clock, most: int, asked: int) -> None:
    model, known = uuid4().hex, Limits(requests=60_000, open_calls=most)
    opened = 0
    for number in range(asked):
        clock.at += 1
        slot = limiter.ask(model, str(number), 1, known, tenant="one")
        opened += slot.wait_s == 0
        assert slot.wait_s == 0 or not slot.reserved
    assert opened == min(most, asked)
    clock.at += 1
    assert limiter.ask(model, "other", 1, known, tenant="two").wait_s == 0
    limiter.answered(model, 1, 1, known, UNKNOWN, name="0", tenant="one")
    clock.at += 1
    assert limiter.ask(model, "after", 1, known, tenant="one").wait_s == 0


@tried
@given(reserved=st.integers(1000, 50_000), share=st.floats(0, 1))
def test_tokens_that_were_not_used_are_given_back(
    limiter: RedisLimiter, clock: Clock, reserved: int, share: float
) -> None:
    """A bucket that ran into debt is out of it as much earlier as was not used."""
    model, known, used = uuid4().hex, Limits(tokens=60_000), int(reserved * share)
    waited_s = go(limiter, clock, model, name="a", tokens=reserved, known=known)
    limiter.answered(model, reserved, used, known, UNKNOWN, name="a")
    assert waited_s <= 2
    assert go(limiter, clock, model, name="b", tokens=1, known=known) <= used / (PACE * 1000) + 0.5


def go(limiter: RedisLimiter, clock: Clock, model: str, *, name: str, tokens: int, known: Limits) -> float:
    """Asks again and again as told; the seconds until the call may go."""
    began = clock.at
    while (slot := limiter.ask(model, name, tokens, known)).wait_s > 0:
        clock.at += slot.wait_s
    return clock.at - began


@tried
@given(rpm=st.integers(10, 600), others=st.integers(0, 20))
def test_who_asks_again_finds_the_place_that_was_kept(
    limiter: RedisLimiter, clock: Clock, rpm: int, others: int
) -> None:
    model, known = uuid4().hex, Limits(requests=rpm)
    go(limiter, clock, model, name="a", tokens=1, known=known)
    mine = limiter.ask(model, "mine", 1, known)
    for number in range(others):
        limiter.ask(model, str(number), 1, known)
    assert limiter.ask(model, "mine", 1, known).wait_s <= mine.wait_s + 0.02


def test_no_place_is_kept_farther_ahead_than_a_minute(limiter: RedisLimiter, model: str) -> None:
    known = Limits(requests=2)
    slots = [limiter.ask(model, str(number), 1, known) for number in range(4)]
    assert [slot.reserved for slot in slots] == [True, True, False, False]
    assert all(slot.wait_s <= 60 for slot in slots if slot.reserved)


def test_one_call_goes_first_where_no_limit_is_known(limiter: RedisLimiter, model: str) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    others = limiter.ask(model, "b", 1, UNKNOWN)
    assert (others.wait_s > 0, others.reserved) == (True, False)
    limiter.answered(model, 1, 1, UNKNOWN, Limits(requests=60), name="-")
    waits = [limiter.ask(model, str(number), 1, UNKNOWN).wait_s for number in range(6)]
    assert waits[-1] > 2


def test_each_answer_opens_one_more_where_no_limit_is_told(limiter: RedisLimiter, model: str) -> None:
    for most in (1, 2, 3):
        went = [limiter.ask(model, f"{most}.{number}", 1, UNKNOWN).wait_s == 0 for number in range(5)]
        assert sum(went) == most
        limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"{most}.0", sent=False)
        limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"{most}.1")
        for number in range(2, 5):
            limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"{most}.{number}", sent=False)
    limiter.told(model, 0.0)
    went = [limiter.ask(model, f"after.{number}", 1, UNKNOWN).wait_s == 0 for number in range(5)]
    assert sum(went) == 1


def test_a_server_that_lost_its_state_floods_nobody(
    servers: EmbeddedServers, limiter: RedisLimiter, model: str
) -> None:
    limiter.answered(model, 1, 1, UNKNOWN, Limits(requests=60), name="-")
    client = redis.Redis.from_url(servers.cache_url)
    client.delete(f"docmill:limit:{{{model}}}")
    client.close()
    waits = [limiter.ask(model, str(number), 1, UNKNOWN).wait_s for number in range(5)]
    assert sum(wait == 0 for wait in waits) <= 1
    assert waits[-1] > 1


def test_without_a_clock_of_its_own_the_script_takes_the_servers(servers: EmbeddedServers, model: str) -> None:
    plain = RedisLimiter(servers.cache_url)
    plain.told(model, 1000)
    slot = plain.ask(model, "a", 1, Limits(requests=60))
    plain.close()
    assert (slot.reserved, 900 < slot.wait_s <= 1000) == (False, True)


def test_without_the_cache_server_each_process_keeps_to_its_share(clock: Clock) -> None:
    limiter = RedisLimiter("unix:///nowhere/cache", clock=clock)
    limiter.share_with(4)
    assert limiter.ask("m", "a", 1, Limits(requests=60)).wait_s == 0
    assert limiter.ask("m", "b", 1, Limits(requests=60)).wait_s == pytest.approx(4.0)
    limiter.told("m", 5)
    assert limiter.ask("m", "b", 1, Limits(requests=60)).wait_s == pytest.approx(5.0)
    assert limiter.room("m") == 0
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
    limiter: RedisLimiter, clock: Clock, model: str, sent: bool, at_once: bool
) -> None:
    known = Limits(requests=20)
    go(limiter, clock, model, name="a", tokens=1, known=known)
    limiter.answered(model, 1, 0, known, UNKNOWN, name="a", sent=sent)
    assert (limiter.ask(model, "b", 1, known).wait_s == 0) is at_once


@pytest.fixture
def theirs(servers: EmbeddedServers, clock: Clock) -> Iterator[RedisLimiter]:
    """As another process asks."""
    made = RedisLimiter(servers.cache_url, owner="theirs", clock=clock)
    yield made
    made.close()


@pytest.fixture
def processes(limiter: RedisLimiter, theirs: RedisLimiter) -> dict[str, RedisLimiter]:
    return {"": limiter, "theirs": theirs}


happenings = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "answer", "lost"]),
    st.sampled_from(["theirs", ""]),
    st.sampled_from(["a", "a\nb", "\n"]),
)


@tried
@given(most=st.integers(1, 3), happens=st.lists(happenings, min_size=15, max_size=40))
def test_what_a_lost_process_had_open_is_given_back_and_nothing_else(
    processes: dict[str, RedisLimiter], clock: Clock, most: int, happens: list[tuple[str, str, str]]
) -> None:
    model, known = uuid4().hex, Limits(requests=60_000, open_calls=most)
    opened: list[tuple[str, str, str]] = []
    went: list[tuple[str, str, str]] = []
    """All of them: whose process was taken for lost may be answered all the same."""
    for number, (what, owner, tenant) in enumerate(happens):
        clock.at += 1
        call = (owner, str(number), tenant)
        if what == "ask":
            goes = processes[owner].ask(model, str(number), 1, known, tenant=tenant).wait_s == 0
            assert goes == (sum(each[2] == tenant for each in opened) < most)
            opened += [call] * goes
            went += [call] * goes
        elif what == "answer" and went:
            answered = went.pop(0)
            whose, name, of = answered
            processes[whose].answered(model, 1, 1, known, UNKNOWN, name=name, tenant=of)
            processes[whose].held_s(model)  # with which the answer is told
            opened = [each for each in opened if each != answered]
        elif what == "lost" and owner:
            processes[""].lost(["another", model], [owner, "nobody"])
            opened = [each for each in opened if each[0] != owner]


def test_a_call_has_one_slot_whichever_process_asks_for_it(
    servers: EmbeddedServers, clock: Clock, limiter: RedisLimiter, theirs: RedisLimiter, model: str
) -> None:
    """A worker that lost the database at its opening may hold one, and the call is made by another."""
    known = Limits(requests=6000, open_calls=2)
    limiter.ask(model, "a", 1, known, tenant="t")
    clock.at += 5
    for each in (limiter, theirs):
        assert each.ask(model, "a", 1, known, tenant="t").wait_s == 0
    assert theirs.ask(model, "b", 1, known, tenant="t").wait_s == 0
    assert theirs.ask(model, "c", 1, known, tenant="t") == Slot(wait_s=1.0, reserved=False)
    theirs.answered(model, 1, 1, known, UNKNOWN, name="a", tenant="t")
    assert theirs.ask(model, "c", 1, known, tenant="t").wait_s == 0
    with redis.Redis.from_url(servers.cache_url) as client:
        (owners,) = client.keys(f"*{model}*owners")
        assert set(client.hgetall(owners)) == {b"b", b"c"}


def test_a_window_and_a_probe_of_the_lost_are_anothers(
    limiter: RedisLimiter, theirs: RedisLimiter, clock: Clock
) -> None:
    window, probed = uuid4().hex, uuid4().hex
    limiter.told(probed, 100.0)
    clock.at += 101
    go(theirs, clock, window, name="a", tokens=1, known=UNKNOWN)
    go(theirs, clock, probed, name="a", tokens=1, known=Limits(requests=6000))
    clock.at += 1
    assert limiter.ask(window, "b", 1, UNKNOWN).wait_s > 0
    assert limiter.ask(probed, "b", 1, Limits(requests=6000)).wait_s > 0
    for _ in range(2):
        limiter.lost([window, probed], ["theirs"])
    for model, known in ((window, UNKNOWN), (probed, Limits(requests=6000))):
        assert limiter.ask(model, "b", 1, known).wait_s == 0
        assert limiter.ask(model, "c", 1, known).wait_s > 0, "no answer was heard that opens one more"


def test_what_the_lost_took_of_a_minute_stays_taken(
    limiter: RedisLimiter, theirs: RedisLimiter, clock: Clock, model: str
) -> None:
    """The provider may have counted it."""
    known = Limits(requests=20, tokens=60_000)
    go(theirs, clock, model, name="a", tokens=900, known=known)
    limiter.lost([model], ["theirs"])
    assert go(limiter, clock, model, name="b", tokens=1, known=known) == pytest.approx(3 / PACE, abs=0.1)


def test_a_no_halves_what_may_be_open(limiter: RedisLimiter, model: str) -> None:
    for number in range(3):
        assert limiter.ask(model, f"first{number}", 1, UNKNOWN).wait_s == 0
        limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"first{number}")
    assert [limiter.ask(model, f"open{number}", 1, UNKNOWN).wait_s == 0 for number in range(5)] == [True] * 4 + [
        False
    ]
    limiter.told(model, 0.0)
    limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="open0", sent=False)
    limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="open1", sent=False)
    assert limiter.ask(model, "next", 1, UNKNOWN).wait_s > 0  # two are open
    limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="open2", sent=False)
    assert limiter.ask(model, "next", 1, UNKNOWN).wait_s == 0


def test_in_the_long_run_no_more_go_than_the_limit_allows(limiter: RedisLimiter, clock: Clock) -> None:
    """A pace above the limit would be met by a provider's refusals after minutes, and by no burst before."""
    went = play(limiter, clock, Limits(requests=600), [Asker(tenant=str(n % 3)) for n in range(400)])
    assert went[-1].at >= 60 * (len(went) - 10) / 600


def test_what_is_given_back_fills_the_bucket_and_no_more(limiter: RedisLimiter, clock: Clock, model: str) -> None:
    known = Limits(tokens=60_000)
    for number in range(5):
        go(limiter, clock, model, name=f"unused{number}", tokens=900, known=known)
        clock.at += 5  # the bucket is full again before the answer comes
        limiter.answered(model, 900, 0, known, UNKNOWN, name=f"unused{number}")
    at_once = 0
    while limiter.ask(model, f"now{at_once}", 100, known).wait_s <= 0:
        at_once += 1
        assert at_once <= 10, "more than a second's tokens went at once"


def test_after_a_long_wait_one_call_tries_whether_it_is_over(
    limiter: RedisLimiter, clock: Clock, model: str
) -> None:
    known = Limits(requests=6000)
    limiter.told(model, 100.0)
    clock.at += 101
    assert limiter.room(model) == 1
    go(limiter, clock, model, name="probe", tokens=1, known=known)
    clock.at += 1
    slot = limiter.ask(model, "other", 1, known)
    assert (slot.wait_s, slot.reserved, limiter.room(model)) == (1.0, False, 0)
    limiter.answered(model, 1, 1, known, UNKNOWN, name="probe")
    clock.at += 1
    assert limiter.ask(model, "other", 1, known).wait_s == 0


def await_room(limiter: RedisLimiter, model: str, room: int) -> None:
    """What an answer gives back may be told a moment later."""
    give_up_at = time.monotonic() + 30
    while limiter.room(model) != room:
        assert time.monotonic() < give_up_at, limiter.room(model)
        time.sleep(0.01)


def test_an_answer_gives_others_its_room_though_nobody_here_asks_again(
    limiter: RedisLimiter, theirs: RedisLimiter, model: str
) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    assert theirs.room(model) == 0
    limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="a")
    await_room(theirs, model, 2)


def test_room_that_somebody_here_waits_for_is_others_at_once(
    limiter: RedisLimiter, theirs: RedisLimiter, model: str
) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    assert limiter.ask(model, "b", 1, UNKNOWN).wait_s > 0
    limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="a")
    assert theirs.room(model) == 2


def test_an_answer_that_comes_while_the_server_is_away_is_told_once_it_is_back(
    servers: EmbeddedServers, limiter: RedisLimiter, theirs: RedisLimiter, model: str
) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    with redis.Redis.from_url(servers.cache_url) as client:
        client.client_pause(60_000, all=False)
        assert limiter.ask(model, "b", 1, UNKNOWN).alone
        limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="a")
        client.client_unpause()
    await_room(theirs, model, 2)


def test_the_room_of_a_call_that_was_not_made_is_others_at_once(
    limiter: RedisLimiter, theirs: RedisLimiter, model: str
) -> None:
    assert limiter.ask(model, "a", 1, UNKNOWN).wait_s == 0
    limiter.answered(model, 1, 0, UNKNOWN, UNKNOWN, name="a", sent=False)
    assert theirs.ask(model, "b", 1, UNKNOWN).wait_s == 0


def test_an_answer_is_told_before_its_process_ends(
    servers: EmbeddedServers, clock: Clock, theirs: RedisLimiter, model: str
) -> None:
    ending = RedisLimiter(servers.cache_url, clock=clock)
    assert ending.ask(model, "a", 1, UNKNOWN).wait_s == 0
    ending.answered(model, 1, 1, UNKNOWN, UNKNOWN, name="a")
    ending.close()
    assert theirs.room(model) == 2


def test_a_limit_that_an_answer_tells_is_known_to_others_at_once(
    limiter: RedisLimiter, theirs: RedisLimiter, model: str
) -> None:
    for name in ("a", "b"):
        limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=name)
    limiter.answered(model, 1, 1, UNKNOWN, Limits(requests=1), name="c")
    waits = [theirs.ask(model, str(number), 1, UNKNOWN).wait_s for number in range(2)]
    assert waits[-1] > 30  # of a minute that has one request


def test_answers_reach_a_server_that_lost_the_script(
    servers: EmbeddedServers, limiter: RedisLimiter, model: str
) -> None:
    with redis.Redis.from_url(servers.cache_url) as client:
        for most in (1, 2, 3):
            went = [limiter.ask(model, f"{most}.{number}", 1, UNKNOWN).wait_s == 0 for number in range(most + 1)]
            assert went == [*[True] * most, False]
            client.script_flush()
            for number in range(most):
                limiter.answered(model, 1, 1, UNKNOWN, UNKNOWN, name=f"{most}.{number}", sent=number == 0)
