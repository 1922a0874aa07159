"""Real servers for the tests: started once, each database of its own."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, QueuePool

from db.engine import make_engine
from db.migrations import upgrade
from tests.command import docmill
from tests.walk import walk
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

__all__ = ["FEW_FILES", "another_database", "connection", "docmill", "engine", "owner", "servers", "up", "walk"]

FEW_FILES = 1024
COMMAND = (sys.executable, "-m", "docmill")


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    with scratch("test") as data, EmbeddedServers(data) as running:
        upgrade(running.owner_url, application_url=running.database_url)
        yield running


def another_database(servers: EmbeddedServers, name: str) -> str:
    """One more on the same server, for tests that others' rows would disturb: its address."""
    with psycopg.connect(servers.owner_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url, owner_url = (each.replace("/docmill?", f"/{name}?") for each in (servers.database_url, servers.owner_url))
    upgrade(owner_url, application_url=url)
    return url


@pytest.fixture
def engine(servers: EmbeddedServers) -> Iterator[Engine]:
    made = make_engine(servers.database_url)
    yield made
    # A thread of the test's may be about to give one back; what is out when the pool is disposed of is never closed.
    give_up_at = time.monotonic() + 10
    pool = cast("QueuePool", made.pool)
    while pool.checkedout():
        assert time.monotonic() < give_up_at, "a connection was not given back"
        time.sleep(0.01)
    made.dispose()


@pytest.fixture
def owner(servers: EmbeddedServers) -> Iterator[Engine]:
    """As the role that owns the tables: for what tests do to them, and the application may not."""
    made = make_engine(servers.owner_url, pool_size=2)
    yield made
    made.dispose()


def _allow_few_files() -> None:
    """As many systems do, unless a program asks for more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, hard))


@pytest.fixture(scope="session")
def up() -> Iterator[Path]:
    """The data folder of a running stack, that is stopped by SIGTERM and leaves nothing running."""
    with scratch("up") as data:
        ready = data / "up.json"
        command = [*COMMAND, "up", "--data", str(data / "stack"), "--ready-file", str(ready)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=_allow_few_files)  # noqa: PLW1509
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.05)
        pids = json.loads(ready.read_text())["pids"].values()
        yield data / "stack"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A transaction of which nothing is kept."""
    with engine.connect() as opened:
        yield opened
        opened.rollback()
