"""A worker that was told to end does, and its children with it, whatever Celery waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from db.jobs import Drive
from docmill.settings import Settings, load_settings
from tasks.celery import broker
from tasks.chain import publish
from tests.integration.conftest import another_database
from tests.integration.test_standby import seen, until
from workers.roles import serving_command
from workers.stack.servers import EmbeddedServers

SOON_S, LATE_S = 2, 600

WORKER = """
import runpy, sys
from workers import ending, roles

ending.QUITS_WITHIN_S, roles.STOPPING_S = float(sys.argv[1]), float(sys.argv[2])
module, *sys.argv[1:] = sys.argv[3:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""One that has other times to end in."""

TOLD_AMID_A_MESSAGE = """
import os, signal
from billiard import pool

def telling(connection):
    send = plain(connection)
    def send_and_tell(part, offset):
        sent = send(part, offset)
        if len(part) == 4:
            os.kill(os.getpid(), signal.SIGQUIT)
        return sent
    return send_and_tell

plain, pool._get_send_offset = pool._get_send_offset, telling
"""
"""Tells the worker to quit when it has written to a child how long a message is, and not yet the message."""

CHILDREN_NEVER_RETURN = """
import time
from billiard import pool

pool.Worker.workloop = lambda *_, **__: time.sleep(600)
"""
"""As with code of a prompt's that hangs."""


@pytest.fixture(scope="module")
def settings(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        database_url=another_database(servers, "ending"),
        broker_url=servers.broker_url,
        cache_url=servers.cache_url,
        spool=tmp_path_factory.mktemp("spool"),
        cpu_processes=2,
        call_deadline_s=1,
    )


@pytest.fixture
def alone(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings.need("database_url"))
    yield engine
    engine.dispose()


class Worker:
    """A cpu worker, and its children."""

    def __init__(self, settings: Settings, log: Path, *, before: str, quits: float, stops: float) -> None:
        command = serving_command("cpu", settings, name="cpu-1")
        told = ("database_url", "broker_url", "cache_url", "spool", "call_deadline_s")
        env = {**os.environ, **{f"DOCMILL_{name.upper()}": str(getattr(settings, name)) for name in told}}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", before + WORKER, str(quits), str(stops), *command],
                env=env, stdout=file, stderr=file,
            )  # fmt: skip
        self.children: list[psutil.Process] = []

    def is_up(self) -> bool:
        """Whether its children have begun: they end that by limiting their memory."""
        self.children = psutil.Process(self.process.pid).children()
        limits = [child.rlimit(psutil.RLIMIT_DATA)[0] for child in self.children]
        return len(limits) == 2 and psutil.RLIM_INFINITY not in limits

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for child in self.children:
            if child.is_running():
                child.kill()


@contextmanager
def worker(
    settings: Settings,
    engine: Engine,
    log: Path,
    *,
    before: str = "",
    quits: float = LATE_S,
    stops: float = LATE_S,
) -> Iterator[Worker]:
    running = Worker(settings, log, before=before, quits=quits, stops=stops)
    try:
        until(lambda: running.is_up() and seen(engine))
        yield running
    finally:
        running.kill()


def test_a_worker_that_is_told_to_quit_amid_a_message_to_its_child_ends(
    settings: Settings, alone: Engine, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with worker(settings, alone, log, before=TOLD_AMID_A_MESSAGE, quits=SOON_S) as told:
        app = broker.connect(settings)
        publish([Drive(id=1, epoch=1, stage="validate", lane="interactive", quarantined=False)])
        app.close()
        assert told.process.wait(timeout=30) == 1
        assert not psutil.wait_procs(told.children, timeout=10)[1]
    assert "in on_cold_shutdown" in log.read_text(encoding="utf-8")


TOLD = {
    "to stop": ((signal.SIGTERM,), LATE_S, SOON_S),
    "to quit": ((signal.SIGQUIT,), SOON_S, LATE_S),
    "by Ctrl-C twice": ((signal.SIGINT, signal.SIGINT), SOON_S, LATE_S),
}


@pytest.mark.parametrize("told", TOLD)
def test_a_worker_whose_children_never_return_ends(
    settings: Settings, alone: Engine, tmp_path: Path, told: str
) -> None:
    signals, quits, stops = TOLD[told]
    log = tmp_path / "log"
    with worker(settings, alone, log, before=CHILDREN_NEVER_RETURN, quits=quits, stops=stops) as running:
        for place, each in enumerate(signals):
            if place:  # once it acts upon the last
                until(lambda: "Warm shutdown" in log.read_text(encoding="utf-8"))
            running.process.send_signal(each)
        assert running.process.wait(timeout=30) == 1
        assert not psutil.wait_procs(running.children, timeout=10)[1]
