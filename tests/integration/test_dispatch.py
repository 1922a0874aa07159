"""What a look at the fleet's room finds."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import fleet
from db.submit import Submission, submit


@pytest.mark.parametrize("lane", ["interactive", "bulk"])
def test_room_is_wanted_in_the_lanes_where_jobs_wait(engine: Engine, lane: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("update jobs set wait = 'sent' where wait = 'unsent'"))
        assert fleet.room(connection).wanted == frozenset()
        submit(connection, Submission(prompt="receipt", body=uuid4().bytes, lane=lane))  # type: ignore[arg-type]
        assert fleet.room(connection).wanted == {lane}
        connection.rollback()


def test_room_is_what_the_workers_seen_have_not_in_hand(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("delete from workers"))
        connection.execute(text("update jobs set wait = 'unsent' where wait is not null"))
        fleet.see_worker(connection, "io", "io", 100)
        fleet.see_worker(connection, "cpu", "cpu", 2)
        fleet.see_worker(connection, "gone", "io", 100)
        connection.execute(text("update workers set seen_at = seen_at - interval '1 hour' where name = 'gone'"))
        job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes))
        before = fleet.room(connection)
        connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job})
        after = fleet.room(connection)
        connection.rollback()
    assert (before.all, before.kept, before.cpu) == (200, 20, 2 * fleet.CPU_AHEAD)
    assert (after.all, after.cpu) == (199, 2 * fleet.CPU_AHEAD - 1)
