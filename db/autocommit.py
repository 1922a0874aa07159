"""Connections that stay out of an engine's pool, for statements that stand alone.

Almost everything that a stage says to the database is one statement. To take a connection out of SQLAlchemy's pool
for it, have it commit by itself, set it back and put it in again takes as much CPU as the statement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection, Engine, QueuePool, event

from db.engine import LOOKED_AT_S, TRUSTED_S, is_readable

__all__ = ["AutocommitConnections"]


class AutocommitConnections:
    """Connections of an engine that commit each statement by itself; the one used last goes first.

    They are of the pool's number: where somebody finds the pool empty, one of them goes back. Unless it ``keeps``
    them all go back at once. Safe for threads.
    """

    def __init__(self, engine: Engine, *, keeps: bool) -> None:
        self._keeps = keeps
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._resting: list[tuple[Connection, float]] = []
        """With the time since when, by the clock."""
        self._wanting = 0
        """So many take one from the pool just now, or wait for one."""
        self._lost_at = -LOOKED_AT_S
        self._lock = Lock()
        event.listen(engine, "invalidate", self._lost)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lends a connection; after an error it goes back to the pool, which looks at it."""
        connection = self._rested() or self.from_pool(self._engine)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._rest(connection)

    def from_pool(self, engine: Engine) -> Connection:
        """Takes a connection of the pool that both engines share. Raises what SQLAlchemy raises."""
        with self._lock:
            self._wanting += 1
            spare = self._resting.pop()[0] if self._resting and _is_taken(engine, self._wanting) else None
        try:
            if spare is not None:
                spare.close()
            return engine.connect()
        finally:
            with self._lock:
                self._wanting -= 1

    def close(self) -> None:
        """Gives back all that nobody uses."""
        while self._resting:
            self._resting.pop()[0].close()

    def _rested(self) -> Connection | None:
        """One that the server has not closed, as far as can be seen without asking it."""
        while True:
            with self._lock:
                if not self._resting:
                    return None
                connection, since = self._resting.pop()
            if not self._is_lost(connection, since):
                return connection
            connection.invalidate()
            connection.close()

    def _is_lost(self, connection: Connection, since: float) -> bool:
        """One that was used a moment ago is not looked at, as long as none was lost (docs/decisions/0006)."""
        driver, now = connection.connection.driver_connection, time.monotonic()
        if driver is None or driver.closed:
            return True
        trusted = now - since < TRUSTED_S and now - self._lost_at > LOOKED_AT_S
        return not trusted and is_readable(driver.fileno())

    def _rest(self, connection: Connection) -> None:
        if connection.in_transaction():  # of SQLAlchemy's own kind; the server knows of none
            connection.rollback()
        with self._lock:
            if self._keeps and not self._wanting:
                self._resting.append((connection, time.monotonic()))
                return
        connection.close()

    def _lost(self, *_: object) -> None:
        self._lost_at = time.monotonic()


def _is_taken(engine: Engine, wanting: int) -> bool:
    """Whether the pool has no connection for the last of so many that want one."""
    pool = engine.pool
    return isinstance(pool, QueuePool) and pool.checkedout() + wanting > pool.size()
