"""What the sweep asks for is found by an index, however many jobs wait."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Engine, text

from db import dispatch
from db.submit import Submission, submit_many

STATEMENTS = {
    "overdue": dispatch.OVERDUE,
    "holds over": dispatch.HOLDS_OVER,
    "poisoned": dispatch.POISONED,
    "lost": dispatch.LOST,
}


@pytest.fixture
def waiting(engine: Engine) -> Engine:
    """Jobs enough that a look at each of them would not pay."""
    with engine.begin() as connection:
        submit_many(connection, (Submission(prompt="receipt", body=b"%d" % each) for each in range(3000)))
        connection.execute(text("analyze jobs"))  # as autovacuum does within a minute
    return engine


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_job_is_looked_at_whose_time_has_not_come(waiting: Engine, name: str) -> None:
    with waiting.connect() as connection:
        rows = connection.execute(text(f"explain {STATEMENTS[name]}"), {"limit": 500, "message_s": 60}).scalars()
        plan = "\n".join(rows)
        connection.rollback()
    assert re.search(r"jobs_(wake|deadline|out)", plan), plan
    assert "Index Cond" in plan, plan
