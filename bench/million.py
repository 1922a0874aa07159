"""A ledger to look at: a million jobs with ten million calls, as a fleet of two months would have left them.

The rows come by statements (``million.sql``), without triggers, and their roll-up is made from them afterwards, as
upkeep would have made it. What is odd is meant: a run of a seventh of all jobs, a cause that three jobs have, a
prompt that was only used in the beginning, and features that never met a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, Integer, bindparam, text

from db import costs

__all__ = ["LARGE", "SMALL", "TINY", "Ledger", "fill", "freshen"]

LARGE, SMALL, TINY = "default", "small", "tiny"
"""Tenants of 70 and 1 percent of the jobs, and of 20 jobs."""
BATCH = 100_000
LATELY = 30_000
"""Jobs of the last hour."""

FILLED = ("documents", "jobs", "calls", "exchanges", "results", "drives", "reviews")
BESIDES = (
    "budgets_of_others",
    "budgets_of_tenants",
    "collections",
    "collection_documents",
    "chunks",
    "schedules",
    "slots",
)
FRESHENED = ("later", "later_jobs", "later_calls")


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """How large it is, and the time zone of its days."""

    jobs: int
    timezone: str


def fill(engine: Engine, ledger: Ledger) -> None:
    """Makes all of it, as the owner of the tables; some ten minutes for a million jobs."""
    said = _statements()
    with engine.begin() as connection:
        now = connection.execute(text("select now()")).scalar_one()
    known = {"jobs": ledger.jobs, "now": now}
    _quietly(engine, said["runs"], {**known, "first": 1, "last": ledger.jobs})
    for table in FILLED:
        with _bare(engine, table):
            for first in range(1, ledger.jobs + 1, BATCH):
                last = min(first + BATCH - 1, ledger.jobs)
                _quietly(engine, said[table], {**known, "first": first, "last": last})
    for name in BESIDES:
        _quietly(engine, said[name], {})
    for table in ("documents", "jobs", "runs", "budgets"):
        newest = f"(select max(id) from {table})"
        _quietly(engine, f"select setval(pg_get_serial_sequence('{table}', 'id'), {newest})", {})
    with engine.begin() as connection:
        connection.execute(text("set local work_mem = '512MB'"))
        costs.roll_up(connection, timezone=ledger.timezone)
    _clean(engine, "")


def freshen(engine: Engine, ledger: Ledger) -> None:
    """Moves the last hour's jobs into the last hour, with a tenth of their calls, where the ledger was kept."""
    said = _statements()
    with engine.begin() as connection:
        _without_triggers(connection)
        for name in FRESHENED:
            connection.execute(text(said[name]), {"jobs": ledger.jobs, "lately": LATELY})
    _clean(engine, "jobs, calls")


def _statements() -> dict[str, str]:
    """Those of ``million.sql`` by their names."""
    blocks = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split("-- name: ")[1:]
    said = dict(block.strip().split("\n", 1) for block in blocks)
    shared = {name: said[name] for name in ("drawn", "words")}
    return {name: re.sub(r"\{(drawn|words)\}", lambda each: shared[each[1]], each) for name, each in said.items()}


def _clean(engine: Engine, tables: str) -> None:
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"vacuum analyze {tables}"))


def _quietly(engine: Engine, statement: str, values: dict[str, object]) -> None:
    with engine.begin() as connection:
        _without_triggers(connection)
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        numbers = [bindparam(name, type_=Integer) for name, value in used.items() if isinstance(value, int)]
        connection.execute(text(statement).bindparams(*numbers), used)


def _without_triggers(connection: Connection) -> None:
    connection.execute(text("set local session_replication_role = replica"))


@contextmanager
def _bare(engine: Engine, table: str) -> Iterator[None]:
    """A table without indexes and constraints, which are made again at once for all rows."""
    with engine.begin() as connection:
        held = _told(
            connection,
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
            " where contype in ('p', 'u', 'f') and cast(:table as regclass) in (conrelid, confrelid)"
            " order by contype = 'f', contype",
            table,
        )
        for owner, name, _ in reversed(held):
            connection.execute(text(f"alter table {owner} drop constraint {name}"))
        indexes = _told(
            connection,
            "select indexrelid::regclass::text, pg_get_indexdef(indexrelid), '' from pg_index"
            " where indrelid = cast(:table as regclass)",
            table,
        )
        for name, _, _ in indexes:
            connection.execute(text(f"drop index {name}"))
    yield
    with engine.begin() as connection:
        connection.execute(text("set local maintenance_work_mem = '512MB'"))
        for owner, name, definition in held:
            connection.execute(text(f"alter table {owner} add constraint {name} {definition}"))
        for _, definition, _ in indexes:
            connection.exec_driver_sql(definition.replace("%", "%%"))


def _told(connection: Connection, query: str, table: str) -> list[tuple[str, str, str]]:
    return [(row[0], row[1], row[2]) for row in connection.execute(text(query), {"table": table})]
