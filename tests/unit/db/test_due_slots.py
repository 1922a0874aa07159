"""Which slots a tick runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.schedules import CatchUp, Schedule, due_slots


def schedule(**changes: Any) -> Schedule:
    plain: dict[str, Any] = {
        "name": "n",
        "cron": "0 * * * *",
        "time_zone": "UTC",
        "submit": {},
        "paused": False,
        "catch_up": "all",
        "next_at": datetime(2026, 3, 1, 8, tzinfo=UTC),
    }
    return Schedule(**plain | changes)


@pytest.mark.parametrize(("catch_up", "hours"), [("all", [8, 9, 10]), ("last", [10]), ("none", [])])
def test_what_a_late_beat_makes_up_for(catch_up: CatchUp, hours: list[int]) -> None:
    slots, following = due_slots(schedule(catch_up=catch_up), datetime(2026, 3, 1, 10, 30, tzinfo=UTC))
    assert [slot.hour for slot in slots] == hours
    assert following == datetime(2026, 3, 1, 11, tzinfo=UTC)


def test_a_slot_on_time_runs_whatever_is_made_up_for() -> None:
    for catch_up in ("all", "last", "none"):
        slots, _ = due_slots(schedule(catch_up=catch_up), datetime(2026, 3, 1, 8, 0, 20, tzinfo=UTC))
        assert [slot.hour for slot in slots] == [8]


def test_half_past_two_comes_once_a_day_when_the_clocks_change() -> None:
    nightly = schedule(
        cron="30 2 * * *", time_zone="Europe/Berlin", next_at=datetime(2026, 10, 24, 0, 30, tzinfo=UTC)
    )
    slots, _ = due_slots(nightly, datetime(2026, 10, 27, 12, tzinfo=UTC))
    assert len({slot.date() for slot in slots}) == len(slots) == 4


@settings(deadline=None, max_examples=30)
@given(minutes=st.integers(0, 3_000))
def test_no_slot_is_lost_or_run_twice_however_ticks_fall(minutes: int) -> None:
    first = schedule(cron="*/7 * * * *", next_at=datetime(2026, 3, 1, tzinfo=UTC))
    middle = datetime.fromtimestamp(first.next_at.timestamp() + 60 * minutes, UTC)
    end = datetime.fromtimestamp(first.next_at.timestamp() + 60 * 2_000, UTC)
    whole, _ = due_slots(first, max(middle, end))
    before, following = due_slots(first, middle)
    after, _ = due_slots(schedule(cron=first.cron, next_at=following), max(middle, end))
    assert (before + after)[:900] == whole[:900]
