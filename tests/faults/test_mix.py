"""Everything at once: for ten minutes workers and servers break at random, in two rows of faults side by side."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy.exc import SQLAlchemyError

from db.jobs import Drive
from db.submit import Submission, submit
from tasks.celery.drive import PublishFailed
from tests.faults.lab import JOBS, UNDER_WAY, Lab, Trial, mixed, receipts
from tests.faults.report import keep

SEED = 20
LASTS_S = 600.0
WORKERS = ("io-1", "io-2", "cpu-1", "quarantine-1")

Fault = Callable[[Lab, random.Random], None]


def _kill_a_worker(lab: Lab, draw: random.Random) -> None:
    lab.kill(draw.choice(WORKERS))


def _stop_a_worker(lab: Lab, draw: random.Random) -> None:
    lab.signal(draw.choice(WORKERS), draw.choice((signal.SIGTERM, signal.SIGQUIT)))


def _halt_a_worker(lab: Lab, draw: random.Random) -> None:
    name, for_s = draw.choice(WORKERS), draw.uniform(1, 12)
    halted = lab.pids[name]
    try:
        os.kill(halted, signal.SIGSTOP)
        time.sleep(for_s)
        os.kill(halted, signal.SIGCONT)
    except ProcessLookupError:
        return


def _kill_a_child(lab: Lab, draw: random.Random) -> None:
    try:
        draw.choice(lab.children("cpu-1")).kill()
    except (psutil.Error, IndexError):  # it is being started again just now
        return


def _kill_a_process_apart(lab: Lab, draw: random.Random) -> None:
    try:
        draw.choice(lab.apart(draw.choice(("io-1", "io-2")))).kill()
    except (psutil.Error, IndexError):  # it is being started again just now
        return


def _send_twice(lab: Lab, draw: random.Random) -> None:
    try:
        with lab.publisher() as publish:
            for row in lab.query(f"{UNDER_WAY} order by id"):
                if draw.random() < 0.2:
                    publish([Drive(**row._mapping, quarantined=False)])
    except (SQLAlchemyError, PublishFailed):  # what it needs is broken just now
        return


def _cut_the_broker(lab: Lab, _: random.Random) -> None:
    with lab.broker_client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def _kill_the_broker(lab: Lab, draw: random.Random) -> None:
    forgets = draw.random() < 0.5
    lab.kill_server("broker")
    if forgets:
        lab.wipe_broker()
    time.sleep(draw.uniform(0, 5))
    lab.repair("broker")


def _fill_the_broker(lab: Lab, draw: random.Random) -> None:
    with lab.broker_client() as client:
        client.config_set("maxmemory", 1)
        time.sleep(draw.uniform(1, 8))
        client.config_set("maxmemory", 0)


def _silence_the_broker(lab: Lab, draw: random.Random) -> None:
    lab.broker.fall_silent()
    time.sleep(draw.uniform(2, 20))
    lab.broker.mend()


def _silence_the_database(lab: Lab, draw: random.Random) -> None:
    lab.postgres.fall_silent()
    time.sleep(draw.uniform(2, 20))
    lab.postgres.mend()


def _kill_the_database(lab: Lab, draw: random.Random) -> None:
    lab.kill_server("postgres")
    time.sleep(draw.uniform(0, 5))
    lab.repair("postgres")


OF_WORKERS: tuple[Fault, ...] = (
    _kill_a_worker, _stop_a_worker, _halt_a_worker, _kill_a_child, _kill_a_process_apart, _send_twice,
)  # fmt: skip
OF_SERVERS: tuple[Fault, ...] = (
    _cut_the_broker, _kill_the_broker, _fill_the_broker, _silence_the_broker, _silence_the_database,
    _kill_the_database,
)  # fmt: skip


def _break(lab: Lab, faults: tuple[Fault, ...], *, seed: str, pause_s: float, stop: threading.Event) -> int:
    """One fault after the other, until told to stop; how many they were."""
    draw = random.Random(seed)
    for number in itertools.count():
        if stop.wait(draw.uniform(0, pause_s)):
            return number
        draw.choice(faults)(lab, draw)
    raise AssertionError("unreachable")


def _submit(lab: Lab, run: Trial, stop: threading.Event) -> None:
    """As an application does whose database is away at times: again, under the same keys, until it is told ids."""
    draw = random.Random(f"{SEED}/submit")
    while not stop.wait(draw.uniform(0, 4)):
        name = f"20/{len(run.jobs)}/{time.time_ns()}"
        batch = [
            Submission(prompt="receipt", body=body, name="a.txt", idem_key=f"{name}/{place}")
            for place, body in enumerate(mixed(receipts(draw.randrange(1, 9), of=name)))
        ]
        run.jobs += _accepted(lab, batch)


def _accepted(lab: Lab, batch: list[Submission]) -> list[int]:
    while True:
        try:
            with lab.engine.begin() as connection:
                return [submit(connection, each) for each in batch]
        except SQLAlchemyError:
            time.sleep(0.2)


@contextmanager
def _beside(work: Callable[[threading.Event], object], ending: threading.Event) -> Iterator[None]:
    """The work goes on in a thread; what it raises brings the end, and is raised then."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work, stop)
        running.add_done_callback(lambda _: ending.set())
        try:
            yield
        finally:
            stop.set()
        running.result()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_breaks_at_random(lab: Lab, trial: Callable[[str, str], Trial]) -> None:
    run = trial("20", f"ten minutes of random faults, of workers and of servers side by side, seed {SEED}")
    spoiled = ("rate_limited=0.05", "server_error=0.03", "hang=0.01", "cut=0.02", "malformed=0.03")
    options = [part for each in spoiled for part in ("--fault", each)]
    lab.simulate("--latency-ms", "500", "--seed", str(SEED), *options)
    ending = threading.Event()
    threading.Timer(LASTS_S, ending.set).start()
    with (
        _beside(lambda stop: _submit(lab, run, stop), ending),
        _beside(lambda stop: _break(lab, OF_WORKERS, seed=f"{SEED}/w", pause_s=15, stop=stop), ending),
    ):
        # On this thread: a server ends with the thread that started it.
        _break(lab, OF_SERVERS, seed=f"{SEED}/s", pause_s=30, stop=ending)
    run.repaired()
    run.until(lambda: run.ended() == len(run.jobs), 600)
    # A call in doubt twice is for a person to decide on; every other job has its answer.
    states = run.states()
    assert states["done"] >= 0.97 * len(run.jobs) >= 0.97 * JOBS, states
    kinds = lab.query(
        "select distinct failure ->> 'kind' as kind from jobs where id = any(:jobs) and state <> 'done'",
        jobs=run.jobs,
    )
    assert {row.kind for row in kinds} <= {"in_doubt", "malformed"}, kinds
    keep(run.finish(within_s=30, states=states, paid_twice=True))
