"""Submitting inside an application's own transaction, with each kind of connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import django
import django.conf
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from docmill.client import submit_in
from docmill.errors import IdempotencyConflict, Misconfigured, SubmitRefused
from workers.stack.servers import EmbeddedServers

MANY = 50
Transaction = Callable[[], AbstractContextManager[Any]]
"""Commits what was done in it, unless an exception leaves it."""


class Regret(Exception):
    """What makes an application roll back."""


@pytest.fixture(params=["psycopg", "sqlalchemy connection", "sqlalchemy session", "django"])
def transaction(request: pytest.FixtureRequest, servers: EmbeddedServers, engine: Engine) -> Transaction:
    """One of the kinds of transaction that applications have."""

    @contextmanager
    def session() -> Iterator[Session]:
        with Session(engine) as made, made.begin():
            yield made

    kinds: dict[str, Transaction] = {
        "psycopg": lambda: psycopg.connect(servers.database_url),
        "sqlalchemy connection": engine.begin,
        "sqlalchemy session": session,
        "django": lambda: django_transaction(servers.database_url),
    }
    return kinds[request.param]


@contextmanager
def django_transaction(database_url: str) -> Iterator[Any]:
    told = conninfo_to_dict(database_url)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": told["dbname"], "USER": told["user"], "HOST": told["host"]}  # fmt: skip
    if not django.conf.settings.configured:
        django.conf.settings.configure(DATABASES={"default": database}, LOGGING_CONFIG=None)
        django.setup()
    from django.db import connection, transaction

    try:
        with transaction.atomic():
            yield connection
    finally:
        connection.close()


def jobs_of(engine: Engine, feature: str) -> list[Any]:
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "select j.id, j.usr, j.lane, j.params, j.deadline_at > clock_timestamp() as due,"
                " convert_from(d.body, 'UTF8') as body from jobs j join documents d on d.id = j.document_id"
                " where feature = :feature order by j.id"
            ),
            {"feature": feature},
        )
        return list(found)


def test_fifty_that_commit_are_fifty_jobs(engine: Engine, transaction: Transaction) -> None:
    feature = uuid4().hex
    with transaction() as connection:
        ids = [
            submit_in(
                connection,
                f"TOTAL {number} €: 100 %s :name %(x)s",
                prompt="receipt",
                feature=feature,
                user="u1",
                lane="interactive",
                deadline=timedelta(hours=1),
                params={"currency": "EUR"},
                idempotency_key=f"{feature}/{number}",
            )
            for number in range(MANY)
        ]
        assert jobs_of(engine, feature) == [], "not before the commit"
    found = jobs_of(engine, feature)
    assert [row.id for row in found] == ids
    assert {(row.usr, row.lane, row.params["currency"], row.due) for row in found} == {
        ("u1", "interactive", "EUR", True)
    }
    assert found[7].body == "TOTAL 7 €: 100 %s :name %(x)s"


def test_a_files_bytes_are_a_job_under_their_name(engine: Engine, transaction: Transaction) -> None:
    feature, body = uuid4().hex, b"%PDF-1.7 \x00\xff" + uuid4().bytes
    with transaction() as connection:
        job = submit_in(connection, body, prompt="receipt", feature=feature, name="in/a.pdf")
    with engine.connect() as connection:
        found = text(
            "select j.id, j.path, d.body, d.media_type from jobs j join documents d on d.id = j.document_id"
            " where j.feature = :feature"
        )
        (row,) = connection.execute(found, {"feature": feature}).all()
    assert (row.id, row.path, row.body, row.media_type) == (job, "in/a.pdf", body, "application/octet-stream")


def test_fifty_that_are_rolled_back_are_none(engine: Engine, transaction: Transaction) -> None:
    feature = uuid4().hex
    with pytest.raises(Regret), transaction() as connection:  # noqa: PT012 - it must leave the transaction's block
        for number in range(MANY):
            submit_in(connection, f"TOTAL {number}", prompt="receipt", feature=feature)
        raise Regret
    assert jobs_of(engine, feature) == []


def test_a_key_is_one_job_and_for_another_submit_a_conflict(engine: Engine, transaction: Transaction) -> None:
    key = uuid4().hex
    with transaction() as connection:
        ids = {submit_in(connection, "TOTAL 1", prompt="receipt", idempotency_key=key) for _ in range(2)}
    assert len(ids) == 1
    with pytest.raises(IdempotencyConflict, match="was used for another submit"), transaction() as connection:
        submit_in(connection, "TOTAL 2", prompt="receipt", idempotency_key=key)


def test_what_cannot_be_stored_is_refused_and_the_transaction_goes_on(
    engine: Engine, transaction: Transaction
) -> None:
    feature = uuid4().hex
    with transaction() as connection:
        for wrong in (
            {"document": ""},
            {"document": b""},
            {"document": 7},
            {"document": "a\0b"},
            {"lane": "fast"},
            {"params": {"a": "\0"}},
        ):
            with pytest.raises(SubmitRefused, match=next(iter(wrong))):
                submit_in(connection, **{"document": "TOTAL 1", "prompt": "receipt", **wrong})  # type: ignore[arg-type]
        submit_in(connection, "TOTAL 1", prompt="receipt", feature=feature)
    assert len(jobs_of(engine, feature)) == 1


def test_a_database_that_is_not_docmills_is_told(servers: EmbeddedServers) -> None:
    with (
        pytest.raises(Misconfigured, match="has no docmill_submit"),
        psycopg.connect(servers.database_url.replace("/docmill?", "/postgres?")) as connection,
    ):
        submit_in(connection, "TOTAL 1", prompt="receipt")


def test_an_asynchronous_connection_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match="run_sync"):
        submit_in(psycopg.AsyncConnection.__new__(psycopg.AsyncConnection), "TOTAL 1", prompt="receipt")
