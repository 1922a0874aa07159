"""Figures for Prometheus, read from Postgres, so that each replica tells the same of the whole fleet."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Connection

from db.statements import statements_of

__all__ = ["figures"]

SQL = statements_of("figures")


def figures(connection: Connection) -> bytes:
    """As Prometheus reads them."""
    registry = CollectorRegistry()
    waiting = Gauge("docmill_jobs_open", "Jobs that have not ended", ["stage", "wait"], registry=registry)
    slots = Gauge("docmill_worker_slots", "Slots of workers seen lately", ["queue"], registry=registry)
    doubtful = Gauge("docmill_calls_in_doubt", "Calls of unknown outcome", registry=registry)
    for row in (*SQL["unsent"].rows(connection), *SQL["under_way"].rows(connection)):
        waiting.labels(row.stage, row.wait).set(row.jobs)
    for row in SQL["slots"].rows(connection):
        slots.labels(row.queue).set(row.slots)
    doubtful.set(SQL["in_doubt"].scalar(connection))
    return generate_latest(registry)
