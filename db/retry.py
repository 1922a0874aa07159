"""Trying a job again, as a person asks for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

from docmill.errors import JobNotFit, JobUnknown

__all__ = ["fresh", "retry"]

SAME_ATTEMPT = frozenset({"poison", "internal", "budget", "deadline", "unreadable"})
"""Failures of circumstances: the replies that are paid for are used, unless they were erased."""


def retry(connection: Connection, job_id: int, *, deadline_at: datetime | None = None) -> None:
    """A failed job waits to be started again, with its history empty.

    Raises JobUnknown; JobNotFit for a job that has not failed, or whose deadline passed without a new one.
    """
    row = (
        connection.execute(
            text(
                "select state, stage, chain, failure ->> 'kind' as kind,"
                " deadline_at < clock_timestamp() as overdue,"
                " exists (select 1 from calls c where c.job_id = jobs.id and c.attempt = jobs.attempt"
                " and c.state in ('answered', 'cached')"
                " and not exists (select 1 from exchanges e where e.call_id = c.id)) as erased"
                " from jobs where id = :id for update"
            ),
            {"id": job_id},
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise JobUnknown(job_id)
    if row["state"] != "failed":
        raise JobNotFit(
            f"job {job_id} is {row['state']}, and only failed jobs are retried: "
            f"--fresh makes a new job of it, which pays again"
            if row["state"] in ("done", "needs_review", "cancelled")
            else f"job {job_id} is {row['state']}: it is on its way"
        )
    if row["overdue"] and deadline_at is None:
        raise JobNotFit(f"the deadline of job {job_id} has passed: give it a new one with --deadline")
    # An index job has no attempts: the vectors it has are kept, and it goes on where it failed.
    early = row["stage"] in ("validate", "context") or row["chain"] == "index"
    same = row["chain"] == "index" or ((row["kind"] in SAME_ATTEMPT or early) and not row["erased"])
    connection.execute(
        text(
            "update jobs set state = 'queued', wait = 'unsent', wake_at = clock_timestamp(), epoch = epoch + 1,"
            " history = '[]', crashes = 0, redrives = 0, failure = null, finished_at = null, owner = null,"
            " deadline_at = coalesce(:deadline_at, deadline_at)"
            + ("" if same else ", attempt = attempt + 1, purpose = 'first', model = null")
            + ("" if same or early else ", stage = 'complete'")
            + " where id = :id"
        ),
        {"id": job_id, "deadline_at": deadline_at},
    )


def fresh(connection: Connection, job_id: int, *, deadline_at: datetime | None = None) -> int:
    """A new job with the same document, prompt and parameters; it pays again. Raises JobUnknown."""
    made = connection.execute(
        text(
            "insert into jobs (tenant, feature, usr, lane, chain, document_id, collection, prompt, version,"
            " params, deadline_at, fresh)"
            " select tenant, feature, usr, lane, chain, document_id, collection, prompt, version,"
            " params, :deadline_at, true from jobs where id = :id returning id"
        ),
        {"id": job_id, "deadline_at": deadline_at},
    ).scalar()
    if made is None:
        raise JobUnknown(job_id)
    return int(made)
