"""The one place that makes database engines."""

from __future__ import annotations

import select

from psycopg import Connection
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, OperationalError

from docmill.errors import Misconfigured, ServiceAway

__all__ = ["make_engine"]

CONNECT_TIMEOUT_S = 5


def make_engine(database_url: str, *, pool_size: int = 10, probe: bool = True) -> Engine:
    """An engine over psycopg; with ``probe``, one that has been seen to answer.

    ``pool_size`` is connections for this process; more are never opened. Raises Misconfigured for an address
    that is none, ServiceAway where nothing answers. No message shows the password.
    """
    try:
        url = make_url(database_url).set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        raise Misconfigured(
            "DOCMILL_DATABASE_URL is no database address: it looks like postgresql://user:password@host/name"
        ) from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # an error's text goes to logs, and documents and replies are parameters
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )
    event.listen(engine, "checkout", _refuse_broken)
    if not probe:
        return engine
    try:
        with engine.connect() as connection:
            connection.execute(text("select 1"))
    except OperationalError as error:
        engine.dispose()
        raise ServiceAway(
            f"the database at {url.render_as_string(hide_password=True)} does not answer "
            f"({_first_line(error)}): start it, or mend DOCMILL_DATABASE_URL"
        ) from error
    return engine


def _refuse_broken(connection: Connection, *_: object) -> None:
    """A pooled connection that the server has closed is readable, and is replaced with all its siblings.

    A look at the socket costs no round trip, which a ping at each checkout would.
    """
    if connection.closed or _readable(connection.fileno()):
        raise InvalidatePoolError("the server closed the connection")


def _readable(file: int) -> bool:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def _first_line(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0]
