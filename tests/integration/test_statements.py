"""What goes straight to psycopg behaves as if it had gone through SQLAlchemy."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from db.engine import DATABASE_AWAY
from db.statements import Statement, statement


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
    written = statement("insert into model_state (account, model) values ('statements', :model)")
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


def test_errors_are_sqlalchemys_and_show_no_values(engine: Engine) -> None:
    taken = Statement("insert into model_state (account, model) values (:account, 'twice'), (:account, 'twice')")
    with engine.connect() as connection, pytest.raises(IntegrityError) as caught:
        taken.count(connection, {"account": "secret-of-a-document"})
    assert "secret" not in str(caught.value).partition("DETAIL")[0]
    with engine.connect() as connection, pytest.raises(DBAPIError):
        Statement("select :no::int").first(connection, {"no": "a"})


def test_a_server_that_goes_away_is_away_and_the_next_one_is_served(engine: Engine) -> None:
    """Also a moment after the connection was used, when nobody looks whether it is still there."""
    pid = Statement("select pg_backend_pid() as pid")
    with engine.connect() as connection, engine.connect() as other:
        ours = pid.one(connection, {}).pid
        other.execute(text("select pg_terminate_backend(:pid)"), {"pid": ours})
        with pytest.raises(OperationalError) as caught:
            pid.one(connection, {})
    assert isinstance(caught.value, DATABASE_AWAY)
    with engine.connect() as connection:
        assert pid.one(connection, {}).pid != ours
