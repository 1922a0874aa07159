"""Two beats and two sweepers at once, killed amid a hundred slots: every slot runs once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db import schedules
from tests.faults.lab import COMMAND, Lab, Trial
from tests.faults.report import keep

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

SCHEDULES = 5
MINUTES = 20
"""Missed by each schedule when the first tick comes."""
FILES = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(FILES):
        (tmp_path / f"{number}.txt").write_text(f"TEA HOUSE\nDate: 2021-03-04\nTOTAL {number}.10\n")
    return tmp_path


@pytest.fixture
def beat(lab: Lab) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a beat beside the stack's own."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (lab.data / "beat.log").open("ab") as log:
            command = [*COMMAND, "beat", "--schedule", str(lab.data / f"beat-{len(started)}")]
            process = subprocess.Popen(command, env=lab.environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def miss_some_minutes(lab: Lab, folder: Path) -> datetime:
    """Schedules of every minute whose slots lie in the past; the first of these."""
    first = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    with lab.engine.begin() as connection:
        for number in range(SCHEDULES):
            schedules.add(
                connection,
                name=f"every-minute-{number}",
                cron="* * * * *",
                time_zone="Europe/Berlin",
                submit={"prompt": "receipt", "paths": [str(folder)], "feature": f"every-minute-{number}"},
                catch_up="all",
            )
        connection.execute(text("update schedules set next_at = :first"), {"first": first})
    return first


def slots_run(lab: Lab) -> int:
    return int(lab.query("select count(*) as n from slots")[0].n)


def test_every_slot_runs_once(
    lab: Lab, trial: Callable[[str, str], Trial], beat: Callable[[], subprocess.Popen[bytes]], folder: Path
) -> None:
    run = trial("17", "two beats and two sweepers, killed amid a hundred slots of five schedules")
    lab.simulate("--latency-ms", "300")
    second = beat()
    first = miss_some_minutes(lab, folder)

    run.until(lambda: slots_run(lab) >= 5, 60)
    lab.kill("io-1")  # amid the tick's transactions
    lab.kill("beat")
    run.until(lambda: slots_run(lab) >= 50, 120)
    second.kill()
    lab.kill("io-2")
    beat()
    run.until(lambda: slots_run(lab) >= SCHEDULES * MINUTES, 150)
    with lab.engine.begin() as connection:
        connection.execute(text("update schedules set paused = true"))

    slots = lab.query("select name, slot, jobs, failure from slots order by name, slot")
    for name in {row.name for row in slots}:
        minutes = [row.slot for row in slots if row.name == name]
        assert len(minutes) >= MINUTES
        assert minutes == [first + timedelta(minutes=number) for number in range(len(minutes))]
    assert {(row.jobs, row.failure) for row in slots} == {(FILES, None)}
    made = lab.query(
        "select feature, split_part(idem_key, '/', 3) as slot, count(*) as n from jobs"
        " where feature like 'every-minute-%' group by 1, 2"
    )
    assert {row.n for row in made} == {FILES}
    assert len(made) == len(slots)
    run.jobs += [row.id for row in lab.query("select id from jobs where feature like 'every-minute-%'")]
    keep(run.finish(within_s=200, paid_twice=True))
