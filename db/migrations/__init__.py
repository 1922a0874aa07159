"""Bringing a database to the schema that this version needs."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from db.costs import keep_days
from db.database import open_database

__all__ = ["upgrade"]

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
        if timezone is not None:
            keep_days(connection, timezone=timezone)
