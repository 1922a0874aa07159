"""Workers come and go under load: throughput follows, and nothing is lost."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from statistics import fmean

import pytest

from docmill.settings import load_settings
from tests.faults.conftest import a_lab
from tests.faults.lab import JOBS, Lab, Trial, receipts
from tests.faults.report import keep
from workers.roles import worker_command
from workers.stack.process import NotReady, Process

LASTS_S = 300.0
MOST = 4
THREADS = 4
LATENCY_S = 2.0
"""A worker's throughput is bound by its threads, and not by the machine."""
SETTLES_S = 6.0
"""After a change, until what was under way before it has ended."""


@pytest.fixture(scope="module")
def small() -> Iterator[Lab]:
    with a_lab(io_workers=1, env={"DOCMILL_IO_THREADS": str(THREADS)}) as running:
        yield running


def _worker(lab: Lab, number: int) -> Process:
    name = f"more-{number}"

    def check() -> None:
        if not lab.query("select 1 from workers where name like :name", name=f"{name}@%"):
            raise NotReady

    return Process(
        name=name,
        command=worker_command("io", load_settings(io_threads=THREADS), name=name),
        env=lab.environment,
        log=lab.data / f"{name}.log",
        check=check,
    )


@contextmanager
def _load(lab: Lab, run: Trial) -> Iterator[None]:
    """Jobs enough wait at any time for all workers."""
    ending = threading.Event()

    def submit() -> None:
        while not ending.wait(1):
            if len(run.jobs) - run.ended() < 15 * MOST:
                run.submit(receipts(30, of=f"5/{len(run.jobs)}/{time.time_ns()}"))

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _answers_a_second(lab: Lab, run: Trial, for_s: float) -> float:
    began, before = time.monotonic(), run.answered()
    time.sleep(for_s)
    return (run.answered() - before) / (time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_throughput_follows_workers_that_come_and_go(small: Lab) -> None:
    run = small.trial("21", "")
    small.simulate("--latency-ms", str(int(1000 * LATENCY_S)))
    draw = random.Random(21)
    workers = [_worker(small, number) for number in range(MOST)]
    alive: set[int] = set()
    seen: dict[int, list[float]] = defaultdict(list)
    until = time.monotonic() + LASTS_S
    changes = 0
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.stop)
        stack.enter_context(_load(small, run))
        run.until(lambda: run.answered() > 0, 60)
        while time.monotonic() < until:
            wanted = set(draw.sample(range(MOST), draw.randint(0, MOST)))
            changes += len(wanted ^ alive)
            for number in alive - wanted:
                workers[number].ask_to_stop()
            for number in alive - wanted:
                workers[number].stop()
            for number in wanted - alive:
                workers[number].spawn()
            for number in wanted - alive:
                workers[number].await_ready()
            alive = wanted
            time.sleep(SETTLES_S)
            seen[1 + len(alive)].append(_answers_a_second(small, run, draw.uniform(8, 14)))
    by_size = {size: fmean(rates) for size, rates in sorted(seen.items())}
    run.what = (
        f"four more workers started and stopped at random for five minutes, {changes} changes; {_told(by_size)}"
    )
    row = run.finish(within_s=300)
    assert row.jobs > JOBS
    each = [rate / size for size, rate in by_size.items()]
    assert min(each) > 0.7 * max(each), by_size
    assert len(each) > 2, by_size
    keep(row)


def _told(by_size: Mapping[int, float]) -> str:
    rates = ", ".join(f"{size}: {rate:.1f}" for size, rate in by_size.items())
    return f"answers a second by workers alive: {rates}"
