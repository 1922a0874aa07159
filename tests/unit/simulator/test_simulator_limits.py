"""The simulator's limits, by a clock in the test's hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.simulator.limits import Limit


def test_a_second_bucket_refills_steadily() -> None:
    limit = Limit(per_minute=120)
    for _ in range(2):
        assert limit.wait_s(1, 100.0) == 0
        limit.take(1, 100.0)
    assert limit.wait_s(1, 100.0) == pytest.approx(0.5)
    assert limit.wait_s(1, 100.5) == pytest.approx(0)


def test_a_minute_window_starts_anew_as_a_whole() -> None:
    limit = Limit(per_minute=2, window="minute")
    limit.take(2, 100.0)
    assert limit.wait_s(1, 130.0) == pytest.approx(30)
    assert limit.wait_s(2, 160.0) == 0


def test_what_was_charged_too_much_is_given_back() -> None:
    limit = Limit(per_minute=6000, window="minute")
    limit.take(6000, 0.0)
    limit.take(-1000, 1.0)
    assert limit.wait_s(1000, 1.0) == 0
    assert limit.wait_s(1001, 1.0) > 0


@given(
    st.floats(1, 1e6),
    st.sampled_from(["second", "minute"]),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e4)), max_size=30),
)
def test_who_waits_as_told_is_admitted(per_minute: float, window: str, steps: list[tuple[float, float]]) -> None:
    limit = Limit(per_minute=per_minute, window=window)  # type: ignore[arg-type] # one of the two
    now = 0.0
    for pause, amount in steps:
        now += pause
        now += limit.wait_s(amount, now) + 1e-6
        assert limit.wait_s(amount, now) < 1e-3
        limit.take(min(amount, limit.capacity), now)
