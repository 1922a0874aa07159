"""Old workers beside new ones: what they say still fits the newest schema, and no migration takes it away from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from db import migrations
from db.engine import make_engine
from tests.recorder import load
from workers.stack.servers import EmbeddedServers

RECORDED = sorted((Path(__file__).parent / "statements").glob("*.json"))
"""What the code of a release sends, by the revision of its schema (see tests/recorder.py)."""

EXPANDS_FROM = "0070"
"""Revisions up to this one came before the first release, when no old worker could be beside a new one."""
CONTRACTS: dict[str, set[str]] = {}
"""What a later revision takes away, because no worker that knows it runs any more."""

COLUMNS = """
select table_name || '.' || column_name as name, udt_name as type, is_nullable = 'YES' as optional,
  column_default is not null or is_identity = 'YES' or is_generated <> 'NEVER' as given
from information_schema.columns where table_schema = 'public' and table_name <> 'alembic_version'
"""
FUNCTIONS = """
select oid::regprocedure::text from pg_proc
where pronamespace = 'public'::regnamespace and proname like 'docmill%' and prorettype <> 'trigger'::regtype
"""


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_old_statements_are_understood(owner: Engine, path: Path) -> None:
    refused = []
    with owner.connect() as connection:
        driver = connection.connection.cursor()
        for statement, values in load(path):
            told = _refusal(driver, statement, values)
            if told:
                refused.append(f"{told}\n  {' '.join(statement.split())[:300]}")
        connection.rollback()
    assert not refused, "\n".join(refused)


def _refusal(driver: Any, statement: str, values: dict[str, Any]) -> str | None:
    """Why Postgres would not run the statement; it is planned, and not run, unless it makes a table for the others."""
    makes = statement.lstrip().lower().startswith("create temp")
    try:
        with driver.connection.transaction():
            driver.execute(statement if makes else f"explain {statement}", values)
    except psycopg.Error as error:
        return str(error).splitlines()[0]
    return None


@pytest.fixture
def empty(servers: EmbeddedServers) -> Iterator[Engine]:
    """A database without a schema."""
    with psycopg.connect(servers.owner_url, autocommit=True) as admin:
        admin.execute("create database grown")
    engine = make_engine(servers.owner_url.replace("/docmill?", "/grown?"))
    yield engine
    engine.dispose()
    with psycopg.connect(servers.owner_url, autocommit=True) as admin:
        admin.execute("drop database grown")


def test_jobs_of_the_lane_that_never_ran_run_from_now_on(empty: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with empty.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0071")
        connection.execute(text("select docmill_submit('receipt', 'TOTAL 1', lane => 'batch')"))
        connection.execute(text("select docmill_submit('receipt', 'TOTAL 2', lane => 'interactive')"))
        command.upgrade(config, "head")
        lanes = connection.execute(text("select lane from jobs order by id")).scalars().all()
    assert lanes == ["bulk", "interactive"]


def test_jobs_of_old_code_have_the_path_that_they_are_searched_by(empty: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with empty.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0201")
        connection.execute(text(WITHOUT_PATH))
        command.upgrade(config, "head")
        paths = connection.execute(text("select path from jobs order by id")).scalars().all()
    assert paths == ["hull.pdf", "b/own.pdf", None]


WITHOUT_PATH = """
with named as (
  insert into documents (tenant, sha256, media_type, name)
  values ('default', '\\x01', 'text/plain', 'hull.pdf'), ('default', '\\x02', 'text/plain', null) returning id, name)
insert into jobs (tenant, feature, lane, prompt, document_id, path) select 'default', 'default', 'bulk', 'receipt', id, path
from (select id, null as path, 1 as at from named where name is not null union all
  select id, 'b/own.pdf', 2 from named where name is not null union all
  select id, null, 3 from named where name is null) given order by at
"""


def test_migrations_only_add(empty: Engine) -> None:
    """Columns and functions that old code knows stay as they are, and what is new has a value without its help.

    See docs/decisions/0062.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    later = ScriptDirectory.from_config(config).iterate_revisions("head", EXPANDS_FROM)
    with empty.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, EXPANDS_FROM)
        before = _shape(connection)
        for revision in [each.revision for each in later][::-1]:
            command.upgrade(config, revision)
            after = _shape(connection)
            assert _taken_away(before, after) == CONTRACTS.get(revision, set()), revision
            before = after


@pytest.mark.parametrize(
    ("statement", "taken"),
    [
        ("alter table jobs drop column value", {"column jobs.value is gone"}),
        ("alter table jobs rename column usr to person", {"column jobs.usr is gone"}),
        ("alter table calls alter column try type text", {"column calls.try is text, and was int4"}),
        ("alter table jobs alter column collection set not null", {"column jobs.collection must be given"}),
        ("alter table workers add column host text not null", {"column workers.host must be given"}),
        ("alter table workers add column host text not null default ''", set()),
        (
            "drop function docmill_terms",
            {"function docmill_terms(integer,text,text) is gone"},
        ),
    ],
)
def test_what_is_taken_away_is_found(owner: Engine, statement: str, taken: set[str]) -> None:
    with owner.connect() as connection:
        before = _shape(connection)
        # Rows of other tests, which have no value where one must be given; what follows is taken back.
        connection.execute(text("truncate jobs, workers cascade"))
        connection.execute(text(statement))
        found = _taken_away(before, _shape(connection))
        connection.rollback()
    assert {each for each in found if not each.startswith("column jobs.person")} == taken


Shape = tuple[dict[str, Any], set[str]]


def _shape(connection: Connection) -> Shape:
    columns = {row.name: row for row in connection.execute(text(COLUMNS))}
    return columns, set(connection.execute(text(FUNCTIONS)).scalars())


def _taken_away(before: Shape, after: Shape) -> set[str]:
    """What code that was written for the schema before can no longer rely on."""
    (old, old_functions), (new, new_functions) = before, after
    known_tables = {name.partition(".")[0] for name in old}
    found = {f"function {name} is gone" for name in old_functions - new_functions}
    found |= {f"column {name} is gone" for name in old.keys() - new.keys()}
    found |= {
        f"column {name} is {new[name].type}, and was {row.type}"
        for name, row in old.items()
        if name in new and new[name].type != row.type
    }
    must = {name for name, row in new.items() if not row.optional and not row.given}
    might = {name for name, row in old.items() if row.optional or row.given} | (new.keys() - old.keys())
    found |= {f"column {name} must be given" for name in must & might if name.partition(".")[0] in known_tables}
    return found
