"""The named statements, on the newest schema."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db import sql
from workers.stack.places import postgres_programs
from workers.stack.servers import EmbeddedServers

UTILITY = re.compile(r"(copy|create|drop|lock|reset|set) ")
"""How statements begin that Postgres neither prepares nor explains."""
PLANNED = {key: block for key, block in sql.statements().items() if not UTILITY.match(block.text)}
COPIED = sql.statements()["submit.make_copied"].text
"""A table that lasts for a transaction, and that others of its aggregate read."""


@pytest.mark.parametrize("key", PLANNED)
def test_each_is_understood(engine: Engine, key: str) -> None:
    """By Postgres alone, which has to find the types of all values: no driver tells them here."""
    names: dict[str, str] = {}
    text = sql.with_values(
        PLANNED[key].text, lambda name: names.setdefault(name, f"${len(names) + 1}"), percent="%%"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(COPIED)
        connection.exec_driver_sql(f"prepare tried as {text}", {})
        connection.rollback()


def test_what_is_printed_can_be_pasted_into_psql(servers: EmbeddedServers) -> None:
    """Planned, and not run: with nothing for a value, some would write nothing where something must be."""
    printed = sql.for_psql("transitions.advance")
    command = [sys.executable, "-m", "db.sql", "transitions.advance"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == printed
    planned = [sql.for_psql(key).replace(block.text, f"explain {block.text}") for key, block in PLANNED.items()]
    psql: list[str | Path] = [
        postgres_programs(None) / "psql",
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        servers.database_url,
    ]
    run = subprocess.run(
        psql, input="".join([COPIED, ";\n", *planned]), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_others_are_understood(owner: Engine) -> None:
    """As the owner, who alone may write to a file of the server's: a copy from there would wait for its rows."""
    for key in sql.statements().keys() - PLANNED.keys():
        with owner.connect() as connection:
            connection.exec_driver_sql(COPIED) if key != "submit.make_copied" else None
            text = sql.statements()[key].text
            if text.startswith("copy"):
                connection.exec_driver_sql(text.replace("from stdin", "to '/dev/null'"))
            else:
                connection.exec_driver_sql(text)
            connection.rollback()
