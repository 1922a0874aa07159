"""Executing the statements of ``db/sql`` on SQLAlchemy's connections, by psycopg itself.

SQLAlchemy prepares a statement and its result anew for each execution, which takes twice as long as psycopg takes
for the whole of it, also where it is handed the driver's own text; and a worker has one interpreter for all its
threads. Connections, transactions and errors are SQLAlchemy's here too. Who wants to hear of what is executed sets
psycopg's ``cursor_factory``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast, overload

import psycopg
from psycopg.rows import class_row, namedtuple_row
from sqlalchemy import Connection, exc

from db import sql

__all__ = ["Statement", "statements_of"]

Row = TypeVar("Row")

ERRORS = {
    getattr(psycopg, name): getattr(exc, name)
    for name in (
        "DataError",
        "IntegrityError",
        "InternalError",
        "NotSupportedError",
        "OperationalError",
        "ProgrammingError",
        "DatabaseError",
        "InterfaceError",
    )
}
"""What SQLAlchemy raises for each of the driver's errors, general ones last."""


class Statement:
    """One statement, with ``:name`` where a value stands. A value may be given that it has no place for.

    Each execution raises what SQLAlchemy raises: OperationalError, IntegrityError and their like.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._sql = sql.with_values(text, "%({})s".format, percent="%%")

    def first(self, connection: Connection, values: Mapping[str, object]) -> Any | None:
        """The first row, its columns as attributes; None where there is none."""
        return self._execute(connection, values).fetchone()

    def one(self, connection: Connection, values: Mapping[str, object]) -> Any:
        """The row of a statement that always has one."""
        row = self.first(connection, values)
        if row is None:
            raise RuntimeError("a statement that always has a row had none")
        return row

    @overload
    def rows(self, connection: Connection, values: Mapping[str, object] = ...) -> list[Any]: ...
    @overload
    def rows(self, connection: Connection, values: Mapping[str, object] = ..., *, of: type[Row]) -> list[Row]: ...

    def rows(
        self, connection: Connection, values: Mapping[str, object] | None = None, *, of: type[Any] | None = None
    ) -> list[Any]:
        """All rows, their columns as attributes; or made into ``of``, which takes them by name."""
        return self._execute(connection, values or {}, of).fetchall()

    def scalar(self, connection: Connection, values: Mapping[str, object] | None = None) -> Any:
        """The first column of the first row; None where there is no row."""
        row = self._execute(connection, values or {}).fetchone()
        return None if row is None else row[0]

    def count(self, connection: Connection, values: Mapping[str, object] | None = None) -> int:
        """Returns how many rows it changed."""
        return self._execute(connection, values or {}).rowcount

    def on_driver(self, driver: psycopg.Connection[Any], values: Mapping[str, object]) -> Any:
        """The first row, on a connection that no pool has yet. Raises what the driver raises."""
        return driver.cursor(row_factory=namedtuple_row).execute(self._sql, values).fetchone()

    def _execute(
        self, connection: Connection, values: Mapping[str, object], of: type[Any] | None = None
    ) -> psycopg.Cursor[Any]:
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        if not driver.autocommit and not connection.in_transaction():
            connection.begin()  # as SQLAlchemy does at a first statement, so that a commit or a rollback is one
        cursor = driver.cursor(row_factory=namedtuple_row if of is None else class_row(of))
        try:
            return cursor.execute(self._sql, values)
        except psycopg.Error as error:
            lost = driver.closed
            if lost:
                connection.invalidate(error)
            kind = next((ours for theirs, ours in ERRORS.items() if isinstance(error, theirs)), exc.DBAPIError)
            raise kind(self._sql, None, error, hide_parameters=True, connection_invalidated=lost) from error


@cache
def statements_of(aggregate: str) -> Mapping[str, Statement]:
    """The statements of ``db/sql/<aggregate>.sql`` by their names."""
    return {
        key.partition(".")[2]: Statement(block.text)
        for key, block in sql.statements().items()
        if key.startswith(f"{aggregate}.")
    }
