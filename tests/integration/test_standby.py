"""Workers that are needed seldom stand by, and become workers when a job needs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from db import fleet
from db.database import Database
from db.engine import make_engine
from db.stages import RoleName
from db.submit import Submission, submit
from tests.integration.conftest import another_database
from workers.stack.servers import EmbeddedServers
from workers.standby import SEEN_EVERY_S, Standby

NEEDS = {
    "a job that broke a worker twice": ("quarantine", "crashes = 2"),
    "one that is on its way there": ("quarantine", "crashes = 2, wait = 'sent', stage = 'parse'"),
    "one whose stage has no claim": (
        "quarantine",
        "state = 'running', wait = 'sent', stage = 'context', redrives = 3",
    ),
    "scans": ("ocr", "stage = 'ocr'"),
    "scans that are on their way": ("ocr", "stage = 'ocr', wait = 'running'"),
}


@pytest.fixture(scope="module")
def url(servers: EmbeddedServers) -> str:
    return another_database(servers, "standby")


@pytest.fixture
def alone(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    with engine.begin() as connection:
        connection.execute(text("delete from jobs"))
    engine.dispose()


def given(engine: Engine, needs: str = "crashes = 0", *, body: bytes = b"") -> None:
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=needs.encode() + body, name="receipt.txt"))
        connection.execute(text(f"update jobs set {needs} where id = :id"), {"id": job})


def seen(engine: Engine) -> dict[str, tuple[str, int]]:
    with engine.connect() as connection:
        return {name: (queue, slots) for name, queue, slots in fleet.seen(connection)}


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


COMPUTES = {
    "a long document's": ("state = 'running', wait = 'sent'", b"\0", True),
    "a short document's": ("state = 'running', wait = 'sent'", b"", False),
    "a short document's whose message nobody takes": (
        "state = 'running', wait = 'sent', since = clock_timestamp() - interval '31 s'", b"", True
    ),
    "a short one that has broken something": ("state = 'running', wait = 'sent', crashes = 1", b"", True),
    "one that takes the long way": ("state = 'running', wait = 'sent', redrives = 1", b"", True),
    "what is claimed": ("state = 'running', wait = 'running'", b"\0", False),
    "what waits at parse": ("state = 'running', wait = 'sent', stage = 'parse', since = clock_timestamp()", b"", True),
    "what is in hand": (
        "state = 'running', wait = 'sent', stage = 'parse', owner = 'io', since = clock_timestamp()", b"", False
    ),
    "what was in hand": (
        "state = 'running', wait = 'sent', stage = 'parse', owner = 'io', since = clock_timestamp() - interval '31 s'",
        b"", True,
    ),
    "what waits for room": ("state = 'queued', wait = 'unsent'", b"\0", False),
}  # fmt: skip


@pytest.mark.parametrize("job", COMPUTES)
def test_who_computes_is_wanted_for_what_is_not_short(alone: Engine, job: str) -> None:
    columns, body, wanted = COMPUTES[job]
    given(alone, columns, body=body)
    with alone.connect() as connection:
        assert fleet.is_wanted(connection, "cpu") == wanted


@pytest.mark.parametrize("needs", NEEDS)
def test_only_who_is_needed_is_wanted(alone: Engine, needs: str) -> None:
    role, columns = NEEDS[needs]
    given(alone)
    with alone.connect() as connection:
        assert not any(fleet.is_wanted(connection, each) for each in ("cpu", "ocr", "quarantine"))
        connection.rollback()
        given(alone, columns)
        assert fleet.is_wanted(connection, "ocr") == (role == "ocr")
        assert fleet.is_wanted(connection, "quarantine") == (role == "quarantine")


def test_the_fleet_sees_who_stands_by_before_anything_is_sent_and_after_the_database_was_away(
    alone: Engine,
) -> None:
    away = make_engine("postgresql://nobody@127.0.0.1:1/none", probe=False)
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            assert seen(alone) == {}
            standby.database = Database(alone)
        elif looks == 2:
            assert seen(alone) == {"q@here": ("quarantine", 1)}
            given(alone, "crashes = 2")

    standby = Standby(
        database=Database(away), role="quarantine", node="q@here", slots=1, process="q@here#1", sleep=sleep
    )
    standby.wait()
    assert looks == 2
    standby.leave()
    assert seen(alone) == {}
    away.dispose()


def test_it_is_seen_as_long_as_it_stands_by(alone: Engine) -> None:
    now, shown = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += SEEN_EVERY_S / 2
        with alone.begin() as connection:
            shown.append(bool(connection.execute(text("delete from workers")).rowcount))
        if len(shown) == 4:
            given(alone, "crashes = 2")

    Standby(
        database=Database(alone),
        role="quarantine",
        node="q@here",
        slots=1,
        process="q@here#1",
        sleep=sleep,
        clock=lambda: now,
    ).wait()
    assert shown == [True, False, True, False]
    with alone.begin() as connection:
        connection.execute(text("delete from workers"))


def standing_by(servers: EmbeddedServers, url: str, role: RoleName, spool: Path) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "DOCMILL_DATABASE_URL": url,
        "DOCMILL_BROKER_URL": servers.broker_url,
        "DOCMILL_CACHE_URL": servers.cache_url,
        "DOCMILL_SPOOL": str(spool),
    }
    return subprocess.Popen([sys.executable, "-m", "workers.standby", role, f"{role}-1"], env=env)


def test_it_becomes_the_worker_in_its_own_process_and_either_leaves_when_it_is_asked_to(
    servers: EmbeddedServers, url: str, alone: Engine, tmp_path: Path
) -> None:
    both = [standing_by(servers, url, "quarantine", tmp_path), standing_by(servers, url, "ocr", tmp_path)]
    try:
        until(lambda: {queue for queue, _ in seen(alone).values()} == {"ocr", "quarantine"})
        assert not any(psutil.Process(each.pid).children() for each in both)
        given(alone, "crashes = 2")
        until(lambda: psutil.Process(both[0].pid).children())  # prefork's
        assert not psutil.Process(both[1].pid).children()
        until(lambda: "quarantine" in {queue for queue, _ in seen(alone).values()})
    finally:
        for each in both:
            each.terminate()
    assert [each.wait(timeout=60) for each in both] == [0, 0]
    assert seen(alone) == {}
