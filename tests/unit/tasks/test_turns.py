"""Tenants take turns at a process where documents take long."""

from __future__ import annotations

from collections.abc import Mapping

from db.turns import Waiting
from tasks.turns import ALONE_FOR_S, MOST_TENANTS, QUICK_S, SLOW_FOR_S, Turns


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def turn(turns: Turns, clock: Clock, tenant: str, seconds: float = 2.0) -> None:
    began = clock.now
    clock.now += seconds
    turns.note(tenant, began)


def is_due(turns: Turns, tenant: str, others: Mapping[str, float], *, of_all: bool = True) -> bool:
    return turns.is_due(Waiting(tenant=tenant, others=others, of_all=of_all))


def test_who_had_its_turn_while_another_waited_lets_that_one_pass() -> None:
    turns = Turns(clock=(clock := Clock()))
    turn(turns, clock, "greedy")
    assert not is_due(turns, "greedy", {"other": 3.0})
    assert is_due(turns, "other", {"greedy": 60.0})


def test_who_came_after_the_last_turn_began_waits_for_one_more() -> None:
    turns = Turns(clock=(clock := Clock()))
    turn(turns, clock, "greedy")
    assert is_due(turns, "greedy", {"other": 1.0})


def test_two_greedy_ones_take_one_turn_each_before_a_third() -> None:
    turns = Turns(clock=(clock := Clock()))
    turn(turns, clock, "greedy")
    turn(turns, clock, "eager")
    assert is_due(turns, "greedy", {"eager": 4.5, "other": 0.5})
    turn(turns, clock, "greedy")
    assert is_due(turns, "eager", {"greedy": 6.5, "other": 2.5})
    turn(turns, clock, "eager")
    assert not is_due(turns, "greedy", {"eager": 8.5, "other": 4.5})
    assert not is_due(turns, "eager", {"greedy": 8.5, "other": 4.5})
    assert is_due(turns, "other", {"greedy": 8.5, "eager": 8.5})


def test_where_nobody_else_waits_it_is_not_asked_again_for_a_moment() -> None:
    turns = Turns(clock=(clock := Clock()))
    turn(turns, clock, "tenant")
    assert is_due(turns, "tenant", {})
    seen = [turns.matter]
    clock.now += ALONE_FOR_S
    seen.append(turns.matter)
    assert is_due(turns, "tenant", {"other": 1.0})
    assert [*seen, turns.matter] == [False, True, True]


def test_who_looks_for_the_urgent_alone_says_nothing_of_the_others() -> None:
    """Else one quick interactive document before each slow bulk one would keep all other tenants' from their turn."""
    turns = Turns(clock=(clock := Clock()))
    turn(turns, clock, "greedy")
    for waited_s in (2.1, 4.2):
        assert turns.matter
        assert is_due(turns, "greedy", {}, of_all=False)
        turn(turns, clock, "greedy", 0.1)
        assert turns.matter
        assert not is_due(turns, "greedy", {"other": waited_s})


def test_a_tenant_that_is_alone_never_waits() -> None:
    turns = Turns(clock=(clock := Clock()))
    for _ in range(3):
        turn(turns, clock, "alone")
        assert is_due(turns, "alone", {})


def test_nobody_asks_while_all_are_quick() -> None:
    turns = Turns(clock=(clock := Clock()))
    mattered = []
    for seconds in (QUICK_S / 2, QUICK_S * 2, SLOW_FOR_S):
        clock.now += seconds
        turns.note("tenant", clock.now - min(seconds, 1))
        mattered.append(turns.matter)
    clock.now += SLOW_FOR_S
    assert [*mattered, turns.matter] == [False, True, True, False]


def test_memory_is_bounded() -> None:
    turns = Turns(clock=(clock := Clock()))
    for number in range(MOST_TENANTS + 5):
        turn(turns, clock, f"tenant {number}")
    assert is_due(turns, "tenant 0", {"other": 9e9})
    assert not is_due(turns, f"tenant {MOST_TENANTS}", {"other": 9e9})


def test_who_holds_its_share_has_no_turn() -> None:
    turns = Turns()
    assert turns.is_due(Waiting(tenant="greedy", others={}, of_all=True))
    assert not turns.is_due(Waiting(tenant="greedy", others={}, of_all=True, beyond_share=True))
