"""What the sweep asks for is found by an index, however many jobs wait."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Engine, text

from db import dispatch
from db.statements import Statement, statements_of
from db.submit import Submission, submit_many

SWEEP = {
    "overdue": ("jobs_deadline",),
    "holds": ("jobs_held_until",),
    "poisoned": ("jobs_in_hand",),
    "lost": ("jobs_in_hand", r"jobs_held\w*"),
    "any": ("jobs_queued",),
    "begun": ("jobs_queued",),
    "scans": ("jobs_queued",),
    "apart": ("jobs_queued",),
}
"""By what each finds its jobs; what is in hand is no more than the fleet has room for."""


@pytest.fixture
def waiting(engine: Engine, owner: Engine) -> Engine:
    """Jobs enough that a look at each of them would not pay."""
    with engine.begin() as connection:
        submit_many(connection, (Submission(prompt="receipt", body=b"%d" % each) for each in range(3000)))
    with owner.begin() as connection:
        connection.execute(text("analyze jobs"))  # as autovacuum does within a minute
    return engine


@pytest.mark.parametrize(("name", "indexes"), SWEEP.items())
def test_no_job_is_looked_at_whose_time_or_turn_has_not_come(
    waiting: Engine, name: str, indexes: tuple[str, ...]
) -> None:
    plan = plan_of(waiting, name)
    assert [each for each in indexes if not re.search(rf"(using|on) {each}\b", plan)] == [], plan
    assert "Seq Scan on jobs" not in plan, plan


def test_those_that_are_set_apart_are_not_looked_at_for_a_first_turn(waiting: Engine, owner: Engine) -> None:
    with owner.begin() as connection:
        connection.execute(text("update jobs set crashes = 2, turn = 'apart' where id % 2 = 0"))
        connection.execute(text("analyze jobs"))
    plan = plan_of(waiting, "new")
    assert re.search(r"Index Cond: \(\(turn = 'new'", plan), plan


def plan_of(engine: Engine, name: str) -> str:
    explained = Statement(f"explain {statements_of('due')[name].text}")
    with engine.connect() as connection:
        rows = explained.rows(
            connection, {**dispatch.RULES, "message_s": 60, "lane": "bulk", "free": 60, "share": 1}
        )
        connection.rollback()
    return "\n".join(row[0] for row in rows)
