"""Workers without a stack: started by hand on one host, with the usual call deadline, and looked after by nobody."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from db.stages import RoleName
from docmill.settings import load_settings
from tests.faults.lab import Lab
from tests.faults.report import keep
from workers.roles import worker_command
from workers.stack.places import scratch
from workers.stack.process import NotReady, Process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HALTED_S = 40.0
CALL_DEADLINE_S = 60
ROLES: dict[str, RoleName] = {"io-1": "io", "io-2": "io", "cpu-1": "cpu"}


@dataclass(kw_only=True)
class PlainLab(Lab):
    """A lab whose fleet is three `celery worker` commands."""

    workers: dict[str, Process] = field(default_factory=dict)

    def start_fleet(self) -> None:
        self.workers = {name: self._worker(name, role) for name, role in ROLES.items()}
        self.start_again(*ROLES)

    def start_again(self, *names: str) -> None:
        for name in names:
            while self.workers[name].running:  # it was killed just now
                time.sleep(0.02)
            self.workers[name].spawn()
        for name in names:
            self.workers[name].await_ready()

    def stop_fleet(self) -> None:
        for worker in self.workers.values():
            worker.ask_to_stop()
        for worker in self.workers.values():
            worker.stop()

    @property
    def pids(self) -> dict[str, int]:
        return {name: worker.pid for name, worker in self.workers.items() if worker.pid is not None}

    def _worker(self, name: str, role: RoleName) -> Process:
        def check() -> None:
            if not self.sees(name, but=0):
                raise NotReady

        return Process(
            name=name,
            command=worker_command(role, load_settings(io_threads=50, cpu_processes=1), name=f"{name}-plain"),
            env=self.environment,
            log=self.data / f"{name}.log",
            check=check,
            stop_within_s=CALL_DEADLINE_S + 30,
        )


@pytest.fixture(scope="module")
def plain() -> Iterator[PlainLab]:
    with (
        scratch("fault") as data,
        PlainLab(data=data, env={"DOCMILL_CALL_DEADLINE_S": str(CALL_DEADLINE_S)}) as running,
    ):
        yield running


def test_calls_of_the_dead_are_made_again_at_once_without_a_stack(plain: PlainLab) -> None:
    run = plain.trial("2c", "as 2b, with workers that no stack looks after, and a call deadline of 60 s")
    plain.simulate("--latency-ms", "1000")
    keep(run.callers_die(lambda: plain.start_again("io-1", "io-2")))


def test_a_halted_worker_keeps_its_calls(plain: PlainLab) -> None:
    run = plain.trial("3b", "SIGSTOP of an io worker for 40 s amid calls of a second, beside one that goes on")
    plain.simulate("--latency-ms", "1000")
    run.submit()
    run.until_answered(0.3)
    halted = f"owner like 'io-1-%#{plain.pids['io-1']}.%' and state = 'intent'"
    run.until(lambda: run.count("calls", halted) > 10, 60)
    plain.signal("io-1", signal.SIGSTOP)
    time.sleep(HALTED_S)
    assert run.count("calls", halted) > 0
    plain.signal("io-1", signal.SIGCONT)
    row = run.finish(within_s=250)
    assert row.started == row.answered == len(run.jobs)
    keep(row)
