"""The one way to the database: units of work. What is done in one is committed as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from db.autocommit import AutocommitConnections
from db.engine import make_engine

__all__ = ["Database", "one_statement", "open_database"]

Given = ParamSpec("Given")
Found = TypeVar("Found")
Operation = TypeVar("Operation", bound=Callable[..., Any])


def one_statement(operation: Operation) -> Operation:
    """Marks an operation that is one statement, whichever way it goes: it needs no transaction around it."""
    operation.one_statement = True  # type: ignore[attr-defined] # functions take attributes
    return operation


class Database:
    """An engine, and the units of work that go through it.

    ``keeps`` says that it may keep connections for statements that stand alone, until it is closed.
    """

    def __init__(self, engine: Engine, *, keeps: bool = False) -> None:
        self.engine = engine
        self._autocommit = AutocommitConnections(engine, keeps=keeps)
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def work(self, *, atomic: bool = True) -> Iterator[Connection]:
        """Begins a unit of work, and commits it at its end; an exception takes it back.

        Without ``atomic`` each statement is committed by itself, in the round trip that it takes anyway: for where
        what stands after the first of them is as good as what stands after all.
        """
        if not atomic:
            with self._autocommit.connection() as connection:
                yield connection
            return
        with self._autocommit.from_pool(self.engine) as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Begins a unit of work that reads alone: all its statements see what there was at the first of them.

        For what is put together of several statements, between which a job that moves would be seen twice, or not
        at all.
        """
        with self._autocommit.from_pool(self._snapshots) as connection, connection.begin():
            yield connection

    def run(
        self,
        operation: Callable[Concatenate[Connection, Given], Found],
        *args: Given.args,
        **options: Given.kwargs,
    ) -> Found:
        """Does one thing as a unit of work: what ``operation`` returns, given a connection first."""
        alone = getattr(operation, "one_statement", False)
        with self._autocommit.connection() if alone else self.work() as connection:
            return operation(connection, *args, **options)

    def close(self) -> None:
        """Closes all of its connections that nobody uses."""
        self._autocommit.close()
        self.engine.dispose()


@contextmanager
def open_database(url: str, **options: Any) -> Iterator[Database]:
    """Opens a database with an engine of its own (:func:`db.engine.make_engine`), and closes it at the end."""
    database = Database(make_engine(url, **options), keeps=True)
    try:
        yield database
    finally:
        database.close()
