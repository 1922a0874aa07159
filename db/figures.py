"""Figures that only grow, for Prometheus: counted by minute from what has ended, whoever ended it, and added up.

Upkeep counts, so that a scrape reads some hundred rows however many jobs and calls there are, and a job does
nothing for it. A minute is counted again for a while, as what ended in it may be committed a little later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of

__all__ = ["BOUNDS", "Labels", "bucket_of", "count", "deliveries", "note", "totals"]

SQL = statements_of("figures")

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Of histograms, in seconds."""
STILL = timedelta(minutes=2)
"""After its time, what ended in a minute is committed: no transaction is silent for longer than half of that."""
MOST_DELIVERIES = 10_000

Labels = tuple[str, ...]


def count(connection: Connection) -> None:
    """Counts what has ended since the last time. One at a time, as upkeep does it."""
    row = SQL["until"].one(connection, {})
    since = row.until - STILL
    values = {"since": since, "bounds": list(BOUNDS), "now": row.now}
    SQL["count_jobs"].count(connection, values)
    SQL["count_calls"].count(connection, values)
    SQL["set_until"].count(connection, values)
    SQL["add_up"].count(connection, {"before": since - STILL})


@one_statement
def note(connection: Connection, measured: Mapping[tuple[str, str, str], float]) -> None:
    """Adds what a process has measured itself: by metric and two labels, the second empty where it has one."""
    metrics, firsts, seconds = (
        (list(column) for column in zip(*measured, strict=True)) if measured else ([], [], [])
    )
    values = {
        "metrics": metrics,
        "firsts": firsts,
        "seconds": seconds,
        "values": list(map(float, measured.values())),
    }
    SQL["note"].count(connection, values)


def bucket_of(seconds: float) -> int:
    """The bucket of a time, as Postgres's ``width_bucket`` numbers them."""
    return sum(bound <= seconds for bound in BOUNDS)


def totals(connection: Connection) -> dict[str, dict[Labels, float]]:
    """Each figure's value by its labels."""
    found: dict[str, dict[Labels, float]] = {}
    for row in SQL["totals"].rows(connection):
        found.setdefault(row.metric, {})[tuple(row.labels)] = row.value
    return found


def deliveries(connection: Connection) -> Sequence[tuple[str, int]]:
    """How many of webhooks' deliveries wait, and were given up, at most :data:`MOST_DELIVERIES` of each."""
    rows = SQL["deliveries"].rows(connection, {"most": MOST_DELIVERIES})
    return [(row.state, row.deliveries) for row in rows]
