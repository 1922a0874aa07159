"""A process that ended a stage goes on with the next one: what it has in hand is written once, and never lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from celery import Task
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db import jobs, ledger, transitions
from db.engine import CONNECT_TIMEOUT_S
from db.jobs import Drive, Job
from db.stages import STAGES, Stage
from db.transitions import MOST_LET_GO
from docmill.llm.client import Outcome
from docmill.llm.limiter import RedisLimiter
from tasks.calls import asking, making
from tasks.calls.call import Call
from tasks.calls.spool import Drain
from tasks.celery.going_on import following
from tasks.celery.stage import DATABASE_BACK_S, GOES_ON_WITHIN_S, Handler, StageBroke
from tasks.chain import FUNCTIONS, TASKS
from tasks.services import Services
from tasks.stages import complete
from tasks.stages.step import Again, InHand, Onward, Step, Stop, go_on
from tasks.turns import Turns
from tests.walk import Walk, walk
from workers.stack.servers import EmbeddedServers

__all__ = ["walk"]

HANDLERS = {stage: Handler(name=stage, function=FUNCTIONS[stage], lease_s=60) for stage in FUNCTIONS}


def run(way: Walk, job_id: int, stage: Stage, *, then: Stage | None = None) -> Step:
    with way.engine.begin() as connection:
        connection.execute(text("update jobs set wait = 'sent', state = 'running' where id = :id"), {"id": job_id})
    return HANDLERS[stage].run(way.services, job_id, way.job(job_id).epoch, then=then)


def timed(way: Walk, each_look_s: float = 0.0) -> Walk:
    """By a clock that goes on by so much with each look at it."""
    way.services = replace(way.services, turns=Turns(clock=count(step=each_look_s).__next__))
    return way


def in_hand(step: Step) -> Job:
    assert isinstance(step, InHand), step
    return step.job


def answered(way: Walk) -> int:
    """A job whose reply is there, and whose message is on its way to parse."""
    job_id = way.submit("TEA HOUSE\nDate: 2021-03-04\nTOTAL 4.10\n")
    assert (
        HANDLERS["complete"].go_on(way.services, in_hand(run(way, job_id, "context", then="complete"))) == Onward()
    )
    return job_id


def parsed(way: Walk, *, then: Stage | None) -> tuple[int, Step]:
    job_id = answered(way)
    return job_id, run(way, job_id, "parse", then=then)


def test_a_job_in_hand_ends_as_one_whose_messages_came(walk: Callable[..., Walk]) -> None:
    way = timed(walk())
    first, step = parsed(way, then="store")
    row = way.job(first)
    assert (row.stage, row.wait, row.value) == ("parse", "running", None), "nothing is written yet"
    assert HANDLERS["store"].go_on(way.services, in_hand(step)) == Onward()
    second, step = parsed(replace_tenant(way), then=None)
    assert step == Onward()
    assert run(way, second, "store") == Onward()
    ends = [way.job(each) for each in (first, second)]
    assert [(each.state, each.stage, each.wait, each.crashes) for each in ends] == [("done", "store", None, 0)] * 2
    assert ends[0].context == ends[1].context
    assert ends[0].value == ends[1].value
    results = [way.result(each) for each in (first, second)]
    assert [each.value for each in results] == [each.value["answer"] for each in ends]
    assert [each.evidence for each in results] == [each.value["evidence"] for each in ends]


def replace_tenant(way: Walk) -> Walk:
    """Another tenant's, who shares no answer."""
    way.tenant = uuid4().hex[:8]
    return way


def test_what_breaks_with_a_job_in_hand_counts_as_a_crash_of_the_claim(walk: Callable[..., Walk]) -> None:
    way = timed(walk())

    def broken(services: Services, job: Job) -> Step:
        raise RuntimeError("a defect")

    job_id, step = parsed(way, then="store")
    with pytest.raises(StageBroke):
        Handler(name="store", function=broken, lease_s=60).go_on(way.services, in_hand(step))
    row = way.job(job_id)
    assert (row.stage, row.wait, row.crashes) == ("parse", "unsent", 1)


def test_a_store_in_hand_waits_for_the_database_under_its_claim(walk: Callable[..., Walk]) -> None:
    way = timed(walk())
    job_id, step = parsed(way, then="store")
    tries: list[float] = []

    def back_at_last(services: Services, job: Job) -> Step:
        return FUNCTIONS["store"](services, job) if len(tries) == 2 else away()

    handler = Handler(name="store", function=back_at_last, lease_s=5, sleep=tries.append)
    assert handler.go_on(way.services, in_hand(step)) == Onward()
    assert tries == [DATABASE_BACK_S] * 2
    row = way.job(job_id)
    assert (row.stage, row.state, row.crashes) == ("store", "done", 0)


def test_a_store_in_hand_gives_up_before_its_time_limit(walk: Callable[..., Walk]) -> None:
    way = timed(walk())
    _, step = parsed(way, then="store")
    job = in_hand(step)
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def takes_a_while(*_: object) -> Step:
        sleep(CONNECT_TIMEOUT_S)
        return away()

    way.services = replace(way.services, turns=Turns(clock=lambda: now))
    stopped = Handler(name="store", function=takes_a_while, lease_s=5, sleep=sleep).go_on(way.services, job)
    assert isinstance(stopped, Stop)
    rules = STAGES["parse"]
    assert rules.soft_s is not None
    assert rules.soft_s / 2 < now <= rules.soft_s - GOES_ON_WITHIN_S


@pytest.mark.parametrize(
    ("away_for", "redrives", "stands"),
    [
        (0, 0, ("unsent", 0, 1)),
        (3, 2, ("unsent", 0, 3)),
        (999, 0, ("running", 0, 0)),
        (0, MOST_LET_GO, ("running", 0, MOST_LET_GO)),  # what is written may be what breaks the server
    ],
)
def test_a_claim_that_could_not_be_written_ends_once_the_database_is_back(
    walk: Callable[..., Walk],
    monkeypatch: pytest.MonkeyPatch,
    away_for: int,
    redrives: int,
    stands: tuple[str, int, int],
) -> None:
    way, now, tries, let_go = walk(), 0.0, count(), transitions.let_go

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def let_go_at_last(*values: Any, **named: Any) -> bool:
        return away() if next(tries) < away_for else let_go(*values, **named)

    monkeypatch.setattr(transitions, "let_go", wraps(let_go)(let_go_at_last))
    way.services = replace(way.services, turns=Turns(clock=lambda: now))
    job_id = answered(way)
    with way.engine.begin() as connection:
        connection.execute(text("update jobs set redrives = :n where id = :id"), {"n": redrives, "id": job_id})
    handler = Handler(name="parse", function=away, lease_s=60, sleep=sleep)
    step = handler.run(way.services, job_id, way.job(job_id).epoch)
    assert isinstance(step, Stop if stands[0] == "unsent" else Again)
    row = way.job(job_id)
    assert (row.wait, row.crashes, row.redrives) == stands
    rules = STAGES["parse"]
    assert rules.soft_s is not None
    assert now <= rules.soft_s - GOES_ON_WITHIN_S


def test_what_was_written_after_all_is_not_let_go(walk: Callable[..., Walk]) -> None:
    """The database took it, and went away before it said so."""
    way = walk()
    job_id = answered(way)

    def written(services: Services, job: Job) -> Step:
        services.database.run(go_on, job, "store", message_s=60, value={})
        return away()

    handler = Handler(name="parse", function=written, lease_s=60)
    assert isinstance(handler.run(way.services, job_id, way.job(job_id).epoch), Again)
    assert (way.job(job_id).stage, way.job(job_id).wait) == ("store", "sent")


@pytest.mark.parametrize(("owner", "wait"), [("another", "running"), (None, "rate")])
def test_only_the_processs_own_claim_is_let_go(walk: Callable[..., Walk], owner: str | None, wait: str) -> None:
    """It may be another's by then, or the job may wait at the same stage as the stage said."""
    way = walk()
    job_id, stands = answered(way), (owner or way.services.owner, wait)

    def becomes(services: Services, job: Job) -> NoReturn:
        values = {"id": job_id, "owner": stands[0], "wait": stands[1]}
        with way.engine.begin() as connection:
            connection.execute(text("update jobs set owner = :owner, wait = :wait where id = :id"), values)
        away()

    handler = Handler(name="parse", function=becomes, lease_s=60)
    assert isinstance(handler.run(way.services, job_id, way.job(job_id).epoch), Again)
    with way.engine.begin() as connection:
        row = connection.execute(
            text("select owner, wait, redrives from jobs where id = :id"), {"id": job_id}
        ).one()
    assert tuple(row) == (*stands, 0)


@pytest.mark.parametrize("written", [False, True])
def test_what_breaks_with_a_job_in_hand_is_woken_where_its_row_stands(
    walk: Callable[..., Walk], written: bool
) -> None:
    way = timed(walk())

    def broken(services: Services, job: Job) -> Step:
        if written:
            services.database.run(go_on, job, "complete", message_s=60, context=job.context, model=job.model)
        raise RuntimeError("a defect")

    job_id = way.submit()
    job = in_hand(run(way, job_id, "context", then="complete"))
    with pytest.raises(StageBroke):
        Handler(name="complete", function=broken, lease_s=60).go_on(way.services, job)
    (row,) = way.query(
        "select stage, wake_at < clock_timestamp() + interval '10 s' as soon from jobs where id = :id", id=job_id
    )
    assert tuple(row) == ("complete" if written else "context", True)


def test_a_second_delivery_finds_a_job_that_went_on(walk: Callable[..., Walk]) -> None:
    way = timed(walk())
    job_id, step = parsed(way, then="store")
    job = in_hand(step)
    assert HANDLERS["store"].go_on(way.services, job) == Onward()
    assert HANDLERS["store"].go_on(way.services, job) != Onward()
    assert len(way.query("select from results where job_id = :id", id=job_id)) == 1


def test_what_took_long_is_written_and_left_to_a_message(walk: Callable[..., Walk]) -> None:
    way = timed(walk(), GOES_ON_WITHIN_S)
    job_id = way.submit()
    assert run(way, job_id, "context", then="complete") == Onward()
    assert way.job(job_id).stage == "complete"


def away(*_: object, **__: object) -> NoReturn:
    raise OperationalError("x", {}, Exception("closed"), connection_invalidated=True)


def while_it_thinks(way: Walk, patched: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Something happens while a call of the process is open."""
    ask = asking.ask_in_time

    def thinking(services: Services, call: Call, opened_at: float) -> Outcome:
        patched.setattr(making, "ask_in_time", ask)
        meanwhile()
        return ask(services, call, opened_at)

    patched.setattr(making, "ask_in_time", thinking)


def test_what_closes_a_call_that_was_never_opened_moves_nobody_who_has_another_open(
    walk: Callable[..., Walk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = timed(walk())
    settings = way.services.settings.model_copy(update={"spool": tmp_path / "spool"})
    way.services = replace(way.services, settings=settings)
    way.services.budgets.exist = False
    job_id = way.submit()
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "lead_and_open", away)
        stopped = HANDLERS["complete"].go_on(way.services, in_hand(run(way, job_id, "context", then="complete")))
    assert isinstance(stopped, Stop)
    assert {drive.stage for drive in stopped.drives} == {"context", "complete"}
    assert len(list(way.services.spool.glob("*.json"))) == 1
    drain, drives = Drain(services=way.services), list[Drive]()
    while_it_thinks(way, monkeypatch, lambda: drives.extend(drain.drives()))
    again = HANDLERS["context"].run(way.services, job_id, 0, then="complete")
    assert HANDLERS["complete"].go_on(way.services, in_hand(again)) == Onward()
    assert (drives, list(way.services.spool.glob("*.json"))) == ([], [])
    assert [call.state for call in way.calls(job_id)] == ["answered"]
    assert (way.job(job_id).stage, way.job(job_id).epoch) == ("parse", 0)


@pytest.mark.parametrize("straight", [True, False])
def test_a_call_that_could_not_be_opened_keeps_no_room_of_the_limits(
    walk: Callable[..., Walk],
    servers: EmbeddedServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    straight: bool,
) -> None:
    way = timed(walk())
    settings = way.services.settings.model_copy(update={"spool": tmp_path / "spool"})
    limiter = RedisLimiter(servers.cache_url, owner="test")
    way.services = replace(way.services, settings=settings, limiter=limiter)
    way.services.budgets.exist = not straight
    with closing(limiter), monkeypatch.context() as broken:
        key = settings.models.get("sim-small").limit_key
        assert limiter.room(key) == 1
        broken.setattr(*((ledger, "lead_and_open") if straight else (complete, "open_calls")), away)
        stopped = HANDLERS["complete"].go_on(
            way.services, in_hand(run(way, way.submit(), "context", then="complete"))
        )
        assert isinstance(stopped, Stop)
        assert limiter.room(key) == 1


def driven_on(way: Walk, job_id: int, stage: Stage) -> Job:
    """The job as who was told to go on with it loads it: under a new epoch, without the answer that is on its way."""
    with way.engine.begin() as connection:
        values = {"id": job_id, "stage": stage}
        connection.execute(
            text("update jobs set epoch = epoch + 1, wait = 'sent', stage = :stage where id = :id"), values
        )
        job = jobs.load(connection, job_id, way.job(job_id).epoch + 1, stage)
    assert job is not None
    return job


@pytest.mark.parametrize("stage", ["context", "complete"])
def test_no_call_is_opened_for_an_attempt_that_was_answered_since_its_job_was_loaded(
    walk: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    way, loaded = timed(walk()), list[Job]()
    way.services.budgets.exist = False
    job_id = way.submit()
    while_it_thinks(way, monkeypatch, lambda: loaded.append(driven_on(way, job_id, stage)))
    job = in_hand(run(way, job_id, "context", then="complete"))
    assert HANDLERS["complete"].go_on(way.services, job) == Stop("stale")
    with way.engine.begin() as connection:
        connection.execute(text("delete from flights where job_id = :id"), {"id": job_id})
    (late,) = loaded
    if stage == "context":
        late = replace(late, context=job.context, model=job.model)
    assert isinstance(HANDLERS["complete"].go_on(way.services, late), Again)
    assert [call.state for call in way.calls(job_id)] == ["answered"]
    assert HANDLERS["complete"].run(way.services, job_id, late.epoch) == Onward()
    assert way.job(job_id).stage == "parse"


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ([], None),
        ([("store", (1, 2)), ("complete", (1, 2))], "complete"),
        ([("complete", (1, 2)), ("parse", (1, 2))], None),
        ([("complete", (2, 2))], None),
    ],
)
def test_a_process_goes_on_with_what_it_serves_of_the_same_job(
    walk: Callable[..., Walk], chain: list[tuple[Stage, tuple[int, int]]], found: Stage | None
) -> None:
    task: Task = TASKS["context"]
    task.app.services = replace(walk().services, goes_on_with=("complete", "store"))
    rest = [{"task": f"docmill.{stage}", "args": list(args)} for stage, args in chain]
    task.push_request(args=[1, 2], chain=rest)
    try:
        assert following(task) == found
    finally:
        task.pop_request()
