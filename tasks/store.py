"""Store: the result is written, and the job ends."""

from __future__ import annotations

import json

from sqlalchemy import Connection, text

from db import flights, jobs
from db.jobs import Job
from docmill.errors import Failure
from tasks.services import Services
from tasks.steps import Onward, Step, Stop

__all__ = ["store"]


def store(services: Services, job: Job) -> Step:
    """One transaction: the result's revision, and the job's end. The loser of a duplicate changes nothing."""
    value = job.value or {}
    doubt = value.get("doubt")
    failure = Failure(kind=doubt["kind"], message=doubt["message"]) if doubt else None
    with services.engine.begin() as connection:
        ended = jobs.end(connection, job, "needs_review" if doubt else "done", failure=failure)
        if ended and value.get("answer") is not None:
            _write(connection, job)
        led = ended and flights.land(connection, job)
        model, cost = flights.spent_on(connection, job.id) if led else ("", None)
    if led and not doubt and job.flight_key is not None:
        kept = {"answer": value["answer"], "evidence": value.get("evidence"), "model": model}
        services.cache.put(bytes(job.flight_key), {**kept, "cost_usd": None if cost is None else str(cost)})
    return Onward() if ended else Stop("stale")


def _write(connection: Connection, job: Job) -> None:
    value = job.value or {}
    connection.execute(
        text(
            "insert into results (job_id, revision, value, evidence, author)"
            " select :job, coalesce(max(revision), 0) + 1, cast(:value as jsonb), cast(:evidence as jsonb),"
            " 'model' from results where job_id = :job"
        ),
        {
            "job": job.id,
            "value": json.dumps(value["answer"], ensure_ascii=False),
            "evidence": json.dumps(value.get("evidence")),
        },
    )
