"""Erasing what was said to models and by them, once it is old. The ledger's figures stay."""

from __future__ import annotations

from sqlalchemy import Connection

from db.statements import statements_of

__all__ = ["BATCH", "erase_exchanges"]

SQL = statements_of("retention")

BATCH = 1000
"""Exchanges that one statement erases: a short lock, and little to do again after a crash."""


def erase_exchanges(connection: Connection, *, older_than_s: float, batch: int = BATCH) -> int:
    """Erases some exchanges of jobs that have ended; how many. Fewer than ``batch`` says that none is left.

    A job that is still on its way keeps its own, however old: its stages go back to them. Jobs that others
    have in hand wait for the next time.
    """
    values = {"older_than_s": older_than_s, "batch": batch}
    erased = SQL["erase_of_jobs"].count(connection, values)
    return erased + SQL["erase_of_no_job"].count(connection, values | {"batch": batch - erased})
