"""Schedules on a real database, and in a running stack."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import schedules
from db.engine import make_engine
from docmill.errors import Misconfigured
from tasks.schedules import submit_slot


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    made = f"s-{uuid4().hex[:8]}"
    yield made
    with engine.begin() as connection:
        connection.execute(text("delete from schedules where name = :name"), {"name": made})


def add(engine: Engine, name: str, cron: str = "0 * * * *") -> datetime:
    with engine.begin() as connection:
        return schedules.add(
            connection,
            name=name,
            cron=cron,
            time_zone="UTC",
            submit={"prompt": "receipt", "document": f"TOTAL {name}", "feature": name},
            catch_up="all",
        )


def tick(engine: Engine, now: datetime) -> int:
    with engine.begin() as connection:
        return schedules.tick(connection, now, lambda schedule, slot: submit_slot(connection, schedule, slot))


def jobs(engine: Engine, name: str) -> int:
    with engine.connect() as connection:
        found = connection.execute(text("select count(*) from jobs where feature = :name"), {"name": name})
        return int(found.scalar_one())


def test_many_ticks_at_once_make_the_jobs_of_a_slot_once(engine: Engine, name: str) -> None:
    first = add(engine, name)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: tick(engine, first + timedelta(hours=2, minutes=1)), range(8)))
    assert sum(made) == 3
    assert jobs(engine, name) == 3


def test_a_pause_leaves_its_slots_out(engine: Engine, name: str) -> None:
    first = add(engine, name)
    with engine.begin() as connection:
        schedules.pause(connection, name, paused=True)
    assert tick(engine, first + timedelta(minutes=1)) == 0
    with engine.begin() as connection:
        schedules.pause(connection, name, paused=False)
        extra = schedules.run_now(connection, name, lambda each, slot: submit_slot(connection, each, slot))
    assert extra == jobs(engine, name) == 1


@pytest.mark.parametrize(("cron", "zone"), [("every day", "UTC"), ("* * * *", "UTC"), ("0 0 * * *", "Mars")])
def test_what_cannot_be_a_schedule_is_refused(engine: Engine, cron: str, zone: str) -> None:
    with engine.begin() as connection, pytest.raises(Misconfigured):
        schedules.add(
            connection, name="x", cron=cron, time_zone=zone, submit={"prompt": "receipt"}, catch_up="all"
        )


def test_beat_runs_a_slot_that_is_due(up: Path) -> None:
    command = (sys.executable, "-m", "docmill.cli", "schedules")
    at = ("--data", str(up), "--json")
    options = ("--cron", "0 0 1 1 *", "--prompt", "receipt", "--feature", "clock", "--text", "TOTAL 1.00")
    subprocess.run([*command, "add", "due", *options, *at], check=True, capture_output=True)
    listed = subprocess.run([*command, "list", *at], check=True, capture_output=True, text=True).stdout
    assert json.loads(listed.splitlines()[0])["name"] == "due"

    engine = make_engine(json.loads((up / "ready.json").read_text())["database_url"])
    with engine.begin() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(text("update schedules set next_at = :past where name = 'due'"), {"past": past})
    give_up_at = time.monotonic() + 60
    while jobs(engine, "clock") == 0:
        assert time.monotonic() < give_up_at
        time.sleep(0.2)
    engine.dispose()
