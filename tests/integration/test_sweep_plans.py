"""What the sweep asks for is found by an index, however many jobs wait."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Engine, text

from db import dispatch
from db.statements import Statement, statements_of
from db.submit import Submission, submit_many

SWEEP = ("overdue", "holds", "poisoned", "lost")


@pytest.fixture
def waiting(engine: Engine, owner: Engine) -> Engine:
    """Jobs enough that a look at each of them would not pay."""
    with engine.begin() as connection:
        submit_many(connection, (Submission(prompt="receipt", body=b"%d" % each) for each in range(3000)))
    with owner.begin() as connection:
        connection.execute(text("analyze jobs"))  # as autovacuum does within a minute
    return engine


@pytest.mark.parametrize("name", SWEEP)
def test_no_job_is_looked_at_whose_time_has_not_come(waiting: Engine, name: str) -> None:
    plan = plan_of(waiting, name)
    assert re.search(r"jobs_(wake|deadline|out)", plan), plan
    assert "Index Cond" in plan, plan


def test_a_job_that_was_begun_is_found_among_all_that_were_not(waiting: Engine) -> None:
    plan = plan_of(waiting, "begun")
    assert "jobs_unsent_again" in plan, plan


def test_a_job_that_is_set_apart_is_found_among_all_that_were_not(waiting: Engine) -> None:
    plan = plan_of(waiting, "apart")
    assert "jobs_apart" in plan, plan


def test_those_that_are_set_apart_are_not_looked_at_for_a_first_turn(waiting: Engine, owner: Engine) -> None:
    with owner.begin() as connection:
        connection.execute(text("update jobs set crashes = 2 where id % 2 = 0"))
        connection.execute(text("analyze jobs"))
    plan = plan_of(waiting, "new")
    assert "jobs_new" in plan, plan


def plan_of(engine: Engine, name: str) -> str:
    explained = Statement(f"explain {statements_of('due')[name].text}")
    with engine.connect() as connection:
        rows = explained.rows(
            connection, {**dispatch.RULES, "message_s": 60, "lane": "bulk", "free": 60, "share": 1}
        )
        connection.rollback()
    return "\n".join(row[0] for row in rows)
