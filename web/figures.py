"""Figures for Prometheus, read from Postgres, so that each replica tells the same of the whole fleet."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Engine, text

__all__ = ["STATEMENTS", "figures"]

# Each has an index of just the rows that it counts: no job that has ended is read, and no call that is known.
UNSENT = "select stage, wait, count(*) as n from jobs where wait = 'unsent' group by stage, wait"
MOVING = (
    "select stage, wait, count(*) as n from jobs where wait is not null and wait <> 'unsent' group by stage, wait"
)
DOUBTFUL = "select count(*) from calls where possibly_billed and state = 'in_doubt'"
SLOTS = (
    "select queue, sum(slots) as n from workers where seen_at > clock_timestamp() - interval '30 s' group by queue"
)
STATEMENTS = (UNSENT, MOVING, DOUBTFUL)


def figures(engine: Engine) -> bytes:
    """As Prometheus reads them."""
    registry = CollectorRegistry()
    waiting = Gauge("docmill_jobs_open", "Jobs that have not ended", ["stage", "wait"], registry=registry)
    slots = Gauge("docmill_worker_slots", "Slots of workers seen lately", ["queue"], registry=registry)
    doubtful = Gauge("docmill_calls_in_doubt", "Calls of unknown outcome", registry=registry)
    with engine.connect() as connection:
        for statement in (UNSENT, MOVING):
            for row in connection.execute(text(statement)):
                waiting.labels(row.stage, row.wait).set(row.n)
        for row in connection.execute(text(SLOTS)):
            slots.labels(row.queue).set(row.n)
        doubtful.set(connection.execute(text(DOUBTFUL)).scalar_one())
    return generate_latest(registry)
