"""Only a connection that is none says that the database is away; what another try may not meet passes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from db.engine import is_away, is_passing, make_engine
from workers.stack.servers import EmbeddedServers

ASKED_TOO_MUCH = {
    "NUL in a text": ("select cast(:value as text)", "a\0b"),
    "NUL in JSON": ("select cast(:value as jsonb)", '"\\u0000"'),
    "JSON that nests too deep": ("select cast(:value as jsonb)", "[" * 100_000 + "]" * 100_000),
    "no JSON": ("select cast(:value as jsonb)", "{"),
    "a number without a place": ("select cast(:value as int)", 2**31),
    "an amount without a place": ("select cast(:value as numeric(20, 10))", Decimal("1e10")),
    "a time that never comes": ("select clock_timestamp() + make_interval(secs => :value)", 1e18),
    "no such table": ("select :value from nowhere", 1),
    "a key that is there": ("insert into model_state select 'away', n::text from (values (1), (1)) n (n)", None),
}


def error_of(engine: Engine, work: Callable[[Connection], object]) -> SQLAlchemyError:
    with pytest.raises(SQLAlchemyError) as caught, engine.begin() as connection:
        work(connection)
    return caught.value


@pytest.mark.parametrize("name", ASKED_TOO_MUCH)
def test_what_cannot_be_done_is_neither_away_nor_passing(engine: Engine, name: str) -> None:
    statement, value = ASKED_TOO_MUCH[name]
    error = error_of(engine, lambda connection: connection.execute(text(statement), {"value": value}))
    assert not is_away(error)
    assert not is_passing(error)


def test_what_is_in_the_way_of_others_passes(engine: Engine) -> None:
    with engine.begin() as holder:
        holder.execute(text("lock table model_state in access exclusive mode"))
        for setting in ("lock_timeout", "statement_timeout"):

            def wait(connection: Connection, setting: str = setting) -> Any:
                connection.execute(text(f"set local {setting} = '50ms'"))
                return connection.execute(text("select * from model_state"))

            error = error_of(engine, wait)
            assert is_passing(error)
            assert not is_away(error)


def test_a_deadlock_passes(engine: Engine) -> None:
    both_have_one = threading.Barrier(2)
    found: list[SQLAlchemyError] = []

    def cross(first: int, second: int) -> None:
        with suppress(DBAPIError), engine.begin() as connection:
            try:
                connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": first})
                both_have_one.wait(10)
                connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": second})
            except SQLAlchemyError as error:
                found.append(error)
                raise

    threads = [threading.Thread(target=cross, args=keys) for keys in ((71, 72), (72, 71))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = found
    assert is_passing(error)
    assert not is_away(error)


def test_a_server_that_ended_the_connection_is_away(engine: Engine) -> None:
    def end(connection: Connection) -> None:
        with engine.connect() as other:
            pid = connection.execute(text("select pg_backend_pid()")).scalar()
            other.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        connection.execute(text("select 1"))

    assert is_away(error_of(engine, end))


def test_a_server_that_is_not_there_is_away() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none", probe=False)
    with pytest.raises(OperationalError) as caught, engine.connect():
        pass
    assert is_away(caught.value)


def test_a_database_that_is_not_there_is_away(servers: EmbeddedServers) -> None:
    engine = make_engine(servers.database_url.replace("/docmill?", "/nowhere?"), probe=False)
    with pytest.raises(OperationalError) as caught, engine.connect():
        pass
    assert is_away(caught.value)


def test_a_pool_without_a_free_connection_is_away(servers: EmbeddedServers) -> None:
    url = servers.database_url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect(), pytest.raises(NoConnectionFree) as caught, engine.connect():
        pass
    engine.dispose()
    assert is_away(caught.value)


def test_what_is_no_error_of_the_database_is_neither() -> None:
    assert not is_away(ValueError())
    assert not is_passing(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"))
