"""Bringing a database to the schema that this version needs: tables by migrations, then functions and triggers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import psycopg
from alembic import command
from alembic.config import Config
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from db.costs import keep_days
from db.database import open_database
from db.migrations.rights import grant
from docmill.errors import Misconfigured

__all__ = ["put_in_functions", "upgrade"]

FUNCTIONS = Path(__file__).parents[1] / "sql" / "functions.sql"
ADVISORY_LOCK = 0x646F636D
"""Two replicas that start at once take turns."""


def upgrade(owner_url: str, *, application_url: str | None = None, timezone: str | None = None) -> None:
    """Runs what has not run yet, as the owner of the tables, and gives the application's role its rights.

    The days of reports are kept to those of ``timezone``, where one is named. Raises ServiceAway where the
    database does not answer, Misconfigured where the application's role is missing and cannot be made.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        with open_database(owner_url) as database, database.work() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            put_in_functions(connection)
            if timezone is not None:
                keep_days(connection, timezone=timezone)
            if application_url is not None:
                grant(connection, application_url)
    except (ProgrammingError, InsufficientPrivilege) as error:
        refused = error.orig if isinstance(error, ProgrammingError) else error
        if not isinstance(refused, InsufficientPrivilege):
            raise
        raise Misconfigured(
            f"this role may not change the database's tables ({refused.diag.message_primary}): "
            f"set DOCMILL_DATABASE_OWNER_URL to the address of one that may"
        ) from error


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
