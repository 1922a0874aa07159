"""Two beats at once, and beats and workers killed amid a hundred slots: every slot runs once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db import schedules
from tests.faults.conftest import COMMAND, RunningStack

pytestmark = pytest.mark.timeout(600)

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
def beat(data: Path) -> Iterator[Callable[[RunningStack], subprocess.Popen[bytes]]]:
    """Starts a beat beside the stack's own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(stack: RunningStack) -> subprocess.Popen[bytes]:
        ready = json.loads((stack.data / "ready.json").read_text())
        env = {f"DOCMILL_{name.upper()}": ready[name] for name in ("database_url", "broker_url", "cache_url")}
        with (data / "beat.log").open("ab") as log:
            process = subprocess.Popen(
                [*COMMAND, "beat", "--schedule", str(data / "beat")],
                env={**os.environ, **env},
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def miss_some_minutes(stack: RunningStack, folder: Path) -> datetime:
    """Schedules of every minute whose slots lie in the past; the first of these."""
    first = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    with stack.engine.begin() as connection:
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


def slots_run(stack: RunningStack) -> int:
    return int(stack.query("select count(*) as n from slots")[0].n)


def test_every_slot_runs_once(
    start: Callable[..., RunningStack], beat: Callable[[RunningStack], subprocess.Popen[bytes]], folder: Path
) -> None:
    stack = start()
    second = beat(stack)
    first = miss_some_minutes(stack, folder)

    stack.until(lambda: slots_run(stack) >= 5, 60)
    stack.kill("io-1")  # amid the tick's transactions
    stack.kill("beat")
    stack.until(lambda: slots_run(stack) >= 50, 90)
    second.kill()
    stack.kill("io-1")
    beat(stack)
    stack.until(lambda: slots_run(stack) >= SCHEDULES * MINUTES, 120)
    with stack.engine.begin() as connection:
        connection.execute(text("update schedules set paused = true"))

    slots = stack.query("select name, slot, jobs, failure from slots order by name, slot")
    for name in {row.name for row in slots}:
        minutes = [row.slot for row in slots if row.name == name]
        assert len(minutes) >= MINUTES
        assert minutes == [first + timedelta(minutes=number) for number in range(len(minutes))]
    assert {(row.jobs, row.failure) for row in slots} == {(FILES, None)}
    made = stack.query(
        "select feature, split_part(idem_key, '/', 3) as slot, count(*) as n from jobs group by 1, 2"
    )
    assert {row.n for row in made} == {FILES}
    assert len(made) == len(slots)
