"""Which times a cron expression means, also in the nights when the clocks change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.cron import Cron
from docmill.errors import Misconfigured

SPRING = datetime(2026, 3, 28, 23, tzinfo=UTC)
"""The midnight before the clocks in Berlin go from two to three."""
AUTUMN = datetime(2026, 10, 24, 22, tzinfo=UTC)
"""The midnight before they go from three to two."""


def slots(expression: str, since: datetime, *, hours: float, zone: str = "Europe/Berlin") -> list[str]:
    """As the clock on the wall shows them."""
    end = since + timedelta(hours=hours)
    found = takewhile(lambda slot: slot < end, Cron(expression, zone).after(since - timedelta(minutes=1)))
    return [f"{slot.astimezone(ZoneInfo(zone)):%H:%M%z}" for slot in found]


@pytest.mark.parametrize(
    ("expression", "night", "expected"),
    [
        ("30 2 * * *", SPRING, ["03:30+0200"]),
        ("0 2 * * *", SPRING, ["03:00+0200"]),
        ("0,30 2,3 * * *", SPRING, ["03:00+0200", "03:30+0200"]),
        ("*/20 2 * * *", SPRING, ["03:00+0200", "03:20+0200", "03:40+0200"]),
        ("0 0-4 * * *", SPRING, ["00:00+0100", "01:00+0100", "03:00+0200", "04:00+0200"]),
        ("30 2 * * *", AUTUMN, ["02:30+0200"]),
        ("0 1-3 * * *", AUTUMN, ["01:00+0200", "02:00+0200", "03:00+0100"]),
    ],
)
def test_a_time_of_day_comes_once_in_the_nights_when_the_clocks_change(
    expression: str, night: datetime, expected: list[str]
) -> None:
    assert slots(expression, night, hours=5) == expected


@pytest.mark.parametrize("expression", ["0 * * * *", "0 */1 * * *", "0 0-23 * * *"])
def test_every_hour_is_every_hour_that_passes(expression: str) -> None:
    """The day in spring has 23 hours, the one in autumn 25."""
    assert len(slots(expression, SPRING, hours=23)) == len(set(slots(expression, SPRING, hours=23))) == 23
    assert slots(expression, AUTUMN, hours=5) == [
        "00:00+0200",
        "01:00+0200",
        "02:00+0200",
        "02:00+0100",
        "03:00+0100",
    ]


def test_a_midnight_that_is_skipped_is_made_up_for() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # from midnight to one, on the last Friday in April
    before = datetime(2026, 4, 23, 12, tzinfo=cairo)
    assert slots("0 0 * * *", before.astimezone(UTC), hours=24, zone="Africa/Cairo") == ["01:00+0300"]


def test_a_half_hour_that_is_skipped_takes_no_slot_with_it() -> None:
    """What it skips comes after it, among what is there: Lord Howe's clocks go from two to half past."""
    before = datetime(2026, 10, 3, 14, tzinfo=UTC)
    found = slots("*/20 2,5 * * *", before, hours=3, zone="Australia/Lord_Howe")
    assert found == ["02:30+1100", "02:40+1100", "02:50+1100"]
    found = slots("*/7 2 * * *", before, hours=3, zone="Australia/Lord_Howe")
    assert [slot[:5] for slot in found] == [
        "02:30",
        "02:35",
        "02:37",
        "02:42",
        "02:44",
        "02:49",
        "02:51",
        "02:56",
        "02:58",
    ]


def test_a_half_hour_that_comes_twice_has_its_slots_twice_if_every_hour_has_them() -> None:
    before = datetime(2026, 4, 4, 13, tzinfo=UTC)
    found = slots("48 * * * *", before, hours=4, zone="Australia/Lord_Howe")
    assert found == ["00:48+1100", "01:48+1100", "01:48+1030", "02:48+1030"]
    within = datetime(2026, 4, 4, 14, 50, tzinfo=UTC)
    assert slots("48 * * * *", within, hours=1, zone="Australia/Lord_Howe") == ["01:48+1030"]


@pytest.mark.parametrize("expression", ["0 6-6/4 * * *", "0 6 * * *", "0 6-6 * * *"])
def test_a_range_of_one_is_that_one_whatever_its_steps(expression: str) -> None:
    assert slots(expression, datetime(2026, 1, 1, tzinfo=UTC), hours=48, zone="UTC") == ["06:00+0000"] * 2


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "UTC"])
@settings(deadline=None, max_examples=40)
@given(
    minutes=st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True),
    hours=st.lists(st.integers(0, 23), min_size=1, max_size=5, unique=True),
    start=st.sampled_from(
        [SPRING, AUTUMN, datetime(2026, 10, 3, 12, tzinfo=UTC), datetime(2026, 4, 4, 12, tzinfo=UTC)]
    ),
    offset=st.integers(0, 600),
)
def test_slots_are_the_same_wherever_one_begins_to_count(
    zone: str, minutes: Sequence[int], hours: Sequence[int], start: datetime, offset: int
) -> None:
    cron = Cron(f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *", zone)
    whole = list(islice(cron.after(start), 40))
    assert whole == sorted(set(whole))
    begun = start + timedelta(minutes=offset)
    expected = [slot for slot in whole if slot > begun]
    assert list(islice(cron.after(begun), len(expected))) == expected
    # No time of day is left out; those between two and three may be skipped by the clock.
    walls = {slot.astimezone(ZoneInfo(zone)).strftime("%H:%M") for slot in whole}
    assert {f"{hour:02}:{minute:02}" for hour in hours for minute in minutes if hour != 2} <= walls


@pytest.mark.parametrize("expression", ["* * * * *", "*/7 * * * *", "5 4 * * *", "0 5 29 2 *"])
def test_the_last_slot_is_the_last_of_them_all(expression: str) -> None:
    cron = Cron(expression, "Europe/Berlin")
    since, until = datetime(2027, 12, 1, tzinfo=UTC), datetime(2028, 3, 2, 3, 4, 5, tzinfo=UTC)
    *_, last = takewhile(lambda slot: slot <= until, cron.after(since))
    assert cron.last_between(since, until) == last
    assert cron.last_between(last, until) is None


@pytest.mark.parametrize(
    ("expression", "zone", "told"),
    [
        ("0 0 30 2 *", "UTC", "never comes"),
        ("0 0 31 4,6 *", "UTC", "never comes"),
        ("0 0 30 13 *", "UTC", "bad month"),
        ("61 * * * *", "UTC", "bad minute"),
        ("* * * *", "UTC", "4 fields"),
        ("* * * * * *", "UTC", "6 fields"),
        ("every day", "UTC", "2 fields"),
        ("", "UTC", "0 fields"),
        ("0 0 * * *", "Mars", "no time zone is called 'Mars'"),
        ("0 0 * * *", "Europe", "no time zone is called 'Europe'"),
        ("0 0 * * *", "", "no time zone is called ''"),
        ("0 0 * * *", "../../etc/passwd", "no time zone"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(expression: str, zone: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        Cron(expression, zone).first_after(datetime(2026, 1, 1, tzinfo=UTC))


@settings(deadline=None, max_examples=200)
@given(expression=st.text(alphabet="0123456789*/,-L# MONJA", max_size=20))
def test_whatever_is_written_is_a_slot_or_a_clear_refusal(expression: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        assert Cron(expression, "UTC").first_after(now) > now
    except Misconfigured as error:
        assert "'" in str(error)
