"""Real servers for the tests: started once, each database of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from db.migrations import upgrade
from workers.stack.servers import EmbeddedServers


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    # Not pytest's own folder: that one is closed to the user whom Postgres runs as.
    data = Path(tempfile.mkdtemp(prefix="docmill-test-"))
    data.chmod(0o711)
    with EmbeddedServers(data) as running:
        upgrade(running.database_url)
        yield running
    shutil.rmtree(data)


@pytest.fixture
def engine(servers: EmbeddedServers) -> Iterator[Engine]:
    made = make_engine(servers.database_url)
    yield made
    made.dispose()
