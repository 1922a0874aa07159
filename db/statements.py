"""Statements that every document takes, handed to psycopg as they are.

SQLAlchemy prepares a statement and its result anew for each execution, which takes three times as long as psycopg
takes for the whole of it; and a worker has one interpreter for all its threads. Connections, transactions, errors
and the engine's events (``before_cursor_execute``, ``after_cursor_execute``) are SQLAlchemy's here too, so that
neither callers nor the engine's listeners see a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

__all__ = ["Statement", "statement"]

DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class Statement:
    """One statement, with ``:name`` where a value stands. A value may be given that it has no place for.

    Each execution raises what SQLAlchemy raises: OperationalError, IntegrityError and their like. On a connection
    that commits, it is committed with ``engine.begin()`` around it, or under autocommit.
    """

    def __init__(self, sql: str) -> None:
        self._sql = str(text(sql).compile(dialect=DIALECT))

    def first(self, connection: Connection, values: Mapping[str, object]) -> Any | None:
        """The first row, its columns as attributes; None where there is none."""
        return self._run(connection, values).fetchone()

    def one(self, connection: Connection, values: Mapping[str, object]) -> Any:
        """The row of a statement that always has one."""
        row = self.first(connection, values)
        if row is None:
            raise RuntimeError("a statement that always has a row had none")
        return row

    def count(self, connection: Connection, values: Mapping[str, object]) -> int:
        """How many rows it changed."""
        return self._run(connection, values).rowcount

    def _run(self, connection: Connection, values: Mapping[str, object]) -> psycopg.Cursor[Any]:
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        cursor = driver.cursor(row_factory=namedtuple_row)
        execution = (connection, cursor, self._sql, values, None, False)
        connection.engine.dispatch.before_cursor_execute(*execution)
        try:
            cursor.execute(self._sql, values)
        except psycopg.Error as error:
            lost = driver.closed
            if lost:
                connection.invalidate(error)
            raise DBAPIError.instance(
                self._sql, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=lost
            ) from error
        connection.engine.dispatch.after_cursor_execute(*execution)
        return cursor


@lru_cache(maxsize=256)
def statement(sql: str) -> Statement:
    """The same statement for the same text, for those that are put together where they are used."""
    return Statement(sql)
