"""Schedules on a real database, and in a running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from db import runs, schedules
from db.database import Database
from db.engine import make_engine
from db.schedules import CatchUp, Ran, Schedule, Submitted
from docmill.errors import Misconfigured, SubmitRefused
from tasks.upkeep.schedules import submit_slot


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    made = f"s-{uuid4().hex[:8]}"
    yield made
    with engine.begin() as connection:
        connection.execute(text("delete from schedules where name = :name"), {"name": made})


def add(engine: Engine, name: str, cron: str = "0 * * * *", catch_up: CatchUp = "all", **submit: Any) -> datetime:
    wanted = {"prompt": "receipt", "document": f"TOTAL {name}", "feature": name} | submit
    with engine.begin() as connection:
        return schedules.add(connection, name=name, cron=cron, time_zone="UTC", submit=wanted, catch_up=catch_up)


def tick(engine: Engine, now: datetime) -> list[Ran]:
    return list(schedules.tick(Database(engine), now, submit_slot))


def last_of(engine: Engine, name: str) -> tuple[Schedule, Ran | None]:
    with engine.connect() as connection:
        return next(found for found in schedules.listed(connection) if found[0].name == name)


def jobs(engine: Engine, name: str) -> int:
    with engine.connect() as connection:
        found = connection.execute(text("select count(*) from jobs where feature = :name"), {"name": name})
        return int(found.scalar_one())


def test_many_ticks_at_once_make_the_jobs_of_a_slot_once(engine: Engine, name: str) -> None:
    first = add(engine, name)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: tick(engine, first + timedelta(hours=2, minutes=1)), range(8)))
    assert sum(ran.jobs for each in made for ran in each if ran.name == name) == 3
    assert jobs(engine, name) == 3


@pytest.mark.parametrize(("catch_up", "made_up_for"), [("all", 7), ("last", 1), ("none", 0)])
def test_a_beat_that_was_away_for_an_hour(engine: Engine, name: str, catch_up: CatchUp, made_up_for: int) -> None:
    first = add(engine, name, "*/10 * * * *", catch_up)
    back = first + timedelta(minutes=65)
    for _ in range(2):
        tick(engine, back)
        assert jobs(engine, name) == made_up_for
    tick(engine, back + timedelta(minutes=5))
    assert jobs(engine, name) == made_up_for + 1, "what comes after its return comes on time"


def test_a_pause_leaves_its_slots_out(engine: Engine, name: str) -> None:
    first = add(engine, name)
    with engine.begin() as connection:
        schedules.pause(connection, name, paused=True)
    tick(engine, first + timedelta(minutes=1))
    assert jobs(engine, name) == 0
    with engine.begin() as connection:
        schedules.pause(connection, name, paused=False)
        extra = schedules.run_now(connection, name, submit_slot)
    assert extra.jobs == jobs(engine, name) == 1


def test_the_jobs_of_a_slot_are_its_tenants(engine: Engine, name: str) -> None:
    said = {"prompt": "receipt", "document": f"TOTAL {name}", "feature": name}
    with engine.begin() as connection:
        timing: dict[str, Any] = {"cron": "0 * * * *", "time_zone": "UTC", "catch_up": "last"}
        schedules.add(connection, name=name, submit=said, tenant="acme", **timing)
        assert schedules.run_now(connection, name, submit_slot).jobs == 1
        with pytest.raises(SubmitRefused, match="tenant"):
            schedules.add(connection, name=f"{name}-2", submit=said, tenant="a\nb", **timing)
    with engine.connect() as connection:
        found = connection.execute(text("select tenant from jobs where feature = :name"), {"name": name})
        assert found.scalars().all() == ["acme"]
        run = schedules.slots_of(connection, name, limit=1)[0].run_id
        assert run is not None
        assert runs.find(connection, run, tenant="acme").name == name
        theirs = {
            tenant: [each.name for each, _ in schedules.listed(connection, tenant=tenant)]
            for tenant in ("acme", "default")
        }
    assert name in theirs["acme"]
    assert name not in theirs["default"]


def test_what_is_missing_is_told_and_the_rest_is_submitted(engine: Engine, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("TOTAL 1.00")
    (tmp_path / "in" / "huge.txt").touch()
    os.truncate(tmp_path / "in" / "huge.txt", 200_000_000)
    paths = [str(tmp_path / each) for each in ("gone", "in")]
    first = add(engine, name, document=None, paths=paths)
    tick(engine, first)
    _, ran = last_of(engine, name)
    assert ran is not None
    assert (ran.slot, ran.jobs, jobs(engine, name)) == (first, 1, 1)
    assert ran.failure is not None
    assert f"there is no {tmp_path / 'gone'}" in ran.failure
    assert "huge.txt has 200,000,000 bytes" in ran.failure

    with engine.connect() as connection:
        run = text(
            "select r.cause, r.submit ->> 'prompt' as prompt, r.closed_at is not null as closed, count(j.id) as jobs"
            " from runs r left join jobs j on j.run_id = r.id where r.name = :name group by r.id"
        )
        assert [tuple(row) for row in connection.execute(run, {"name": name})] == [
            ("schedule", "receipt", True, 1)
        ]

    tick(engine, first)
    assert jobs(engine, name) == 1, "a slot runs once, however it went"


BROKEN = {
    "a zone that is no more": ("time_zone = 'Mars/North'", "no time zone is called 'Mars/North'", True),
    "an expression that is none": ("cron = '@often'", "is no cron expression", True),
    "no prompt": ("submit = '{}'", "(prompt: Field required)", False),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_schedule_is_told_of_and_holds_up_no_other(engine: Engine, name: str, kind: str) -> None:
    change, told, paused = BROKEN[kind]
    broken = f"a-{name}"
    first = add(engine, broken)
    add(engine, name)
    with engine.begin() as connection:
        connection.execute(text(f"update schedules set {change} where name = :name"), {"name": broken})
    try:
        tick(engine, first)
        schedule, ran = last_of(engine, broken)
        assert ran is not None
        assert (ran.jobs, schedule.paused) == (0, paused)
        assert told in (ran.failure or "")
        assert jobs(engine, name) == 1
        with engine.begin() as connection:
            if paused:
                with pytest.raises(Misconfigured):
                    schedules.pause(connection, broken, paused=False)
    finally:
        with engine.begin() as connection:
            schedules.remove(connection, broken)


def test_trouble_of_the_database_leaves_the_slot_for_the_next_tick(engine: Engine, name: str) -> None:
    first = add(engine, name)

    def fall_over(connection: Connection, _schedule: Schedule, _slot: datetime) -> Submitted:
        connection.execute(text("set local statement_timeout = '10ms'"))
        connection.execute(text("select pg_sleep(5)"))
        raise AssertionError

    with pytest.raises(OperationalError):
        list(schedules.tick(Database(engine), first, fall_over))
    assert last_of(engine, name) == (last_of(engine, name)[0], None)
    tick(engine, first)
    assert jobs(engine, name) == 1


@pytest.mark.parametrize(("cron", "zone"), [("every day", "UTC"), ("0 0 30 2 *", "UTC"), ("0 0 * * *", "Mars")])
def test_what_cannot_be_a_schedule_is_refused(engine: Engine, cron: str, zone: str) -> None:
    with engine.begin() as connection, pytest.raises(Misconfigured):
        schedules.add(
            connection, name="x", cron=cron, time_zone=zone, submit={"prompt": "receipt"}, catch_up="all"
        )


def test_beat_runs_a_slot_that_is_due(up: Path) -> None:
    command = (sys.executable, "-m", "docmill", "schedules")
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
