"""Figures for Prometheus, read from Postgres, so that each replica tells the same of the whole fleet."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Connection

from db.concerns import KINDS, concerns
from db.overview import snapshot, tenants
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
    _tell_concerns(connection, registry)
    return generate_latest(registry)


def _tell_concerns(connection: Connection, registry: CollectorRegistry) -> None:
    """What needs somebody, as the overview says it; a kind without any is 0, so that alerts resolve."""
    found = snapshot(connection, tenants(connection))
    told = Gauge("docmill_concerns", "What needs somebody, by kind", ["kind"], registry=registry)
    jobs = Gauge("docmill_concern_jobs", "Jobs that wait for somebody, or failed", ["kind"], registry=registry)
    age = Gauge("docmill_review_age_seconds", "Since when the oldest answer waits for a person", registry=registry)
    for kind in KINDS:
        told.labels(kind).set(0)
        jobs.labels(kind).set(0)
    for each in concerns(found):
        told.labels(each.kind).inc()
        jobs.labels(each.kind).inc(each.jobs)
    age.set(0 if found.review_since is None else (found.at - found.review_since).total_seconds())
