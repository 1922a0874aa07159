"""Results: revisions that never change, the first one written with the job's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from db.jobs import ENDING, FENCE, Job, as_json, told
from db.statements import Statement
from docmill.errors import Failure

__all__ = ["Stored", "store"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """``flight``: the key of the flight that the job led, which is over now; its waiters are still to be told."""

    flight: bytes | None


def store(
    connection: Connection, job: Job, state: Literal["done", "needs_review"], *, failure: Failure | None
) -> Stored | None:
    """Ends the job with its value as the next revision, where it has one; None for a stale message."""
    value = job.value or {}
    row = STORE.one(
        connection,
        {
            **job.fence,
            "state": state,
            "failure": as_json(told(failure)),
            "value": as_json(value.get("answer")),
            "evidence": as_json(value.get("evidence")),
        },
    )
    return Stored(flight=None if row.key is None else bytes(row.key)) if row.ended else None


STORE = Statement(
    f"with ended as (update jobs set {ENDING} where {FENCE} returning id),"
    " written as (insert into results (job_id, revision, value, evidence, author)"
    " select id, 1 + coalesce((select max(revision) from results where job_id = ended.id), 0),"
    " cast(:value as jsonb), cast(:evidence as jsonb), 'model'"
    " from ended where cast(:value as jsonb) is not null),"
    " flown as (delete from flights using ended where flights.job_id = ended.id returning key)"
    " select (select count(*) from ended) as ended, (select key from flown) as key"
)
