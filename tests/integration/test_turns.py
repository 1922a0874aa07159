"""One tenant's documents that take long, and another's that wait behind them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import dispatch, fleet, jobs, transitions
from db.jobs import Drive, Job
from db.submit import Submission, submit
from db.transitions import QUARANTINED_AT
from db.turns import must_give_way, waiting
from docmill.reading import GaveWay, Reader

SLOTS = 2
LONG = b"\0"
"""No text, which takes as long as it takes."""


@pytest.fixture
def connection(owner: Engine) -> Iterator[Connection]:
    """A fleet of two cpu slots and one of quarantine, without any work."""
    with owner.connect() as opened:
        opened.execute(text("truncate jobs, drives, workers cascade"))
        opened.execute(text("set local role docmill"))
        fleet.see_worker(opened, "io@here", "io", 100)
        fleet.see_worker(opened, "cpu@here", "cpu", SLOTS)
        fleet.see_worker(opened, "quarantine@here", "quarantine", 1)
        yield opened
        opened.rollback()


def given(connection: Connection, tenant: str, number: int = 1, *, lane: str = "bulk") -> list[int]:
    return [
        submit(connection, Submission(prompt="receipt", body=LONG + uuid4().bytes, tenant=tenant, lane=lane))  # type: ignore[arg-type]
        for _ in range(number)
    ]


def start(connection: Connection, room: fleet.Room) -> list[Drive]:
    return dispatch.start(connection, dispatch.waiting(connection, room), 60)


def started(connection: Connection) -> list[int]:
    return [drive.id for drive in start(connection, fleet.room(connection))]


def ago(connection: Connection, ids: list[int], seconds: float) -> None:
    connection.execute(
        text("update jobs set since = clock_timestamp() - make_interval(secs => :seconds) where id = any(:ids)"),
        {"ids": ids, "seconds": seconds},
    )


def claimed(connection: Connection, job_id: int, *, since_s: float) -> Job:
    epoch = connection.execute(text("select epoch from jobs where id = :id"), {"id": job_id}).scalar_one()
    job = transitions.claim(connection, job_id, epoch, "validate", owner="here", lease_s=50)
    assert job is not None
    ago(connection, [job_id], since_s)
    return job


def crashes(connection: Connection, job_id: int) -> int:
    return int(connection.execute(text("select crashes from jobs where id = :id"), {"id": job_id}).scalar_one())


def test_a_tenant_that_is_alone_gets_half_of_the_room_and_the_next_one_finds_some(connection: Connection) -> None:
    room = SLOTS * fleet.CPU_AHEAD
    given(connection, "greedy", room + 50)
    assert len(started(connection)) == room // 2
    assert started(connection) == []
    late = given(connection, "late", 3)
    assert set(started(connection)) == set(late)


def test_a_tenants_bulk_leaves_room_for_what_it_has_in_a_hurry(connection: Connection) -> None:
    room = SLOTS * fleet.CPU_AHEAD
    given(connection, "greedy", room)
    started(connection)
    urgent = given(connection, "greedy", room, lane="interactive")
    assert started(connection) == urgent[: room // 4], "half of what was left"
    assert started(connection) == []
    late = given(connection, "late", 3)
    assert set(started(connection)) == set(late)


def test_a_job_that_is_set_apart_takes_no_room_from_others(connection: Connection) -> None:
    ids = given(connection, "greedy", 10)
    started(connection)
    for job_id in ids:
        assert transitions.set_apart(connection, claimed(connection, job_id, since_s=2))
    room = fleet.room(connection)
    assert (room.cpu, room.apart) == (SLOTS * fleet.CPU_AHEAD, fleet.QUARANTINE_AHEAD)
    drives = start(connection, room)
    assert [(drive.id, drive.quarantined) for drive in drives] == [(ids[0], True), (ids[1], True)]
    assert started(connection) == []
    room = fleet.room(connection)
    assert (room.cpu, room.apart, room.wanted) == (SLOTS * fleet.CPU_AHEAD, 0, frozenset())


def test_a_tenant_whose_documents_wait_for_quarantine_holds_half_of_the_slots(connection: Connection) -> None:
    slow = given(connection, "greedy", fleet.QUARANTINE_AHEAD + 1)
    started(connection)
    more, other = given(connection, "greedy", 5, lane="interactive"), given(connection, "other", 2)
    for job_id in slow:
        transitions.set_apart(connection, claimed(connection, job_id, since_s=2))
    began = {drive.id for drive in start(connection, fleet.room(connection)) if not drive.quarantined}
    assert began == {more[0], *other}, "one of two slots, and all that another wants"
    assert started(connection) == []
    connection.execute(text("update jobs set wait = null, state = 'done' where id = :id"), {"id": more[0]})
    assert started(connection) == [more[1]]
    connection.execute(text("update jobs set wait = null, state = 'failed' where id = any(:ids)"), {"ids": slow})
    assert set(started(connection)) == set(more[2:]), "none waits apart any more"


def test_a_document_that_was_sent_before_its_tenant_was_bounded_goes_back(connection: Connection) -> None:
    first, second, *slow = given(connection, "greedy", fleet.QUARANTINE_AHEAD + 3)
    started(connection)
    claimed(connection, first, since_s=2)
    seen = waiting(connection, second, 1)
    assert seen is not None
    assert not seen.beyond_share, "none of its documents had to let others pass"
    for job_id in slow:
        transitions.set_apart(connection, claimed(connection, job_id, since_s=2))
    seen = waiting(connection, second, 1)
    assert seen is not None
    assert seen.beyond_share
    fleet.see_worker(connection, "more@here", "cpu", SLOTS)
    seen = waiting(connection, second, 1)
    assert seen is not None
    assert not seen.beyond_share, "two of four slots may be held"


def test_tenants_take_turns_in_quarantine(connection: Connection) -> None:
    greedy, other = given(connection, "greedy", 5), given(connection, "other", 1)
    started(connection)
    for job_id in (*greedy, *other):
        transitions.set_apart(connection, claimed(connection, job_id, since_s=2))
    assert set(started(connection)) == {greedy[0], other[0]}


def test_the_number_that_statements_know_is_the_one_of_the_rules() -> None:
    assert QUARANTINED_AT == 2


def test_a_message_finds_who_else_waits(connection: Connection) -> None:
    mine, other, quick, urgent = (given(connection, tenant)[0] for tenant in ("mine", "other", "quick", "urgent"))
    connection.execute(text("update jobs set lane = 'interactive' where id = :id"), {"id": urgent})
    started(connection)
    ago(connection, [other, urgent], 5)
    seen = waiting(connection, mine, 1)
    assert seen is not None
    assert (seen.tenant, {name: round(waited) for name, waited in seen.others.items()}) == (
        "mine",
        {"other": 5, "urgent": 5},
    )
    assert seen.of_all
    seen = waiting(connection, urgent, 1)
    assert seen is not None
    assert seen.others == {}, "bulk never goes before interactive"
    assert not seen.of_all
    assert waiting(connection, quick, 7) is None


def test_a_job_that_takes_long_gives_way_where_others_wait_and_half_of_the_slots_are_held(
    connection: Connection,
) -> None:
    first, second, other = *given(connection, "greedy", 2), *given(connection, "other")
    started(connection)
    oldest, newer = claimed(connection, first, since_s=20), claimed(connection, second, since_s=2)
    assert not must_give_way(connection, newer), "nobody waits for long"
    ago(connection, [other], 1)
    assert must_give_way(connection, newer)
    assert not must_give_way(connection, oldest), "one of two slots may be held"


def test_what_io_workers_read_holds_no_slot_of_who_computes(connection: Connection) -> None:
    (long,), (other,) = given(connection, "mine"), given(connection, "other")
    short = [
        submit(connection, Submission(prompt="receipt", body=uuid4().hex.encode(), tenant="mine"))
        for _ in range(SLOTS)
    ]
    started(connection)
    for job_id in short:
        claimed(connection, job_id, since_s=20)
    ago(connection, [other], 1)
    assert not must_give_way(connection, claimed(connection, long, since_s=2)), "one of two slots may be held"


def test_bulk_gives_way_to_interactive_of_the_same_tenant(connection: Connection) -> None:
    first, second = given(connection, "mine", 2)
    urgent = given(connection, "mine", lane="interactive")
    started(connection)
    claimed(connection, first, since_s=20)
    newer = claimed(connection, second, since_s=2)
    ago(connection, urgent, 1)
    assert must_give_way(connection, newer)


def test_a_job_is_given_back_where_its_message_came_too_early(connection: Connection) -> None:
    (job_id,) = given(connection, "mine")
    started(connection)
    assert transitions.give_back(connection, job_id, 1, "validate")
    assert jobs.load(connection, job_id, 1, "validate") is not None
    assert started(connection) == [job_id]
    assert crashes(connection, job_id) == 0


def test_a_document_is_put_off_as_soon_as_others_wait() -> None:
    answers = iter([False, False, True])
    with Reader() as reader:
        reader.confinement()
        assert reader._parser.running().alive
        os.kill(reader._parser.running().pid, signal.SIGSTOP)
        with pytest.raises(GaveWay):
            reader.read_bytes(b"a text", give_way=lambda: next(answers))
        assert reader.read_bytes(b"a text", give_way=lambda: True).text == "a text"
