"""Which slots a tick runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.schedules import CatchUp, Schedule, next_due

EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def schedule(**changes: Any) -> Schedule:
    plain: dict[str, Any] = {
        "name": "n",
        "cron": "0 * * * *",
        "time_zone": "UTC",
        "submit": {},
        "paused": False,
        "catch_up": "all",
        "next_at": EIGHT,
    }
    return Schedule(**plain | changes)


def run(due: Schedule, now: datetime) -> tuple[list[datetime], Schedule]:
    """Every slot up to now, as ticks run them."""
    slots = []
    while due.next_at <= now:
        slot, following = next_due(due, now)
        slots += [slot] if slot else []
        due = replace(due, next_at=following)
    return slots, due


@pytest.mark.parametrize(("catch_up", "hours"), [("all", [8, 9, 10]), ("last", [10]), ("none", [])])
def test_what_a_late_beat_makes_up_for(catch_up: CatchUp, hours: list[int]) -> None:
    slots, after = run(schedule(catch_up=catch_up), datetime(2026, 3, 1, 10, 30, tzinfo=UTC))
    assert [slot.hour for slot in slots] == hours
    assert after.next_at == datetime(2026, 3, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(("catch_up", "number"), [("all", 3 * 1440 + 1), ("last", 1), ("none", 1)])
def test_an_absence_of_days_leaves_nothing_out_and_doubles_nothing(catch_up: CatchUp, number: int) -> None:
    now = EIGHT + timedelta(days=3)  # a slot of this very minute is not late
    slots, _ = run(schedule(cron="* * * * *", catch_up=catch_up), now)
    assert len(set(slots)) == len(slots) == number
    assert slots[-1] == now


def test_a_slot_on_time_runs_whatever_is_made_up_for() -> None:
    for catch_up in ("all", "last", "none"):
        slots, _ = run(schedule(catch_up=catch_up), EIGHT + timedelta(seconds=20))
        assert slots == [EIGHT]


@settings(deadline=None, max_examples=30)
@given(minutes=st.integers(0, 3_000))
def test_no_slot_is_lost_or_run_twice_however_ticks_fall(minutes: int) -> None:
    first = schedule(cron="*/7 * * * *")
    middle, end = EIGHT + timedelta(minutes=minutes), EIGHT + timedelta(minutes=3_000)
    whole, _ = run(first, end)
    before, rest = run(first, middle)
    after, _ = run(rest, end)
    assert before + after == whole
