"""Functions and triggers stand in one file, and the schema has those."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from db import migrations
from db.migrations import FUNCTIONS, put_in_functions

LAST_WITH_FUNCTIONS = "v0070"
"""Migrations up to this one made functions themselves; they stay as they ran."""
MADE = re.compile(r"create (?:or replace )?(?:function|trigger) (\w+)")


def test_the_schema_has_those_of_the_file_and_no_others(engine: Engine) -> None:
    declared = set(MADE.findall(FUNCTIONS.read_text(encoding="utf-8")))
    with engine.connect() as connection:
        assert declared == names(connection)
        assert not put_in_functions(connection)


def test_what_is_another_is_replaced(owner: Engine) -> None:
    with owner.connect() as connection:
        before = bodies(connection)
        connection.execute(
            text(
                "create or replace function docmill_window_start(span text, at timestamptz, zone text)"
                " returns timestamptz language sql stable as 'select at'"
            )
        )
        connection.execute(text("drop trigger calls_made on calls"))
        connection.execute(text("comment on function docmill_submit_file is 'functions.sql of another version'"))
        assert bodies(connection) != before
        assert put_in_functions(connection)
        assert bodies(connection) == before
        connection.rollback()


def test_no_later_migration_makes_one() -> None:
    versions = Path(migrations.__file__).parent / "versions"
    making = {file.name for file in versions.iterdir() if file.is_file() and MADE.search(file.read_text().lower())}
    assert {name for name in making if name > f"{LAST_WITH_FUNCTIONS}_z"} == set()


def names(connection: Connection) -> set[str]:
    found = text(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proname like 'docmill%'"
        " union select tgname from pg_trigger where not tgisinternal"
    )
    return set(connection.execute(found).scalars())


def bodies(connection: Connection) -> set[str]:
    found = text(
        "select pg_get_functiondef(oid) from pg_proc where proname like 'docmill%'"
        " union select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal"
    )
    return set(connection.execute(found).scalars())
