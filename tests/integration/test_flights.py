"""Who leads the same work, and who waits, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import dispatch, flights, jobs, transitions
from db.dispatch import SWEEP
from db.jobs import Job
from db.submit import Submission, submit


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        yield opened
        opened.rollback()


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
    assert flights.lead_or_follow(connection, second, key, for_s=60) == "held"
    assert flights.follow(connection, second, key, for_s=60)


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
