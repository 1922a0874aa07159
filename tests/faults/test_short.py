"""Short documents' jobs, each of which one io worker takes all the way, as its processes and then the workers die."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import text

from tests.faults.lab import Lab, Trial
from tests.faults.report import keep
from workers.stack.up import SHORT_LIFE_S

pytestmark = pytest.mark.timeout(900)

Make = Callable[[str, str], Trial]

WORKERS = ("io-1", "io-2")
KILLS = 50
ROUNDS = 4
AT_ONCE = 8
"""Jobs that a worker's connections to the database are enough for, so that none of them waits for one."""


@pytest.mark.slow
def test_processes_apart_are_killed(lab: Lab, trial: Make) -> None:
    run = trial("1b", "")
    lab.simulate("--latency-ms", "100")
    draw = random.Random(1)
    killed = 0
    while killed < KILLS or run.ended() < len(run.jobs):
        if killed < KILLS and run.ended() == len(run.jobs):
            run.submit(run.receipts(100))
        killed += _killed(lab, draw)
        time.sleep(draw.uniform(0, 0.5))
    run.what = f"short documents alone; kill -9 of io workers' reading and judging processes, {killed} times"
    row = run.finish(within_s=200)
    assert row.started == row.answered == len(run.jobs)
    keep(row)


def _killed(lab: Lab, draw: random.Random) -> int:
    try:
        draw.choice(lab.apart(draw.choice(WORKERS))).kill()
    except (psutil.Error, IndexError):  # it is being started again just now
        return 0
    return 1


# A write that waits as long as the test holds the lock of its table.
HOLD_UP = """
create or replace function hold_up() returns trigger language plpgsql as $$
begin perform pg_advisory_xact_lock_shared(hashtext(tg_table_name)); return new; end $$;
create or replace trigger hold_up before update of text on documents for each row execute function hold_up();
create or replace trigger hold_up before insert on calls for each row execute function hold_up();
create or replace trigger hold_up before insert on results for each row execute function hold_up();
"""
LET_GO = "drop function if exists hold_up cascade"

STEPS = {
    "documents": "stage = 'validate' and wait = 'running'",
    "calls": "stage in ('context', 'complete')",
    "results": "exists (select from calls where job_id = jobs.id and state = 'answered')",
}
"""What is written after a claim, before a call and at the end, and which jobs wait for that."""


@pytest.mark.slow
def test_workers_are_killed_between_the_steps_of_short_jobs(lab: Lab, trial: Make) -> None:
    run = trial(
        "2e",
        f"short documents alone; kill -9 of both io workers, {ROUNDS} times each as the text, the call, the result"
        " was to be written",
    )
    lab.simulate("--latency-ms", "100")
    with _held_up(lab):
        for _ in range(ROUNDS):
            for table, waits in STEPS.items():
                _until_settled(run)
                _kill_as_it_writes(run, table, waits)
    row = run.finish(within_s=100, paid_twice=True)
    # What waited to be written when its worker died is written: such a call nobody made, and nobody knows that.
    assert row.possibly_billed <= ROUNDS * AT_ONCE
    assert row.of_these_billed == row.surplus == 0
    assert row.answered == len(run.jobs)
    keep(row)


def _kill_as_it_writes(run: Trial, table: str, waits: str) -> None:
    with run.lab.engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(hashtext(:table))"), {"table": table})
        submitted = run.submit(run.receipts(AT_ONCE))
        run.until(lambda: run.count("jobs", f"{waits} and id >= {submitted[0]}") == AT_ONCE, 20)
        for name in WORKERS:
            run.lab.kill(name)
    run.until(lambda: run.ended() == len(run.jobs), 60)


def _until_settled(run: Trial) -> None:
    """Until no worker is so young that its stack would give up one that dies."""
    run.until(
        lambda: all(run.lab.sees(name, but=0) and _age_s(run.lab, name) > 1.1 * SHORT_LIFE_S for name in WORKERS),
        60,
    )


def _age_s(lab: Lab, name: str) -> float:
    try:
        return time.time() - psutil.Process(lab.pids[name]).create_time()
    except psutil.NoSuchProcess:  # it is being started again just now
        return 0.0


@contextmanager
def _held_up(lab: Lab) -> Iterator[None]:
    with lab.engine.begin() as connection:
        connection.execute(text(HOLD_UP))
    try:
        yield
    finally:
        with lab.engine.begin() as connection:
            connection.execute(text(LET_GO))
