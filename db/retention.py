"""Erasing what was said to models and by them, once it is old. The ledger's figures stay."""

from __future__ import annotations

from sqlalchemy import Connection, text

__all__ = ["BATCH", "erase_exchanges"]

BATCH = 1000
"""Exchanges that one statement erases: a short lock, and little to do again after a crash."""


def erase_exchanges(connection: Connection, *, older_than_s: float, batch: int = BATCH) -> int:
    """Erases some exchanges of jobs that have ended; how many. Fewer than ``batch`` says that none is left.

    A job that is still on its way keeps its own, however old: its stages go back to them. Jobs that others
    have in hand wait for the next time.
    """
    values = {"older_than_s": older_than_s, "batch": batch}
    erased = connection.execute(ERASE_OF_JOBS, values).rowcount
    return erased + connection.execute(ERASE_OF_NO_JOB, values | {"batch": batch - erased}).rowcount


# A retry that begins meanwhile waits for the lock, and then finds the replies gone.
ERASE_OF_JOBS = text(
    "with old as (select e.call_id from exchanges e"
    " join calls c on c.id = e.call_id join jobs j on j.id = c.job_id"
    " where e.at < clock_timestamp() - make_interval(secs => :older_than_s)"
    " and c.state <> 'intent' and j.wait is null limit :batch for no key update of j skip locked)"
    " delete from exchanges e using old where e.call_id = old.call_id"
)
ERASE_OF_NO_JOB = text(
    "with old as (select e.call_id from exchanges e join calls c on c.id = e.call_id"
    " where e.at < clock_timestamp() - make_interval(secs => :older_than_s)"
    " and c.state <> 'intent' and c.job_id is null limit :batch for update of e skip locked)"
    " delete from exchanges e using old where e.call_id = old.call_id"
)
