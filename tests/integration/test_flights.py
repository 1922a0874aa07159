"""Who leads the same work, and who waits, on a real Postgres."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import dispatch, flights, jobs, ledger, transitions
from db.dispatch import SWEEP
from db.jobs import Job
from db.submit import Submission, submit
from docmill.errors import Failure, FailureKind

T = TypeVar("T")


def at_complete(connection: Connection) -> Job:
    job_id = submit(connection, Submission(prompt="receipt", body=uuid4().bytes, name="a.txt"))
    connection.execute(
        text("update jobs set stage = 'complete', wait = 'sent', state = 'running' where id = :id"), {"id": job_id}
    )
    job = jobs.load(connection, job_id, 0, "complete")
    assert job is not None
    return job


def open_a_call(connection: Connection, job: Job) -> None:
    connection.execute(
        text(
            "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider,"
            " account, model, lease_until) values (gen_random_uuid(), :job, 'first', 0, 1, 'intent', 't', 'f', '', '',"
            " 'p', 'a', 'm', clock_timestamp() + interval '1 minute')"
        ),
        {"job": job.id},
    )


def test_the_first_leads_and_the_others_wait(connection: Connection) -> None:
    key = uuid4().bytes
    first, second = at_complete(connection), at_complete(connection)
    assert flights.lead_or_follow(connection, first, key, for_s=60) == "leads"
    assert flights.lead_or_follow(connection, first, key, for_s=60) == "leads"
    assert not flights.follow(connection, first, key, for_s=60)
    assert flights.lead_or_follow(connection, second, key, for_s=60) == "held"
    assert flights.follow(connection, second, key, for_s=60)


def at_store(connection: Connection, key: bytes) -> Job:
    """A job that leads the work, and has its value."""
    job = at_complete(connection)
    assert flights.lead_or_follow(connection, job, key, for_s=60) == "leads"
    value = text("update jobs set stage = 'store', value = '{\"answer\": 1}', flight_key = :key where id = :id")
    connection.execute(value, {"id": job.id, "key": key})
    stored = jobs.load(connection, job.id, 0, "store")
    assert stored is not None
    return stored


def test_who_ends_alone_has_nobody_waiting(connection: Connection) -> None:
    key = uuid4().bytes
    leader = at_store(connection, key)
    follower = at_complete(connection)
    assert flights.lead_or_follow(connection, follower, key, for_s=60) == "held"
    assert transitions.store(connection, leader, "done", failure=None, alone=True) is None
    transitions.cancel(connection, follower.id)
    ended = transitions.store(connection, leader, "done", failure=None, alone=True)
    assert ended is not None
    assert ended.flight == key


def beside(engine: Engine, meanwhile: Callable[[Connection], object], done: Callable[[Connection], T]) -> T:
    """What is ``done`` comes to, which waits for a lock of what happens ``meanwhile``, and goes on when that commits."""
    with engine.connect() as first, engine.connect() as second, ThreadPoolExecutor(1) as pool:
        meanwhile(first)
        waiting = pool.submit(done, second)
        blocked = text("select count(*) from pg_stat_activity where :pid = any(pg_blocking_pids(pid))")
        pid = first.execute(text("select pg_backend_pid()")).scalar()
        with engine.connect() as third:
            while not third.execute(blocked, {"pid": pid}).scalar():
                assert not waiting.done()
                third.rollback()
        first.commit()
        found = waiting.result(timeout=30)
        second.commit()
    return found


def test_who_joins_while_the_leader_ends_alone_is_seen_and_has_the_answer(engine: Engine) -> None:
    key = uuid4().bytes
    with engine.begin() as connection:
        leader, follower = at_store(connection, key), at_complete(connection)
    ended = beside(
        engine,
        lambda connection: flights.lead_or_follow(connection, follower, key, for_s=60),
        lambda connection: transitions.store(connection, leader, "done", failure=None, alone=True),
    )
    assert ended is not None
    assert (ended.flight, ended.awaited) == (key, True)
    with engine.begin() as connection:
        flights.hand_over(connection, leader, key)
        given = connection.execute(
            text("select stage, wait, value from jobs where id = :id"), {"id": follower.id}
        ).one()
        assert tuple(given) == ("store", "unsent", {"answer": 1})
        transitions.cancel(connection, follower.id)


@pytest.mark.parametrize("shared", [True, False])
def test_no_call_is_opened_for_work_that_lands_while_its_flight_is_waited_for(
    engine: Engine, shared: bool
) -> None:
    """The statement that opens it began before that was committed; an answer that is to be seen by a person is none."""
    key = uuid4().bytes
    with engine.begin() as connection:
        leader, job = at_store(connection, key), at_complete(connection)
        connection.execute(text("update jobs set stage = 'context' where id = :id"), {"id": job.id})
        connection.execute(text("delete from budgets"))
    job = replace(job, stage="context", context={"passages": []}, model="small")
    intent = ledger.Intent(
        id=uuid4(), content_hash=b"", input_hash=b"", provider="p", account="a", model="m", request={}, remedy=None,
        reserved_usd=None, owner="w",
    )  # fmt: skip
    opened = beside(
        engine,
        lambda connection: transitions.store(
            connection, leader, "done" if shared else "needs_review", failure=None, alone=True
        ),
        lambda connection: ledger.lead_and_open(
            connection, job, intent, work=key, lease_s=60, answered_within_s=flights.LATELY_S
        ),
    )
    assert opened is not shared
    with engine.begin() as connection:
        row = connection.execute(text("select stage, wait, model from jobs where id = :id"), {"id": job.id}).one()
        assert tuple(row) == (("context", "sent", None) if shared else ("complete", "running", "small"))
        calls = connection.execute(text("select count(*) from calls where job_id = :id"), {"id": job.id}).scalar()
        assert calls == (0 if shared else 1)
        connection.execute(text("delete from calls where job_id = :id"), {"id": job.id})
        transitions.cancel(connection, job.id)


@pytest.mark.parametrize("straight", [True, False])
def test_no_call_is_opened_for_an_attempt_whose_late_answer_is_being_stored(
    engine: Engine, straight: bool
) -> None:
    """Of a call that its job's new drive knows nothing of."""
    key = uuid4().bytes
    with engine.begin() as connection:
        job = at_complete(connection)
        open_a_call(connection, job)
        stage = "context" if straight else "complete"
        connection.execute(text("update jobs set stage = :stage where id = :id"), {"id": job.id, "stage": stage})
        connection.execute(text("delete from budgets"))
    job = replace(job, stage="context" if straight else "complete", context={"passages": []}, model="small")
    intent = ledger.Intent(
        id=uuid4(), content_hash=b"", input_hash=b"", provider="p", account="a", model="m", request={}, remedy=None,
        reserved_usd=None, owner="w",
    )  # fmt: skip

    def opened(connection: Connection) -> object:
        if straight:
            return ledger.lead_and_open(connection, job, intent, work=key, lease_s=60, answered_within_s=60)
        return ledger.open_call(connection, job, intent, work=key, lease_s=60, budgets=None)

    stored = text("update calls set state = 'answered', lease_until = null where job_id = :id")
    found = beside(engine, lambda connection: connection.execute(stored, {"id": job.id}), opened)
    assert found == (False if straight else "answered")
    with engine.begin() as connection:
        row = connection.execute(text("select stage, wait from jobs where id = :id"), {"id": job.id}).one()
        assert tuple(row) == (job.stage, "sent")
        states = connection.execute(text("select state from calls where job_id = :id"), {"id": job.id}).scalars()
        assert list(states) == ["answered"]
        transitions.cancel(connection, job.id)


def test_a_leader_that_ended_is_followed_only_when_its_call_is_closed(connection: Connection) -> None:
    key = uuid4().bytes
    first, second = at_complete(connection), at_complete(connection)
    assert flights.lead_or_follow(connection, first, key, for_s=60) == "leads"
    open_a_call(connection, first)
    transitions.cancel(connection, first.id)
    assert flights.lead_or_follow(connection, second, key, for_s=60) == "held"
    assert flights.follow(connection, second, key, for_s=60)
    connection.execute(text("update calls set state = 'in_doubt' where job_id = :job"), {"job": first.id})
    dispatch.run(connection, SWEEP["followers"])
    freed = connection.execute(text("select wait from jobs where id = :id"), {"id": second.id}).scalar_one()
    assert freed == "unsent"
    third = at_complete(connection)
    assert flights.lead_or_follow(connection, third, key, for_s=60) == "leads"


def state_of(connection: Connection, job: Job) -> tuple[str, str | None, str | None]:
    row = connection.execute(
        text("select state, wait, failure ->> 'kind' as kind from jobs where id = :id"), {"id": job.id}
    ).one()
    return row.state, row.wait, row.kind


@pytest.mark.parametrize(
    "kind",
    ["budget", "deadline", "auth", "quota_exhausted", "overloaded", "server_error", "connection", "timeout",
     "rate_limited", "in_doubt", "internal"],
)  # fmt: skip
def test_what_befell_the_leader_alone_is_not_its_followers(connection: Connection, kind: FailureKind) -> None:
    key = uuid4().bytes
    leader, one, other = (at_complete(connection) for _ in range(3))
    for job in (leader, one, other):
        flights.lead_or_follow(connection, job, key, for_s=60)
    transitions.end(connection, leader, "failed", failure=Failure(kind=kind))
    flights.release_followers(connection, leader.id)
    assert state_of(connection, one) == ("queued", "unsent", None)
    assert state_of(connection, other) == ("held", "flight", None)


@pytest.mark.parametrize("kind", ["wrong", "malformed", "invalid", "refused", "unreadable", "bad_request"])
def test_what_lies_in_the_work_is_its_followers_too(connection: Connection, kind: FailureKind) -> None:
    key = uuid4().bytes
    leader, follower = at_complete(connection), at_complete(connection)
    for job in (leader, follower):
        flights.lead_or_follow(connection, job, key, for_s=60)
    transitions.end(connection, leader, "failed", failure=Failure(kind=kind))
    flights.release_followers(connection, leader.id)
    assert state_of(connection, follower) == ("failed", None, kind)


def landed(connection: Connection, key: bytes, **changes: object) -> Job:
    """A job that has its answer since a moment ago."""
    job = at_complete(connection)
    values = {"state": "done", "wait": None, "flight_key": key, "fresh": False, "ago": 1.0, **changes}
    connection.execute(
        text(
            "update jobs set state = :state, wait = :wait, flight_key = :flight_key, fresh = :fresh, value = '{}',"
            " finished_at = clock_timestamp() - make_interval(secs => :ago) where id = :id"
        ),
        {**values, "id": job.id},
    )
    return job


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"ago": flights.LATELY_S - 5.0}, True),
        ({"ago": flights.LATELY_S + 5.0}, False),
        ({"fresh": True}, False),
        ({"state": "needs_review"}, False),
        ({"flight_key": b"another"}, False),
    ],
)
def test_only_a_checked_answer_of_late_is_shared(
    connection: Connection, changes: dict[str, object], found: bool
) -> None:
    """And none of a job that was to ask anew: whoever pays again wants an answer of its own."""
    key = uuid4().bytes
    landed(connection, key, **changes)
    assert (flights.answered_lately(connection, at_complete(connection), key) is not None) is found


def test_no_flight_is_passed_on_while_a_call_of_its_leader_is_open(connection: Connection) -> None:
    """That one may still be answered, and paid."""
    key = uuid4().bytes
    leader, follower = at_complete(connection), at_complete(connection)
    for job in (leader, follower):
        flights.lead_or_follow(connection, job, key, for_s=60)
    open_a_call(connection, leader)
    transitions.cancel(connection, leader.id)
    dispatch.run(connection, SWEEP["followers"])
    assert state_of(connection, follower) == ("held", "flight", None)
    connection.execute(text("update calls set state = 'in_doubt' where job_id = :job"), {"job": leader.id})
    dispatch.run(connection, SWEEP["followers"])
    assert state_of(connection, follower) == ("queued", "unsent", None)


def test_who_comes_after_a_leader_that_ended_without_a_word_leads(connection: Connection) -> None:
    key = uuid4().bytes
    first, second = at_complete(connection), at_complete(connection)
    assert flights.lead_or_follow(connection, first, key, for_s=60) == "leads"
    connection.execute(text("update jobs set wait = null, state = 'failed' where id = :id"), {"id": first.id})
    assert flights.lead_or_follow(connection, second, key, for_s=60) == "leads"
    leader = connection.execute(text("select job_id from flights where key = :key"), {"key": key}).scalar_one()
    assert leader == second.id


def test_who_gets_anothers_answer_has_a_call_in_the_ledger_that_cost_nothing(connection: Connection) -> None:
    key = uuid4().bytes
    leader, follower = at_store(connection, key), at_complete(connection)
    assert flights.lead_or_follow(connection, follower, key, for_s=60) == "held"
    assert transitions.store(connection, leader, "done", failure=None) is not None
    flights.hand_over(connection, leader, key)
    calls = connection.execute(
        text("select state, cost_usd, cache_layer from calls where job_id = :id"), {"id": follower.id}
    )
    assert [tuple(call) for call in calls] == [("cached", 0, "flight")]
