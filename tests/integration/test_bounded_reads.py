"""What pages read of much is bounded, and says so; what they read of little is all of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import Connection, text

from bench.collection import filled
from db import collections, reports, runs, waiting
from db.wanted import Wanted

TENANT = "much"
DOCUMENTS = [(f"d{number}", f"The harbour gate number {number} closes at night.") for number in range(4)]
MADE = text(
    """
with run as (insert into runs (tenant, name, cause, submit) values (:tenant, 'r', 'api', '{}') returning id),
made as (
  insert into jobs (tenant, feature, prompt, run_id, state, wait, stage, held_for, failure, created_at, finished_at)
  select :tenant, 'f', 'receipt', run.id, said[1], said[2], 'complete', case said[2] when 'rate' then 'a/m' end,
    case when said[3] > '' then jsonb_build_object('kind', said[3]) end, clock_timestamp() - interval '3 hours',
    case when said[2] is null then clock_timestamp() - cast(said[4] as interval) end
  from run, (values (array['done', null, '', '20 s']), (array['done', null, '', '2 hours']),
    (array['failed', null, 'wrong', '30 s']), (array['failed', null, 'timeout', '4 minutes']),
    (array['needs_review', null, 'wrong', '5 minutes']), (array['cancelled', null, '', '6 minutes']),
    (array['held', 'rate', 'budget', '']), (array['held', 'flight', '', '']), (array['running', 'running', '', '']),
    (array['queued', 'unsent', '', ''])) as states (said)
  returning id, state, run_id),
paid as (
  insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account, model,
    cost_usd, latency_ms, failure_kind, started_at)
  select gen_random_uuid(), id, 'first', 0, n, case when n = 1 then 'failed' else 'answered' end, :tenant, 'f', '', '', 'p',
    'a', 'm', case when n = 2 then 0.01 end, 100 * n, case when n = 1 then 'rate_limited' end,
    clock_timestamp() - case when n = 2 then interval '1 minute' else interval '2 hours' end
  from made, generate_series(1, 2) n)
select distinct run_id from made
"""
)


@pytest.fixture
def run(connection: Connection) -> int:
    return int(connection.execute(MADE, {"tenant": TENANT}).scalar_one())


def test_a_run_is_counted_as_its_jobs_are(connection: Connection, run: int) -> None:
    asked = reports.counted(connection, Wanted(run=run))
    found = runs.progress(connection, run)
    assert (found.counts.total, found.counts.states) == (asked.total, asked.states)
    assert found.counts.reasons == asked.reasons == {"wrong": 2, "timeout": 1, "provider": 1, "same_work": 1}
    assert [counts for _, counts in runs.listed(connection, tenant=TENANT, limit=2)] == [found.counts]
    assert (found.ended, found.per_minute) == (6, 2.0)


def test_a_large_runs_costs_are_those_of_some_that_are_done(connection: Connection, run: int) -> None:
    whole, of_all, of_one = (runs.progress(connection, run, at_most=most) for most in (None, 10, 1))
    assert (whole.cost_usd, whole.cost_of) == (of_all.cost_usd, of_all.cost_of) == (Decimal("0.1"), None)
    assert (of_one.cost_usd, of_one.cost_of, of_one.accepted_usd_each) == (Decimal("0.01"), 1, Decimal("0.01"))
    connection.execute(text("update calls set cost_usd = null where tenant = :tenant"), {"tenant": TENANT})
    assert runs.progress(connection, run, at_most=1).cost_usd is None


def test_how_a_model_answers_is_told_by_the_latest_jobs(
    connection: Connection, run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What ended two hours ago and what is queued is not looked at, nor a hold that is for no model.
    assert [(each.calls, each.failed) for each in waiting.calls_lately(connection, TENANT)] == [(7, 0)]
    monkeypatch.setattr(waiting, "JOBS", 1)
    (found,) = waiting.calls_lately(connection, TENANT)
    assert (found.model, found.calls, found.p95_ms) == ("m", 3, 200.0)
    assert waiting.calls_lately(connection, "nobody") == []


def test_passages_beyond_what_is_counted_are_said_to_be_more(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = filled(connection, "bounded", DOCUMENTS)
    counted = text("update collections set chunks = :chunks where id = :id")
    connection.execute(counted, {"chunks": 0, "id": collection.id})

    def told() -> tuple[int, int, bool]:
        (row,) = (each for each in collections.listed(connection, collection.tenant) if each["name"] == "bounded")
        return row["documents"], row["chunks"], row["chunks_at_least"]

    assert told() == (4, 4, False)
    monkeypatch.setattr(collections, "MOST_COUNTED", 3)
    assert told() == (4, 3, True)
    connection.execute(counted, {"chunks": 4, "id": collection.id})
    assert told() == (4, 4, False)
