"""Statements that stand alone have connections of their own, which are the pool's all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from db.database import Database, one_statement, open_database
from db.statements import Statement
from workers.stack.servers import EmbeddedServers

PID = Statement("select pg_backend_pid()")


@one_statement
def alone(connection: Connection) -> int:
    return int(PID.scalar(connection))


def in_transaction(connection: Connection) -> int:
    return int(PID.scalar(connection))


@pytest.fixture
def narrow(servers: EmbeddedServers) -> Iterator[Database]:
    """A database with two connections."""
    with open_database(servers.database_url, pool_size=2, pool_timeout_s=5) as database:
        yield database


def test_the_same_connection_serves_one_statement_after_another(narrow: Database) -> None:
    assert len({narrow.run(alone) for _ in range(5)}) == 1


def test_what_rests_goes_back_where_the_pool_is_empty(narrow: Database) -> None:
    with narrow.work(atomic=False) as first, narrow.work(atomic=False) as second:
        assert alone(first) != alone(second)
    with narrow.work() as one, narrow.work() as other:
        assert in_transaction(one) != in_transaction(other)
    assert narrow.run(alone)


def test_statements_and_transactions_share_few_connections(narrow: Database) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = set(pool.map(lambda at: narrow.run(in_transaction if at % 3 else alone), range(600)))
    assert len(found) <= 2


def test_a_statement_alone_is_committed_and_a_transaction_is_taken_back(narrow: Database) -> None:
    add = Statement("insert into model_state (account, model) values ('lane', :model)")
    with narrow.work(atomic=False) as connection:
        add.count(connection, {"model": "kept"})
    with pytest.raises(DBAPIError), narrow.work() as connection:
        Statement(
            "with add as (insert into model_state (account, model) values ('lane', 'taken back')"
            " returning 1) select 1 / (count(*) - 1) from add"
        ).scalar(connection)
    with narrow.work(atomic=False) as connection:
        gone = connection.execute(text("delete from model_state where account = 'lane' returning model"))
        assert [row.model for row in gone] == ["kept"]
    with narrow.work(atomic=False) as connection:
        assert not connection.in_transaction()


def test_one_that_the_server_closed_is_not_lent_again(narrow: Database, servers: EmbeddedServers) -> None:
    closed = narrow.run(alone)
    with open_database(servers.owner_url, pool_size=1) as owner, owner.work() as connection:
        connection.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": closed})
    try:
        found = narrow.run(alone)
    except OperationalError:  # it was used a moment ago, and taken as it was
        found = narrow.run(alone)
    assert found != closed


def test_an_error_leaves_nothing_behind(narrow: Database) -> None:
    with pytest.raises(DBAPIError), narrow.work(atomic=False) as connection:
        Statement("select 1 / 0").scalar(connection)
    with narrow.work(atomic=False) as one, narrow.work(atomic=False) as other:
        assert alone(one) != alone(other)
