"""What goes straight to psycopg behaves as if it had gone through SQLAlchemy."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

import db.engine
from db.engine import is_away, make_engine
from db.statements import Statement
from tests.hearing import hear
from workers.stack.servers import EmbeddedServers


def test_values_have_names_and_columns_are_attributes(engine: Engine) -> None:
    seen = Statement(
        "select cast(:word as text) as word, '{\"a\": [1]}'::jsonb as told, 7 % 4 as rest, 'a:b' as colon"
    )
    with engine.connect() as connection:
        row = seen.one(connection, {"word": "100 % :word", "of no use": object()})
    assert (row.word, row.told, row.rest, row.colon) == ("100 % :word", {"a": [1]}, 3, "a:b")


def test_none_where_there_is_no_row(engine: Engine) -> None:
    with engine.connect() as connection:
        assert Statement("select 1 as one where :no").first(connection, {"no": False}) is None
        with pytest.raises(RuntimeError):
            Statement("select 1 as one where :no").one(connection, {"no": False})


def test_it_belongs_to_the_transaction_around_it(engine: Engine) -> None:
    written = Statement("insert into model_state (account, model) values ('statements', :model)")
    counted = text("select count(*) from model_state where account = 'statements'")
    with engine.connect() as connection, connection.begin() as transaction:
        assert written.count(connection, {"model": "rolled back"}) == 1
        assert connection.execute(counted).scalar() == 1
        transaction.rollback()
    with engine.begin() as connection:
        assert connection.execute(counted).scalar() == 0
        written.count(connection, {"model": "kept"})
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        written.count(connection, {"model": "by itself"})
    with engine.begin() as connection:
        assert connection.execute(counted).scalar() == 2
        connection.execute(text("delete from model_state where account = 'statements'"))


def test_it_begins_a_transaction_that_nobody_has_begun(engine: Engine) -> None:
    written = Statement("insert into model_state (account, model) values ('begun', :model)")
    with engine.connect() as connection:
        written.count(connection, {"model": "rolled back"})
        connection.rollback()
        written.count(connection, {"model": "kept"})
        connection.commit()
        gone = Statement("delete from model_state where account = 'begun' returning model")
        assert [row.model for row in gone.rows(connection)] == ["kept"]
        connection.commit()


def test_errors_are_sqlalchemys_and_show_no_values(engine: Engine) -> None:
    """Postgres itself tells values only in the DETAIL of a few errors."""
    named = Statement("insert into model_state (account, model) values (:account, :model)")
    with engine.connect() as connection, pytest.raises(IntegrityError) as missing:
        named.count(connection, {"account": "secret of a document", "model": None})
    with engine.connect() as connection, pytest.raises(DataError) as divided:
        Statement("select length(:secret) / 0").first(connection, {"secret": "secret of a document"})
    assert "[parameters" not in str(missing.value)
    assert "secret of" not in str(divided.value)
    assert divided.value.params is None


def test_whoever_wants_to_hears_of_it(engine: Engine) -> None:
    heard: list[tuple[str, str]] = []
    hear(
        engine,
        before=lambda sql, _values: heard.append(("before", sql)),
        after=lambda sql, _values: heard.append(("after", sql)),
    )
    with engine.connect() as connection:
        Statement("select cast(:one as int) as one").one(connection, {"one": 1})
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        Statement("select 2 as two").one(connection, {})
    said = ["select cast(%(one)s as int) as one", "select 2 as two"]
    assert heard == [(name, sql) for sql in said for name in ("before", "after")]


def test_a_server_that_goes_away_is_away_and_the_next_one_is_served(engine: Engine) -> None:
    pid = Statement("select pg_backend_pid() as pid")
    with engine.connect() as connection, engine.connect() as other:
        ours = pid.one(connection, {}).pid
        other.execute(text("select pg_terminate_backend(:pid)"), {"pid": ours})
        with pytest.raises(OperationalError) as caught:
            pid.one(connection, {})
        assert connection.invalidated
    assert is_away(caught.value)
    assert caught.value.connection_invalidated
    with engine.connect() as connection:
        assert pid.one(connection, {}).pid != ours


@pytest.mark.parametrize(("trusted_s", "most"), [(60.0, 1), (0.0, 0)])
def test_of_connections_that_the_server_has_closed_at_most_one_is_handed_out(
    engine: Engine, servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch, trusted_s: float, most: int
) -> None:
    """One of those that were used a moment ago; none that has rested."""
    monkeypatch.setattr(db.engine, "TRUSTED_S", trusted_s)
    pid = Statement("select pg_backend_pid() as pid")
    with engine.connect() as first, engine.connect() as second:
        closed = [pid.one(each, {}).pid for each in (first, second)]
    other = make_engine(servers.database_url)
    with other.connect() as connection:
        connection.execute(
            text("select pg_terminate_backend(pid, 5000) from unnest(:pids) as pid"), {"pids": closed}
        )
    other.dispose()
    found, failed = set(), 0
    for _ in range(4):
        try:
            with engine.connect() as first, engine.connect() as second:
                found |= {pid.one(first, {}).pid, pid.one(second, {}).pid}
        except OperationalError:
            failed += 1
    assert failed == most
    assert len(found) >= 2
    assert not found & set(closed)
