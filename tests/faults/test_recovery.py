"""Throughput after chaos, beside before: the five scenarios of a public suite for job queues on PostgreSQL.

The suite is hardbyte/postgresql-job-queue-benchmarking, whose chaos scenarios are warm-up, baseline, chaos and
recovery under a steady load; its measure is the median rate of completion in recovery, divided by the baseline's.
Here the phases are half as long, and backends are killed in any state, where the suite leaves idle ones alone.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from db.submit import Submission, submit
from tests.faults.lab import Lab, Trial, receipts
from tests.faults.report import Row, keep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Make = Callable[[str, str], Trial]

A_SECOND = 4.0
"""Documents that come in."""
WARM_UP_S = 10.0
PHASE_S = 30.0
WINDOW_S = 5.0
"""Rates are counted over so long; a phase's is the median of its windows."""
CONNECTIONS = 300
KILL_EVERY_S = 12.0
"""A program that dies within ten seconds of its start, again and again, is given up by its stack."""
KILL_BACKENDS = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'docmill'"


@dataclass(kw_only=True)
class Load:
    """Documents that come in one by one, each once: a submit whose end nobody knows is sent again under its key."""

    run: Trial
    stop: threading.Event = field(default_factory=threading.Event)

    def produce(self) -> None:
        for number in itertools.count():
            began = time.monotonic()
            (body,) = receipts(1, of=f"{self.run.fault}/{number}/{time.time_ns()}")
            wanted = Submission(
                prompt="receipt", body=body.encode(), idem_key=f"{self.run.fault}/{time.time_ns()}"
            )
            while not self._accepted(wanted):
                time.sleep(0.2)
            if self.stop.wait(max(0.0, began + 1 / A_SECOND - time.monotonic())):
                return

    def _accepted(self, wanted: Submission) -> bool:
        try:
            with self.run.lab.engine.begin() as connection:
                job = submit(connection, wanted)
        except SQLAlchemyError:
            return False
        self.run.jobs.append(job)
        return True


@contextmanager
def loaded(run: Trial) -> Iterator[None]:
    load = Load(run=run)
    thread = threading.Thread(target=load.produce)
    thread.start()
    try:
        yield
    finally:
        load.stop.set()
        thread.join()


def rate(run: Trial, since: float) -> float:
    """Answers a second, the median of the windows that follow that time (by the clock of the wall)."""
    counts = run.lab.query(
        "select count(r.job_id) as n from generate_series(0, :windows - 1) as w left join results r"
        " on r.job_id = any(:jobs) and r.created_at >= to_timestamp(:since + w * :long)"
        " and r.created_at < to_timestamp(:since + (w + 1) * :long) group by w",
        windows=round(PHASE_S / WINDOW_S), jobs=run.jobs, since=since, long=WINDOW_S,
    )  # fmt: skip
    return float(statistics.median(row.n for row in counts)) / WINDOW_S


def recovered(run: Trial, chaos: Callable[[], object], *, paid_twice: bool = False) -> Row:
    """Baseline, chaos, recovery; the row tells the rates before and after."""
    run.lab.simulate("--latency-ms", "300")
    with loaded(run):
        time.sleep(WARM_UP_S)
        before = time.time()
        time.sleep(PHASE_S)
        chaos()
        after = time.time()
        time.sleep(PHASE_S)
    row = run.finish(within_s=200, paid_twice=paid_twice)
    return replace(row, before_per_s=rate(run, before), after_per_s=rate(run, after))


def check(row: Row) -> None:
    keep(row)
    assert row.before_per_s
    assert row.after_per_s
    assert row.after_per_s > 0.8 * row.before_per_s


def test_the_database_restarts(lab: Lab, trial: Make) -> None:
    def chaos() -> None:
        lab.kill_server("postgres")
        time.sleep(PHASE_S / 2)
        lab.repair("postgres")
        time.sleep(PHASE_S / 2)

    check(recovered(trial("C1", "Postgres is away for 15 s"), chaos))


def test_backends_are_killed(lab: Lab, trial: Make) -> None:
    def chaos() -> None:
        ends_at = time.monotonic() + PHASE_S
        while time.monotonic() < ends_at:
            lab.query(KILL_BACKENDS)
            time.sleep(0.5)

    check(recovered(trial("C2", "pg_terminate_backend for all backends, twice a second for 30 s"), chaos))


def test_connections_are_taken(lab: Lab, trial: Make) -> None:
    def chaos() -> None:
        with ExitStack() as held:
            for _ in range(CONNECTIONS):
                try:
                    held.enter_context(psycopg.connect(lab.servers.database_url))
                except psycopg.OperationalError:  # that was the last that the server has
                    break
            else:
                pytest.fail("connections were left")
            time.sleep(PHASE_S)

    check(recovered(trial("C3", "all connections that Postgres has left are taken for 30 s"), chaos))


def test_a_worker_crashes(lab: Lab, trial: Make) -> None:
    def chaos() -> None:
        lab.kill("io-1")
        time.sleep(PHASE_S)

    check(recovered(trial("C4", "kill -9 of one of two io workers"), chaos, paid_twice=True))


def test_a_worker_crashes_again_and_again(lab: Lab, trial: Make) -> None:
    def chaos() -> None:
        for _ in range(4):
            lab.kill("io-1")
            time.sleep(KILL_EVERY_S)

    check(
        recovered(trial("C5", "kill -9 of one of two io workers, four times, every 12 s"), chaos, paid_twice=True)
    )
