"""Whose turn it is at workers that compute, where jobs of several tenants wait in the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from db.database import one_statement
from db.fleet import AT_CPU, LANES, LOST_S, SEEN_WITHIN_S
from db.jobs import Job
from db.statements import statements_of

__all__ = ["PATIENCE_S", "Waiting", "must_give_way", "waiting"]

SQL = statements_of("turns")

PATIENCE_S = 0.5
"""Nobody is told to let another pass who has waited for less."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The tenant of a job, and for how many seconds each other tenant waits."""

    tenant: str
    others: Mapping[str, float]
    of_all: bool
    """Whether all who wait are among them: whom a bulk job lets pass, who is interactive does not look for."""
    beyond_share: bool = False
    """Whether the tenant's documents had to let others pass, and it holds its share of the slots already."""


@one_statement
def waiting(connection: Connection, job_id: int, epoch: int) -> Waiting | None:
    """Returns who else waits, when a job's message came; None for a stale one, and for a job in quarantine."""
    values = {"id": job_id, "epoch": epoch, "at_cpu": AT_CPU, "patience_s": PATIENCE_S, "most_s": LOST_S}
    rows = SQL["waiting"].rows(connection, {**values, "lanes": list(LANES), "within_s": SEEN_WITHIN_S})
    others = {row.tenant: row.waited_s for row in rows if row.tenant is not None}
    if not rows:
        return None
    mine = rows[0]
    return Waiting(tenant=mine.mine, others=others, of_all=mine.lane == "bulk", beyond_share=mine.beyond_share)


@one_statement
def must_give_way(connection: Connection, job: Job) -> bool:
    """Returns whether a job that has run for a while holds up others, and is not among the half that may."""
    values = {"id": job.id, "tenant": job.tenant, "lane": job.lane, "at_cpu": AT_CPU}
    return bool(
        SQL["gives_way"].scalar(connection, {**values, "patience_s": PATIENCE_S, "within_s": SEEN_WITHIN_S})
    )
