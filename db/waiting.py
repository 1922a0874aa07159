"""Who waits for a model, and how it has answered lately; reads only, and never more than so many rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from db.statements import statements_of

__all__ = ["JOBS", "MOST", "calls_lately", "for_models"]

SQL = statements_of("waiting")

MOST = 20_000
JOBS = 500
"""Whose calls are looked at."""


@dataclass(frozen=True, kw_only=True)
class WaitingFor:
    """A feature's jobs that are held for a model's limits, or for the end of its hold."""

    held_for: str
    feature: str
    jobs: int
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Answering:
    """How a model answered in the last hour."""

    model: str
    account: str
    calls: int
    limited: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None


def for_models(connection: Connection, tenant: str) -> list[WaitingFor]:
    """Reads who of a tenant waits for which model."""
    return SQL["for_models"].rows(connection, {"tenant": tenant, "most": MOST}, of=WaitingFor)


def calls_lately(connection: Connection, tenant: str) -> list[Answering]:
    """Reads how models answered a tenant in the last hour: calls for the :data:`JOBS` that ended last, and as many
    of those that are under way, and that are held for a model.
    """
    return SQL["calls_lately"].rows(connection, {"tenant": tenant, "jobs": JOBS}, of=Answering)
