"""What a look at the fleet's room finds."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import dispatch, fleet, jobs, transitions
from db.jobs import Drive
from db.submit import Submission, submit


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
def test_room_is_wanted_in_the_lanes_where_jobs_wait(engine: Engine, lane: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("update jobs set wait = 'sent', state = 'running' where state = 'queued'"))
        assert fleet.room(connection).wanted == frozenset()
        submit(connection, Submission(prompt="receipt", body=uuid4().bytes, lane=lane))  # type: ignore[arg-type]
        assert fleet.room(connection).wanted == {lane}
        connection.rollback()


def test_room_is_what_the_workers_seen_have_not_in_hand(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("delete from workers"))
        connection.execute(text("update jobs set wait = 'unsent', state = 'queued' where wait is not null"))
        fleet.see_worker(connection, "io", "io", 100)
        fleet.see_worker(connection, "cpu", "cpu", 2)
        fleet.see_worker(connection, "gone", "io", 100)
        connection.execute(text("update workers set seen_at = seen_at - interval '1 hour' where name = 'gone'"))
        job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes))
        before = fleet.room(connection)
        connection.execute(text("update jobs set wait = 'sent', state = 'running' where id = :id"), {"id": job})
        after = fleet.room(connection)
        connection.execute(text("update jobs set wait = 'countdown' where id = :id"), {"id": job})
        assert fleet.room(connection) == after, "who counts down will want a slot again"
        connection.rollback()
    assert (before.all, before.kept, before.cpu) == (200, 20, 2 * fleet.CPU_AHEAD)
    assert (after.all, after.cpu) == (199, 2 * fleet.CPU_AHEAD - 1)


def broken(connection: Connection, crashes: int, *, stage: str = "validate", wait: str = "running") -> int:
    """A job whose claim, or whose message, has run out."""
    job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes))
    connection.execute(
        text(
            "update jobs set stage = :stage, wait = :wait, state = 'running', crashes = :crashes, redrives = :crashes,"
            " wake_at = clock_timestamp() - interval '1 s' where id = :id"
        ),
        {"id": job, "stage": stage, "wait": wait, "crashes": crashes},
    )
    return job


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        opened.execute(text("update jobs set wake_at = 'infinity', deadline_at = null where wait is not null"))
        yield opened
        opened.rollback()


def swept(connection: Connection) -> list[Drive]:
    """All that a sweep does, in its order."""
    return [drive for chore in dispatch.SWEEP.values() for drive in dispatch.run(connection, chore)]


@pytest.mark.parametrize(("crashes", "state"), [(3, "running"), (4, "failed")])
def test_the_fifth_crash_is_the_last(connection: Connection, crashes: int, state: str) -> None:
    job = broken(connection, crashes)
    swept(connection)
    row = connection.execute(
        text("select state, failure ->> 'kind' as kind from jobs where id = :id"), {"id": job}
    )
    assert tuple(row.one()) == (state, "poison" if state == "failed" else None)


@pytest.mark.parametrize(("redrives", "state"), [(8, "running"), (9, "failed")])
def test_the_tenth_drive_that_led_nowhere_is_the_last(connection: Connection, redrives: int, state: str) -> None:
    job = broken(connection, redrives, stage="context", wait="sent")
    swept(connection)
    assert connection.execute(text("select state from jobs where id = :id"), {"id": job}).scalar_one() == state


@pytest.mark.parametrize(
    ("stage", "wait", "times", "apart"),
    [
        ("validate", "running", 0, False),
        ("validate", "running", 1, True),
        ("validate", "sent", 1, False),  # a message that got lost is no crash
        ("context", "sent", 1, False),
        ("context", "sent", 2, True),
        ("complete", "running", 3, False),  # nobody calls models there
    ],
)
def test_the_second_crash_leads_to_quarantine(
    connection: Connection, stage: str, wait: str, times: int, apart: bool
) -> None:
    job = broken(connection, times, stage=stage, wait=wait)
    (drive,) = [each for each in swept(connection) if each.id == job]
    assert (drive.quarantined, drive.stage) == (apart, stage)


@pytest.mark.parametrize(("crashes", "state"), [(0, "queued"), (3, "queued"), (4, "failed")])
def test_a_defect_counts_as_a_crash_and_the_fifth_is_the_last(
    connection: Connection, crashes: int, state: str
) -> None:
    job = broken(connection, crashes, stage="parse")
    found = jobs.load(connection, job, 0, "parse")
    assert found is not None
    transitions.release_crashed(connection, found, "KeyError at output.py:3")
    row = connection.execute(text("select state, crashes from jobs where id = :id"), {"id": job}).one()
    assert (row.state, row.crashes) == (state, crashes + (state == "queued"))


@pytest.mark.parametrize(("waiting", "room"), [(0, True), (7, True), (8, False), (9, False)])
def test_eight_countdowns_for_ten_slots_are_enough(connection: Connection, waiting: int, room: bool) -> None:
    connection.execute(text("delete from workers"))
    connection.execute(text("update jobs set wait = 'sent' where wait = 'countdown'"))
    fleet.see_worker(connection, "io", "io", 10)
    fleet.see_worker(connection, "cpu", "cpu", 1000)
    for _ in range(waiting):
        broken(connection, 0, stage="complete", wait="countdown")
    assert fleet.room_for_countdown(connection) is room
