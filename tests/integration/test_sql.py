"""The named statements, on the newest schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db import sql
from workers.stack.places import postgres_programs
from workers.stack.servers import EmbeddedServers


@pytest.mark.parametrize("key", sql.statements())
def test_each_is_understood(engine: Engine, key: str) -> None:
    """By Postgres alone, which has to find the types of all values: no driver tells them here."""
    names: dict[str, str] = {}
    text = sql.with_values(
        sql.statements()[key].text, lambda name: names.setdefault(name, f"${len(names) + 1}"), percent="%%"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"prepare tried as {text}", {})
        connection.rollback()


def test_what_is_printed_can_be_pasted_into_psql(servers: EmbeddedServers) -> None:
    """Planned, and not run: with nothing for a value, some would write nothing where something must be."""
    printed = sql.for_psql("transitions.advance")
    command = [sys.executable, "-m", "db.sql", "transitions.advance"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == printed
    planned = [
        sql.for_psql(key).replace(block.text, f"explain {block.text}") for key, block in sql.statements().items()
    ]
    psql: list[str | Path] = [
        postgres_programs(None) / "psql",
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        servers.database_url,
    ]
    run = subprocess.run(psql, input="".join(planned), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
