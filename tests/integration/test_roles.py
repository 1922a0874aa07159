"""The application's role works with docmill's tables, and can change nothing about them."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from db import statistics
from db.database import Database
from db.engine import make_engine
from db.migrations import upgrade
from db.migrations.rights import TABLES
from docmill.errors import Misconfigured
from docmill.settings import load_settings
from prompts import Registry
from tasks.services import Services
from tasks.upkeep.collections import Librarian
from workers.stack.servers import EmbeddedServers

FORBIDDEN = [
    "create table mine (n int)",
    "create schema mine",
    "create database mine",
    "create role mine",
    "drop extension vector cascade",
    "create index mine on jobs (id)",
    "create or replace function docmill_submit(text) returns int language sql as 'select 1'",
    "alter table jobs add column mine int",
    "alter table calls disable trigger all",
    "alter role current_user superuser",
    "drop table calls",
    "drop index jobs_held_for",
    "truncate calls cascade",
    "update alembic_version set version_num = '0001'",
    "select * from pg_authid",
    "select pg_read_file('postgresql.conf')",
    "copy jobs to program 'id'",
    "copy jobs to '/tmp/jobs'",
    "alter system set log_statement = 'all'",
    "set session_replication_role = replica",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_application_may_not(engine: Engine, statement: str) -> None:
    by_itself = engine.execution_options(isolation_level="AUTOCOMMIT")
    with by_itself.connect() as connection, pytest.raises(ProgrammingError) as refused:
        connection.execute(text(statement))
    assert isinstance(refused.value.orig, errors.InsufficientPrivilege)


def test_every_table_has_its_rights(engine: Engine, owner: Engine) -> None:
    """A table that a migration adds is to be named among those that are granted."""
    with owner.connect() as connection:
        made = connection.execute(
            text("select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'")
        ).scalars()
        assert sorted(made) == sorted(TABLES)
    with engine.connect() as connection:
        for table in TABLES:
            for right in ("select", "insert", "update", "delete"):
                held = text("select has_table_privilege(:table, :right)")
                assert connection.execute(held, {"table": table, "right": right}).scalar(), (table, right)


def test_tables_of_other_applications_are_not_granted(
    servers: EmbeddedServers, engine: Engine, owner: Engine
) -> None:
    with owner.begin() as connection:
        connection.execute(text("create table others (secret text)"))
    try:
        upgrade(servers.owner_url, application_url=servers.database_url)
        with engine.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text("select * from others"))
    finally:
        with owner.begin() as connection:
            connection.execute(text("drop table others"))


def test_a_role_that_is_missing_is_made_with_its_password(servers: EmbeddedServers, owner: Engine) -> None:
    url = make_url(servers.database_url).set(username="docmill odd'\"role", password="it's: a @password")
    for _ in range(2):
        upgrade(servers.owner_url, application_url=url.render_as_string(hide_password=False))
    try:
        with owner.connect() as connection:
            stored = connection.execute(
                text("select rolpassword, rolsuper, rolcreaterole from pg_authid where rolname = :name"),
                {"name": url.username},
            ).one()
        assert stored.rolpassword.startswith("SCRAM-SHA-256$")
        assert not stored.rolsuper
        assert not stored.rolcreaterole
        role = make_engine(url.render_as_string(hide_password=False), pool_size=1)
        with role.connect() as connection:
            assert connection.execute(text("select count(*) >= 0 from jobs")).scalar()
        role.dispose()
    finally:
        with owner.begin() as connection:
            name = '"docmill odd\'""role"'
            connection.execute(text(f"drop owned by {name}"))
            connection.execute(text(f"drop role {name}"))


def test_a_role_that_may_change_nothing_cannot_migrate_and_says_what_to_do(servers: EmbeddedServers) -> None:
    with psycopg.connect(servers.owner_url, autocommit=True) as connection:
        connection.execute("create database roles_empty")
    with pytest.raises(Misconfigured, match="set DOCMILL_DATABASE_OWNER_URL"):
        upgrade(servers.database_url.replace("/docmill?", "/roles_empty?"))


def test_another_applications_role_submits_once_it_is_given_docmills(
    servers: EmbeddedServers, owner: Engine
) -> None:
    with owner.begin() as connection:
        connection.execute(text("create role shop login"))
        connection.execute(text("grant docmill to shop"))
    shop = make_engine(servers.database_url.replace("//docmill@", "//shop@"), pool_size=1)
    with shop.connect() as connection:
        submitted = text("select docmill_submit(prompt => 'receipt', document => 'TOTAL 1')")
        assert connection.execute(submitted).scalar_one() > 0
        connection.rollback()
    shop.dispose()
    with owner.begin() as connection:
        connection.execute(text("drop role shop"))


def test_an_owner_that_may_make_no_role_says_what_to_do(servers: EmbeddedServers) -> None:
    with pytest.raises(Misconfigured, match='no role "nobody", which DOCMILL_DATABASE_URL names'):
        upgrade(servers.database_url, application_url=servers.database_url.replace("//docmill@", "//nobody@"))


def test_indexes_are_built_as_the_owner_and_never_by_others(
    engine: Engine, owner: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = statistics.Slice(model_id=4711, dimensions=2, number=0)
    due = [[each], [each], []]
    monkeypatch.setattr(statistics, "unindexed", lambda _: due.pop(0))
    services = Services(
        settings=load_settings(),
        database=Database(engine),
        registry=Registry(),
        publish=lambda drives: None,
        owner="w",
    )
    librarian = Librarian(services=services)
    librarian.work()
    assert index_of(owner, each) is None
    assert "DOCMILL_DATABASE_OWNER_URL" in librarian.troubles.as_json()["indexes"]["told"]
    due[:] = [[each], [each], []]
    with_owner = Services(
        settings=load_settings(),
        database=Database(engine),
        owner_database=Database(owner),
        registry=Registry(),
        publish=lambda drives: None,
        owner="w",
    )
    Librarian(services=with_owner).work()
    assert index_of(owner, each) == "postgres"
    with owner.connect() as connection:
        statistics.drop_index(connection.execution_options(isolation_level="AUTOCOMMIT"), each.index)


def index_of(owner: Engine, each: statistics.Slice) -> str | None:
    """Who owns the index, or None where it is not there."""
    with owner.connect() as connection:
        found = connection.execute(
            text("select pg_get_userbyid(relowner) as who from pg_class where relname = :name"),
            {"name": each.index},
        ).first()
    return found.who if found else None
