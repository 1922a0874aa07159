"""What was said is erased once it is old; its figures stay, and what is on its way keeps its replies."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import transitions
from db.retention import erase_exchanges
from db.submit import Submission, submit

DAY_S = 86_400.0


def said(engine: Engine, *, days_ago: float, job: str) -> tuple[int, str]:
    """A job as ``job`` sets it, with an answered call of that age; the job's id and the call's."""
    call = str(uuid4())
    with engine.begin() as connection:
        made = submit(connection, Submission(prompt="receipt", body=uuid4().bytes))
        connection.execute(text(f"update jobs set {job} where id = :id"), {"id": made})
        connection.execute(
            text(
                "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash,"
                " provider, account, model, input_tokens, output_tokens, cost_usd, finished_at)"
                " values (:call, :job, 'first', 0, 1, 'answered', 'default', 'default', '', '', 'p', 'a', 'm',"
                " 10, 5, 0.5, now())"
            ),
            {"call": call, "job": made},
        )
        connection.execute(
            text(
                "insert into exchanges (call_id, request, reply, at)"
                " values (:call, '[]', '{}', now() - make_interval(secs => :s))"
            ),
            {"call": call, "s": days_ago * DAY_S},
        )
    return made, call


def kept(engine: Engine, call: str) -> bool:
    return bool(rows(engine, "select 1 from exchanges where call_id = :call", call=call))


def rows(engine: Engine, statement: str, **values: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(statement), values).all())


def erase(engine: Engine, days: float, batch: int = 1000) -> int:
    with engine.begin() as connection:
        return erase_exchanges(connection, older_than_s=days * DAY_S, batch=batch)


DONE = "state = 'done', wait = null"
FAILED = "state = 'failed', wait = null, stage = 'parse', failure = '{\"kind\": \"poison\"}'"
HELD = "state = 'held', wait = 'budget'"


@pytest.mark.parametrize(
    ("job", "days_ago", "stays"),
    [(DONE, 31, False), (FAILED, 31, False), (DONE, 29, True), (HELD, 31, True)],
)
def test_old_words_of_ended_jobs_go_and_figures_stay(
    engine: Engine, job: str, days_ago: float, stays: bool
) -> None:
    _, call = said(engine, days_ago=days_ago, job=job)
    erase(engine, 30)
    assert kept(engine, call) is stays
    (row,) = rows(engine, "select cost_usd, input_tokens, state from calls where id = :call", call=call)
    assert (float(row.cost_usd), row.input_tokens, row.state) == (0.5, 10, "answered")


def test_a_batch_is_no_more_than_was_asked_for(engine: Engine) -> None:
    calls = [said(engine, days_ago=99, job=DONE)[1] for _ in range(5)]
    assert [erase(engine, 90, batch=2) for _ in range(4)] == [2, 2, 1, 0]
    assert not any(kept(engine, call) for call in calls)


@pytest.mark.parametrize(("days", "attempt", "stage"), [(30, 1, "complete"), (99, 0, "parse")])
def test_a_retry_asks_again_where_the_reply_was_erased(
    engine: Engine, days: float, attempt: int, stage: str
) -> None:
    job, _ = said(engine, days_ago=31, job=FAILED)
    erase(engine, days)
    with engine.begin() as connection:
        transitions.retry(connection, job)
    (row,) = rows(engine, "select attempt, stage, state from jobs where id = :job", job=job)
    assert tuple(row) == (attempt, stage, "queued")
