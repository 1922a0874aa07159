"""A database of the first release, with jobs at every place, is migrated and its jobs end: by the workers of today."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, Row, text

from db import migrations
from db.engine import make_engine
from tests.integration.conftest import COMMAND
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

RELEASED = "0071"
ROWS = Path(__file__).parent / "upgrade" / f"{RELEASED}.sql"
WRITTEN = "2026-11-30"
AS_THEY_WERE = {"cancelled": "cancelled", "done": "done"}
WITHIN_S = 120

JOBS = """
select d.name, j.chain, j.state, j.failure, j.value, (select count(*) from results r where r.job_id = j.id) as results,
  (select jsonb_agg(c.state order by c.try) from calls c where c.job_id = j.id) as calls
from jobs j join documents d on d.id = j.document_id order by j.id
"""


@pytest.fixture
def released(servers: EmbeddedServers) -> Iterator[Engine]:
    """A database as the first release left it when its workers were stopped hard, the day before."""
    with psycopg.connect(servers.owner_url, autocommit=True) as admin:
        admin.execute("create database released")
    made = make_engine(servers.owner_url.replace("/docmill?", "/released?"))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with made.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, RELEASED)
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
        # A dump has its rows in an order that its constraints would refuse; it was whole when it was written.
        driver.execute("set session_replication_role = replica")
        driver.execute(ROWS.read_text(encoding="utf-8").replace(WRITTEN, yesterday).encode())
        driver.execute("set session_replication_role = origin")
    yield made
    made.dispose()
    with psycopg.connect(servers.owner_url, autocommit=True) as admin:
        admin.execute("drop database released with (force)")


@pytest.mark.slow  # a whole stack starts, and finds its jobs one by one
def test_jobs_in_flight_end_after_the_upgrade(released: Engine, servers: EmbeddedServers) -> None:
    with scratch("upgrade") as data:
        ready = data / "up.json"
        environ = {
            **os.environ,
            "DOCMILL_DATABASE_URL": servers.database_url.replace("/docmill?", "/released?"),
            "DOCMILL_DATABASE_OWNER_URL": servers.owner_url.replace("/docmill?", "/released?"),
            "DOCMILL_OCR": "off",
        }
        stack = subprocess.Popen(
            [*COMMAND, "up", "--data", str(data / "stack"), "--ready-file", str(ready)],
            env=environ,
            stdout=subprocess.DEVNULL,
        )
        try:
            jobs = ended(released, stack)
        finally:
            stack.send_signal(signal.SIGTERM)
            assert stack.wait(timeout=60) == 0
    assert {job.name: job.state for job in jobs} == {job.name: AS_THEY_WERE.get(job.name, "done") for job in jobs}
    assert len(jobs) == 20
    of_documents = [job for job in jobs if job.chain == "document" and job.state == "done"]
    assert [job.name for job in of_documents if job.results != 1 or job.value["answer"] is None] == []
    calls = {job.name: job.calls for job in jobs[::-1]}  # of two with one document, the first
    # What was paid for was not paid for again, and a call that was open is in doubt before another one is made.
    assert (calls["parse-sent"], calls["parse-running"], calls["store-sent"]) == (["answered"],) * 3
    assert calls["complete-running"] == ["in_doubt", "answered"]


def ended(engine: Engine, stack: subprocess.Popen[bytes]) -> list[Row[Any]]:
    """All jobs, once none of them waits for anything."""
    give_up_at = time.monotonic() + WITHIN_S
    while True:
        with engine.connect() as connection:
            head = connection.execute(text("select to_regclass('webhooks') is not null")).scalar_one()
            waiting = connection.execute(text("select count(*) from jobs where wait is not null")).scalar_one()
            jobs = list(connection.execute(text(JOBS)))
        if head and not waiting:
            return jobs
        assert stack.poll() is None
        assert time.monotonic() < give_up_at, [job for job in jobs if job.state not in ("done", "cancelled")]
        time.sleep(0.1)
