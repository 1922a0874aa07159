"""Upkeep's parts stand apart: one row, or one part, that breaks takes nothing along, and is told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError

from db import budgets, costs, dispatch, embeddings, fleet, statistics
from db.database import Database
from db.dispatch import SWEEP
from db.jobs import Drive
from db.submit import Submission, submit
from docmill.llm.limiter import Limiter, NoLimiter
from docmill.processes import identify
from docmill.settings import Settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.calls.spool import Drain
from tasks.services import Services
from tasks.upkeep.alerts import Alarm
from tasks.upkeep.tick import LOOKED_EVERY_S, Upkeep
from tasks.upkeep.troubles import KEEPS_BREAKING
from tests.command import Command
from tests.integration.test_api_edges import app_of, asked

DUE = "wake_at = clock_timestamp() - interval '1 s'"
ROWS: dict[str, str] = {
    "deadlines": "deadline_at = clock_timestamp() - interval '1 s'",
    "holds": f"wait = 'rate', state = 'held', {DUE}",
    "poison": f"wait = 'running', state = 'running', crashes = 9, {DUE}",
    "lost": f"wait = 'sent', state = 'running', stage = 'context', {DUE}",
    "dispatch": "wait = 'unsent', state = 'queued'",
    "intents": "wait = 'running', state = 'running', stage = 'complete', wake_at = clock_timestamp() + interval '1 hour'",
    "followers": "wait = null, state = 'failed', failure = '{\"kind\": \"refused\"}', finished_at = clock_timestamp()",
}
"""By the chore: what a job is like whose time has come for it."""


class Clock:
    """Moves when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Ticking:
    """An upkeep whose every tick sweeps, and what it published."""

    def __init__(self, engine: Engine, spool: Path, limiter: Limiter) -> None:
        self.clock = Clock()
        self.published: list[Drive] = []
        services = Services(
            settings=Settings(spool=spool, llm_url=f"http://127.0.0.1:9/{uuid4().hex}"),
            database=Database(engine),
            registry=Registry([BUILT_IN]),
            publish=self.publish,
            owner=identify("t", spool),
            limiter=limiter,
        )
        self.upkeep = Upkeep(services=services, worker="io@parts", slots=100, clock=self.clock)

    def publish(self, drives: Sequence[Drive]) -> None:
        self.published += drives

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.now += 10
            self.upkeep.tick()


@pytest.fixture
def limiter() -> Limiter:
    return NoLimiter()


@pytest.fixture
def ticking(engine: Engine, owner: Engine, tmp_path: Path, limiter: Limiter) -> Iterator[Ticking]:
    with owner.begin() as connection:
        connection.execute(text("truncate jobs, calls, exchanges, flights, drives, workers cascade"))
        fleet.see_worker(connection, "cpu@parts", "cpu", 100)
    made = Ticking(engine, tmp_path / "spool", limiter)
    made.tick()  # the first one spares leases
    yield made
    with owner.begin() as connection:
        connection.execute(text("truncate jobs, calls, exchanges, flights, drives, workers cascade"))


@pytest.fixture
def refuse(owner: Engine) -> Iterator[Callable[[str, str], None]]:
    """Rows of a table that Postgres changes for nobody."""
    made: list[str] = []

    def make(table: str, condition: str, when: str = "update") -> None:
        with owner.begin() as connection:
            connection.execute(
                text(
                    "create or replace function refuse_row() returns trigger language plpgsql as"
                    " $$ begin raise exception 'no' using errcode = 'numeric_value_out_of_range'; end $$"
                )
            )
            row = "old" if when == "delete" else "new"
            connection.execute(
                text(
                    f"create trigger refuse_rows before {when} on {table} for each row"
                    f" when ({condition.replace('ROW', row)}) execute function refuse_row()"
                )
            )
        made.append(table)

    yield make
    with owner.begin() as connection:
        for table in made:
            connection.execute(text(f"drop trigger refuse_rows on {table}"))


def jobs_like(engine: Engine, changes: str, number: int = 5) -> list[int]:
    with engine.begin() as connection:
        made = [submit(connection, Submission(prompt="receipt", body=uuid4().bytes)) for _ in range(number)]
        connection.execute(text(f"update jobs set {changes} where id = any(:ids)"), {"ids": made})
    return made


def jobs_for(engine: Engine, chore: str) -> list[int]:
    made = jobs_like(engine, ROWS[chore])
    with engine.begin() as connection:
        for job in made:
            if chore == "intents":
                connection.execute(
                    text(
                        "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash,"
                        " provider, account, model, lease_until) values (gen_random_uuid(), :job, 'first', 0, 1,"
                        " 'intent', 't', 'f', '', '', 'p', 'a', 'm', '-infinity')"
                    ),
                    {"job": job},
                )
            if chore == "followers":
                connection.execute(
                    text("insert into flights (key, job_id) values (sha256(cast(:job as text)::bytea), :job)"),
                    {"job": job},
                )
    return made


def untouched(engine: Engine, chore: str, jobs: Sequence[int]) -> set[int]:
    """Those for which the chore has not been done."""
    condition = {
        "intents": "exists (select from calls where job_id = jobs.id and state = 'intent')",
        "followers": "exists (select from flights where job_id = jobs.id)",
        "dispatch": "wait = 'unsent'",
        "holds": "wait = 'rate'",
        "lost": "redrives = 0",
    }.get(chore, "state <> 'failed'")
    with engine.connect() as connection:
        found = connection.execute(
            text(f"select id from jobs where id = any(:ids) and {condition}"), {"ids": jobs}
        )
        return set(found.scalars())


@pytest.mark.parametrize("chore", [*(each for each in SWEEP if each != "probes"), "dispatch"])
def test_a_row_that_breaks_a_chore_is_left_out_and_told_of(
    ticking: Ticking, engine: Engine, refuse: Callable[..., None], chore: str
) -> None:
    jobs = jobs_for(engine, chore)
    bad = jobs[1]
    waiting = jobs_like(engine, ROWS["dispatch"], 2)
    if chore == "followers":
        refuse("flights", f"ROW.job_id = {bad}", "delete")
    else:
        refuse("jobs", f"ROW.id = {bad}")
    ticking.tick(2)
    assert untouched(engine, chore, jobs) == {bad}
    assert not untouched(engine, "dispatch", waiting)
    with engine.connect() as connection:
        (trouble,) = [each for each in fleet.troubles(connection) if each.part == chore]
    assert (trouble.worker, trouble.breaks) == ("io@parts", False)
    assert "NumericValueOutOfRange" in trouble.told


def test_a_model_is_tried_by_another_job_where_the_first_one_breaks(
    ticking: Ticking, engine: Engine, owner: Engine, refuse: Callable[..., None]
) -> None:
    held = "state = 'held', wait = 'rate', held_for = 'hold:a/m', wake_at = clock_timestamp() + interval '1 hour'"
    jobs = jobs_like(engine, held)
    with owner.begin() as connection:
        connection.execute(text("truncate model_state"))
        over = "insert into model_state (account, model, hold_cause, hold_until) values ('a', 'm', 'auth', '-infinity')"
        connection.execute(text(over))
    refuse("jobs", f"ROW.id = {jobs[0]}")
    ticking.tick(3)
    with owner.begin() as connection:
        freed = connection.execute(text("select id from jobs where wait <> 'rate'")).scalars().all()
        connection.execute(text("truncate model_state"))
    assert jobs[1] in freed
    assert jobs[0] not in freed


def test_a_row_that_is_mended_is_looked_at_again(
    ticking: Ticking, engine: Engine, owner: Engine, refuse: Callable[..., None]
) -> None:
    jobs = jobs_for(engine, "holds")
    refuse("jobs", f"ROW.id = {jobs[0]} and current_setting('test.mended', true) is distinct from 'yes'")
    ticking.tick(2)
    with engine.begin() as connection:
        assert len(fleet.troubles(connection)) == 1
    with owner.begin() as connection:
        connection.execute(text("alter table jobs disable trigger refuse_rows"))
    ticking.tick(10)
    assert not untouched(engine, "holds", jobs)
    with engine.connect() as connection:
        assert not fleet.troubles(connection)


def breaks(*_: Any, **__: Any) -> Any:
    raise DataError("select secret", {}, ValueError("TEA HOUSE"))


PARTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "spool": lambda patch: patch.setattr(Drain, "drives", breaks),
    "room": lambda patch: patch.setattr(fleet, "held_for", breaks),
    "leases": lambda patch: patch.setattr(dispatch, "spare_leases", breaks),
    "budgets": lambda patch: patch.setattr(budgets, "look_after", breaks),
    "alarms": lambda patch: patch.setattr(Alarm, "look", breaks),
    "costs": lambda patch: patch.setattr(costs, "fold", breaks),
    "messages": lambda patch: patch.setattr(Services, "broker_began_anew", property(breaks)),
    "questions": lambda patch: patch.setattr(embeddings, "forget_questions", breaks),
    "words": lambda patch: patch.setattr(statistics, "stale", breaks),
    "models": lambda patch: patch.setattr(statistics, "take_over", breaks),
    "indexes": lambda patch: patch.setattr(statistics, "unindexed", breaks),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_breaks_takes_no_other_along(
    ticking: Ticking, engine: Engine, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    PARTS[part](monkeypatch)
    if part == "leases":
        ticking.upkeep._was_away = True
    ends = jobs_for(engine, "deadlines")
    waiting = jobs_like(engine, ROWS["dispatch"], 2)
    for _ in range(KEEPS_BREAKING + 1):
        ticking.tick()
        librarian = ticking.upkeep._librarian._thread
        assert librarian is not None
        librarian.join(10)
    assert not untouched(engine, "deadlines", ends)
    assert not untouched(engine, "dispatch", waiting)
    with engine.connect() as connection:
        found = [trouble for trouble in fleet.troubles(connection) if trouble.part == part]
    assert [trouble.breaks for trouble in found] == [True]
    assert "DataError" in found[0].told
    assert "TEA HOUSE" not in found[0].told


def test_a_fleets_first_job_is_not_sent_again_for_a_broker_that_is_as_new_as_the_fleet(
    ticking: Ticking, engine: Engine
) -> None:
    """Nobody has asked such a broker before, and so it counts as one that began anew."""
    news = [True]
    services = replace(ticking.upkeep.services, broker_began_anew=lambda: bool(news) and news.pop())
    upkeep = Upkeep(services=services, worker="io@parts", slots=100, clock=ticking.clock)
    upkeep.tick()
    jobs_like(engine, "wait = 'unsent'", 1)
    for _ in range(10):
        ticking.clock.now += 1
        upkeep.tick()
    with engine.connect() as connection:
        assert [*connection.scalars(text("select cause from drives"))] == ["start"]


def test_a_job_is_sent_before_the_second_is_over(ticking: Ticking, engine: Engine) -> None:
    """Who submits through the database alone rings at nobody's door, and may be a person who waits."""
    ticking.tick()
    ticking.clock.now += LOOKED_EVERY_S
    assert ticking.upkeep.tick() <= LOOKED_EVERY_S
    made = jobs_like(engine, "wait = 'unsent'", 1)
    ticking.clock.now += LOOKED_EVERY_S
    ticking.upkeep.tick()
    assert [drive.id for drive in ticking.published] == made


def test_a_fleets_processes_share_the_looks(ticking: Ticking, engine: Engine) -> None:
    with engine.begin() as connection:
        for name in "abcd":
            fleet.see_worker(connection, f"io-{name}@parts", "io", 100)
    ticking.tick()
    ticking.clock.now += LOOKED_EVERY_S
    assert LOOKED_EVERY_S < ticking.upkeep.tick() <= 5 * LOOKED_EVERY_S


def test_what_was_over_in_a_moment_is_told_to_nobody(
    ticking: Ticking, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        PARTS["costs"](patch)
        ticking.tick(KEEPS_BREAKING - 1)
    ticking.tick(2)
    with engine.connect() as connection:
        assert not fleet.troubles(connection)


def test_no_lease_is_judged_that_could_not_be_spared(
    ticking: Ticking, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking.upkeep._was_away = True
    jobs = jobs_for(engine, "intents")
    with monkeypatch.context() as patch:
        PARTS["leases"](patch)
        ticking.tick(2)
        assert untouched(engine, "intents", jobs) == set(jobs)


def test_readiness_tells_what_upkeep_goes_without_and_what_breaks(
    ticking: Ticking, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(engine)
    assert asked(app, "GET", "/readyz").json()["upkeep"] == "works"
    spool = ticking.upkeep.services.spool
    spool.mkdir()
    (spool / "notes.json").write_text("?")
    ticking.tick(2)
    goes_on = asked(app, "GET", "/readyz")
    assert (goes_on.status_code, goes_on.json()["upkeep"]) == (200, "goes on")
    assert "1 files in set-aside" in goes_on.json()["told"][0]
    PARTS["costs"](monkeypatch)
    ticking.tick(KEEPS_BREAKING + 1)
    broken = asked(app, "GET", "/readyz")
    assert (broken.status_code, broken.json()["upkeep"], broken.json()["database"]) == (503, "breaks", "answers")
    assert "costs breaks since" in broken.json()["detail"]


def test_doctor_names_the_part_that_breaks(
    ticking: Ticking,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    docmill: Command,
) -> None:
    monkeypatch.setenv("DOCMILL_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("DOCMILL_BROKER_URL", "redis://127.0.0.1:1/0")
    PARTS["costs"](monkeypatch)
    ticking.tick(KEEPS_BREAKING + 1)
    checks = [json.loads(line) for line in docmill("doctor", "--json").stdout.splitlines() if line[:1] == "{"]
    (upkeep,) = [check for check in checks if check["check"] == "upkeep"]
    assert not upkeep["ok"]
    assert "io@parts: costs breaks since" in upkeep["told"]
