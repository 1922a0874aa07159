"""A ledger as some weeks of work leave it, for pages to be looked at: written as rows, the same each time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, text

from db import budget_admin, collections, runs, schedules
from db.budget_admin import Wanted
from db.submit import Submission, submit
from tests.integration.test_reviews import RIGHT, WRONG, in_review

__all__ = ["Ledger", "seed", "wait_longest"]

DAYS = 20
FEATURES = ("till", "legal", "mailroom")
JOB = """
with job as (
  insert into jobs (tenant, feature, usr, prompt, version, state, stage, wait, attempt, purpose, name, history, created_at,
    finished_at)
  values (:tenant, :feature, :usr, :prompt, :version, 'queued', 'store', 'unsent', :attempt, :purpose, :name,
    cast(:history as jsonb), :at, :at + interval '2.4 seconds') returning id)
insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version, input_hash, provider,
  account, model, input_tokens, output_tokens, cached_tokens, cost_usd, remedy, latency_ms, started_at, finished_at)
select gen_random_uuid(), id, each ->> 'purpose', (each ->> 'attempt')::int, 1, 'answered', :tenant, :feature, :usr, :prompt,
  :version, '', 'openai', 'default', each ->> 'model', 400, 40, 0, (each ->> 'usd')::numeric, each ->> 'remedy', 800,
  :at, :at + interval '0.8 seconds'
from job cross join jsonb_array_elements(cast(:calls as jsonb)) each returning job_id
"""
ENDED = "update jobs set state = :state, wait = null, failure = cast(:failure as jsonb) where id = :job"
CHECK = "total: 'TOTAL 7' does not occur in the document: copy the value from it, word for word"


@dataclass(kw_only=True)
class Ledger:
    """What was written."""

    tenant: str
    reviews: list[int] = field(default_factory=list)
    """Answers that wait for a person, the oldest first."""
    failed: list[int] = field(default_factory=list)
    run: int = 0
    document: int = 0
    """Of the oldest answer that waits."""
    schedule: str = "nightly"
    collection: str = "letters"


def seed(engine: Engine, *, tenant: str = "default", names: Sequence[str] = ("a receipt.txt",)) -> Ledger:
    """Writes the ledger. ``names`` are what documents, features and people are called, in turns."""
    made = Ledger(tenant=tenant)
    with engine.begin() as connection:
        _weeks(connection, tenant, names)
        made.reviews = _wait(connection, tenant, names, before=0)
        found = text("select document_id from jobs where id = :id")
        made.document = connection.execute(found, {"id": made.reviews[0]}).scalar_one()
        made.run, made.failed = _run(connection, tenant, names)
        _budgets(connection, tenant)
        _schedule(connection, made, names)
        _collection(connection, made, names)
    return made


def wait_longest(engine: Engine, made: Ledger) -> list[int]:
    """Writes four more answers that wait for a person, the oldest first: older and dearer than all before them."""
    with engine.begin() as connection:
        waiting = _wait(connection, made.tenant, ("a receipt.txt",), before=len(made.reviews))
    made.reviews = [*waiting, *made.reviews]
    return waiting


def _weeks(connection: Connection, tenant: str, names: Sequence[str]) -> None:
    now = datetime.now(UTC)
    for number in range(DAYS):
        at = now - timedelta(days=number, minutes=1)
        values = {"tenant": tenant, "at": at, **_job(number, names)}
        job = connection.execute(text(JOB), values).first()
        assert job is not None
        connection.execute(text(ENDED), {"job": job.job_id, **values})


def _job(number: int, names: Sequence[str]) -> dict[str, Any]:
    """Every fifth is escalated, and every tenth fails after that; the newer half is of v3."""
    hard, bad = number % 5 == 0, number % 10 == 0
    called = [{"purpose": "first", "attempt": 0, "model": "sim-small", "usd": "0.0004", "remedy": None}]
    if hard:
        stronger = {
            "purpose": "escalation",
            "attempt": 1,
            "model": "sim-large",
            "usd": "0.004",
            "remedy": "stronger",
        }
        called.append(stronger)
    history = [
        {"kind": "wrong", "problems": [CHECK], "model": "sim-small", "remedy": "stronger", "message": CHECK}
    ]
    return {
        "feature": FEATURES[number % 3],
        "usr": f"u-{number % 4}",
        "prompt": "receipt",
        "version": "v3" if number < DAYS / 2 else "v2",
        "state": "failed" if bad else "done",
        "failure": json.dumps({"kind": "wrong", "message": CHECK}) if bad else None,
        "attempt": int(hard),
        "purpose": "escalation" if hard else "first",
        "name": names[number % len(names)],
        "history": json.dumps(history if hard else []),
        "calls": json.dumps(called),
    }


def _wait(connection: Connection, tenant: str, names: Sequence[str], *, before: int) -> list[int]:
    return [_in_review(connection, tenant, at, names, before) for at in range(4)]


def _in_review(connection: Connection, tenant: str, at: int, names: Sequence[str], before: int) -> int:
    body = f"TEA HOUSE\nDate: 2021-03-04\nTOTAL 4.10\n{before + at}"
    job = in_review(connection, WRONG, tenant=tenant, feature=FEATURES[at % 3], body=body, said=RIGHT)
    connection.execute(
        text(
            "update jobs set created_at = created_at - make_interval(mins => :m), name = :name,"
            " finished_at = finished_at - make_interval(mins => :m) where id = :id"
        ),
        {"m": 10 * (4 + before - at), "id": job, "name": names[at % len(names)]},
    )
    connection.execute(
        text("update calls set tenant = :tenant, cost_usd = :usd where job_id = :id"),
        {"tenant": tenant, "usd": Decimal(1 + before + at) / 1000, "id": job},
    )
    return job


def _run(connection: Connection, tenant: str, names: Sequence[str]) -> tuple[int, list[int]]:
    """Ten files, of which three cannot be read."""
    run = runs.begin(
        connection, tenant=tenant, name=names[-1], cause="api", submit={"prompt": "receipt"}, expected=10
    )
    failed = []
    for number in range(10):
        wanted = Submission(
            prompt="receipt",
            body=uuid4().bytes,
            tenant=tenant,
            feature="mailroom",
            name=names[number % len(names)],
        )
        job, bad = submit(connection, wanted), number < 3
        failure = {"kind": "unreadable", "message": f"page {number} of {names[number % len(names)]} is damaged"}
        connection.execute(
            text(
                "update jobs set run_id = :run, wait = null, state = :state, stage = 'validate',"
                " finished_at = clock_timestamp(), failure = cast(:failure as jsonb) where id = :job"
            ),
            {"run": run.id, "job": job, "state": "failed" if bad else "done",
             "failure": json.dumps(failure) if bad else None},
        )  # fmt: skip
        failed += [job] * bad
    return run.id, failed


def _budgets(connection: Connection, tenant: str) -> None:
    for scope, subject, span, cap in _caps(tenant):
        wanted = Wanted(scope=scope, subject=subject, span=span, policy="hold", cap_usd=Decimal(cap))
        budget_admin.put(connection, wanted, timezone="UTC")


def _caps(tenant: str) -> Iterator[tuple[Any, str, Any, str]]:
    yield "tenant", tenant, "month", "0.5"
    yield "tenant", tenant, "day", "0.1"


def _schedule(connection: Connection, made: Ledger, names: Sequence[str]) -> None:
    said = {"prompt": "receipt", "feature": names[-1], "paths": ["inbox"]}
    timing: dict[str, Any] = {"cron": "30 3 * * *", "time_zone": "UTC", "catch_up": "last"}
    schedules.add(connection, name=made.schedule, submit=said, tenant=made.tenant, **timing)
    connection.execute(
        text("insert into slots (name, slot, jobs, failure) values (:name, now(), 0, 'there is no inbox')"),
        {"name": made.schedule},
    )


def _collection(connection: Connection, made: Ledger, names: Sequence[str]) -> None:
    found = collections.ensure(connection, made.tenant, made.collection, "offline")
    connection.execute(
        text(
            "insert into collection_documents (collection_id, document_id, language, meta, models)"
            " select :collection, document_id, 'english', jsonb_build_object('by', cast(:name as text)), '{}'"
            " from jobs where id = any(:jobs)"
        ),
        {"collection": found.id, "name": names[-1], "jobs": made.reviews},
    )
