"""The one place that makes database engines."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from psycopg import Connection
from psycopg.types.json import set_json_loads
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import ConnectionPoolEntry

from db import stored
from db.statements import statements_of
from docmill.errors import Misconfigured, ServiceAway

__all__ = [
    "ALIVE",
    "LOOKED_AT_S",
    "TRUSTED_S",
    "is_away",
    "is_passing",
    "is_readable",
    "make_engine",
    "without_lock_timeout",
]

SQL = statements_of("connections")

GONE = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25P03", "25P04")
"""SQLSTATEs, or their classes, of a connection that broke, and of a server that ends, starts or has no more."""
PASSING = ("40", "53", "55006", "55P03", "57014", "58", "25006")
"""Those of what another try may not meet: deadlocks, timeouts, a full disk, a server that only reads."""

CONNECT_TIMEOUT_S = 5
TRUSTED_S = 0.1
"""A connection that was used so lately is taken as it is."""
LOOKED_AT_S = 10.0
"""After a connection was lost, so long none is trusted."""
ABANDONED_AFTER_S = 60
"""A transaction whose process fell silent is rolled back by the server, or its locks would hold for ever."""

# A peer that vanished without a word is noticed in half a minute, and not after the kernel's two hours.
ALIVE: dict[str, int] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def make_engine(
    database_url: str,
    *,
    pool_size: int = 10,
    probe: bool = True,
    pool_timeout_s: float = 30.0,
    lock_timeout_s: float = 0.0,
    statement_timeout_s: float = 0.0,
) -> Engine:
    """An engine over psycopg; with ``probe``, one that has been seen to answer.

    ``pool_size`` is connections for this process; more are never opened. A statement that waits for a lock, or
    runs, longer than its timeout fails with an OperationalError; 0 is for ever. Raises Misconfigured for an
    address that is none, ServiceAway where nothing answers. No message shows the password.
    """
    try:
        url = make_url(database_url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError) as error:
        raise Misconfigured(
            "DOCMILL_DATABASE_URL is no database address: it looks like postgresql://user:password@host/name"
        ) from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        pool_timeout=pool_timeout_s,
        max_overflow=0,
        pool_use_lifo=True,  # the one used last has its statements prepared
        hide_parameters=True,  # an error's text goes to logs, and documents and replies are parameters
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, **ALIVE},
    )
    event.listen(engine, "connect", partial(_set_up, lock_timeout_s, statement_timeout_s))
    _Guard().attach(engine)
    if not probe:
        return engine
    try:
        with engine.connect() as connection:
            SQL["answers"].scalar(connection)
    except OperationalError as error:
        engine.dispose()
        raise ServiceAway(
            f"the database at {url.render_as_string(hide_password=True)} does not answer "
            f"({_first_line(error)}): start it, or mend DOCMILL_DATABASE_URL"
        ) from error
    return engine


def is_away(error: BaseException) -> bool:
    """Returns whether an error says that the database does not answer, and nothing of what it was asked.

    The class alone does not tell: psycopg has one for a broken connection and for a statement that nests too deep.
    """
    if isinstance(error, NoConnectionFree | DisconnectionError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    if error.connection_invalidated or (state or "").startswith(GONE):
        return True
    # What the driver says itself, of a connection that it did not get or has no more, has no state.
    return state is None and isinstance(error, OperationalError | InterfaceError)


def is_passing(error: BaseException) -> bool:
    """Returns whether the same statement may soon succeed: the database is away, or others were in its way.

    Of an error that is not, another try makes the same: what was asked cannot be done.
    """
    return is_away(error) or (isinstance(error, DBAPIError) and (_state(error) or "").startswith(PASSING))


def _state(error: DBAPIError) -> str | None:
    """SQLSTATE, as the server told it."""
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _set_up(
    lock_timeout_s: float, statement_timeout_s: float, connection: Connection[Any], _record: object
) -> None:
    """Each new connection, in one round trip.

    Behind PgBouncer in transaction mode the next transaction may find another server process, which knows nothing
    of what this one prepared. A pooler gives itself away: the server process it named at the start is none.
    """
    set_json_loads(stored.loads, connection)
    timeouts_s = {"abandoned": ABANDONED_AFTER_S, "lock": lock_timeout_s, "statement": statement_timeout_s}
    told = SQL["set_up"].on_driver(connection, {name: f"{s * 1000:.0f}ms" for name, s in timeouts_s.items()})
    connection.commit()
    if told.pid != connection.info.backend_pid:
        connection.prepare_threshold = None


@contextmanager
def without_lock_timeout(connection: SqlConnection) -> Iterator[None]:
    """For what has to wait for others, however long; ``connection`` commits each statement by itself."""
    before = SQL["lock_timeout"].scalar(connection)
    SQL["set_lock_timeout"].scalar(connection, {"value": "0"})
    try:
        yield
    finally:
        SQL["set_lock_timeout"].scalar(connection, {"value": before})


class _Guard:
    """Hands out no pooled connection that the server has closed.

    Such a one is readable. To look costs no round trip, which a ping at each checkout would; but it lets go of
    Python's lock, for which a hundred threads wait. So one that was used a moment ago is not looked at, as long as
    none was lost: that one fails for whoever has it, and from then on all are looked at.
    """

    def __init__(self) -> None:
        self._lost_at = -LOOKED_AT_S

    def attach(self, engine: Engine) -> None:
        event.listen(engine, "checkin", self._rests)
        event.listen(engine, "checkout", self._look)
        event.listen(engine, "invalidate", self._lost)

    def _rests(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    def _lost(self, *_: object) -> None:
        self._lost_at = time.monotonic()

    def _look(self, connection: Connection[Any], record: ConnectionPoolEntry, _proxy: object) -> None:
        """Raises InvalidatePoolError, upon which it is replaced, and all others too."""
        now = time.monotonic()
        trusted = now - record.info.get("rests_since", 0.0) < TRUSTED_S and now - self._lost_at > LOOKED_AT_S
        if connection.closed or (not trusted and is_readable(connection.fileno())):
            raise InvalidatePoolError("the server closed the connection")


def is_readable(file: int) -> bool:
    """Returns whether something came unasked on a connection that rests: that the server closed it."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def _first_line(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0]
