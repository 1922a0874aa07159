"""Bringing a database to the schema that this version needs: tables by migrations, then functions and triggers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from db.costs import keep_days
from db.database import open_database

__all__ = ["put_in_functions", "upgrade"]

FUNCTIONS = Path(__file__).parents[1] / "sql" / "functions.sql"
ADVISORY_LOCK = 0x646F636D
"""Two replicas that start at once take turns."""


def upgrade(database_url: str, *, timezone: str | None = None) -> None:
    """Runs what has not run yet, and keeps the days of reports to those of ``timezone``, where one is named.

    Raises ServiceAway where the database does not answer."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with open_database(database_url) as database, database.work() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        put_in_functions(connection)
        if timezone is not None:
            keep_days(connection, timezone=timezone)


def put_in_functions(connection: Connection) -> bool:
    """Makes the schema's functions and triggers those of ``db/sql/functions.sql``; False where they are already.

    One of them carries the file's hash: a trigger that is made stops writes for a moment, and is not made in vain.
    """
    functions = FUNCTIONS.read_text(encoding="utf-8")
    mark = f"functions.sql {hashlib.sha256(functions.encode()).hexdigest()}"
    found = text("select obj_description(oid) from pg_proc where proname = 'docmill_submit_file'")
    if connection.execute(found).scalar() == mark:
        return False
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    driver.execute(functions.encode())
    connection.execute(text(f"comment on function docmill_submit_file is '{mark}'"))
    return True
