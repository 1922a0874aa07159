"""The coming days, drawn from those seen."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.money.demand import coming_days

WEEK = (100, 110, 90, 105, 95, 20, 10)


def drawn(seen: Sequence[float], draws: int = 200) -> list[list[float]]:
    return coming_days(seen, days=30, draws=draws, chance=random.Random(3))


def middle(draws: Sequence[Sequence[float]]) -> float:
    return statistics.median(sum(days) for days in draws)


def test_the_coming_days_keep_to_their_weekdays() -> None:
    days = [statistics.median(day) for day in zip(*drawn(WEEK * 6), strict=True)]
    assert days[:7] == pytest.approx(WEEK, rel=0.1)
    assert days[7:14] == pytest.approx(WEEK, rel=0.1)


def test_a_history_that_ends_within_a_week_goes_on_within_it() -> None:
    days = [statistics.median(day) for day in zip(*drawn((WEEK * 6)[:-3]), strict=True)]
    assert days[:3] == pytest.approx(WEEK[-3:], rel=0.15)


def test_a_drift_goes_on() -> None:
    growing = [100 * 1.01**day for day in range(60)]
    assert middle(drawn(growing)) == pytest.approx(sum(100 * 1.01**day for day in range(60, 90)), rel=0.05)


def test_one_burst_is_no_drift() -> None:
    steady = [100.0] * 60
    burst = [*steady[:-2], 800.0, *steady[-1:]]
    assert middle(drawn(burst)) == pytest.approx(3000 * sum(burst) / 6000, rel=0.1)


def test_a_short_history_is_less_certain_than_a_long_one() -> None:
    chance = random.Random(5)
    days = [chance.gauss(100, 30) for _ in range(84)]
    spread = [statistics.stdev(sum(month) for month in drawn(days[-seen:])) for seen in (7, 84)]
    assert spread[0] > spread[1]


def test_where_nothing_was_asked_nothing_is_to_come() -> None:
    assert drawn([0] * 30, draws=2) == [[0.0] * 30] * 2


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_draws_are_finite_and_never_negative(seen: list[int]) -> None:
    for days in coming_days(seen, days=30, draws=3, chance=random.Random(1)):
        assert len(days) == 30
        assert all(0 <= day < float("inf") for day in days)


@pytest.mark.parametrize("busy", [1, 2, 3, 5])
def test_a_few_requests_in_months_are_a_demand_too(busy: int) -> None:
    seen = [0.0] * 60
    for number in range(busy):
        seen[(13 * number + 4) % 60] = 1.0
    drawn = coming_days(seen, days=28, draws=200, chance=random.Random(1))
    assert all(value >= 0 for days in drawn for value in days)
    assert any(value > 0 for days in drawn for value in days)
