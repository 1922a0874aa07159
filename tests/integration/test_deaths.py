"""What a process of this host had in hand when it died is given to others at once, and of no other process."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from db import fleet
from docmill.llm.limiter import RedisLimiter
from docmill.llm.limits import Limits
from tasks.calls.closing import Closure
from tasks.calls.spool import spool
from tests.integration.test_spool_files import settlement
from tests.integration.test_upkeep_parts import Ticking, jobs_like, ticking
from tests.unit.test_processes import another
from workers.stack.servers import EmbeddedServers

__all__ = ["ticking"]

NEW_CALL = """
insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account,
  model, lease_until, owner) values (:id, :job, 'first', 0, 1, 'intent', 't', 'f', '', '', 'p', 'a', 'm',
  clock_timestamp() + interval '1 hour', :owner)
"""


class Caller:
    """A process that has a call open, and its job in hand."""

    def __init__(self, engine: Engine, name: str, process: subprocess.Popen[str]) -> None:
        self.engine, self.name, self.process = engine, name, process
        (self.job,) = jobs_like(engine, _in_hand("complete", name), 1)
        self.call = uuid4()
        with engine.begin() as connection:
            connection.execute(text(NEW_CALL), {"id": self.call, "job": self.job, "owner": name})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def state(self) -> str:
        with self.engine.connect() as connection:
            found = connection.execute(text("select state from calls where id = :id"), {"id": self.call})
            return str(found.scalar_one())


def _in_hand(stage: str, owner: str) -> str:
    return (
        f"stage = '{stage}', wait = 'running', state = 'running', owner = '{owner}', epoch = 1,"
        " wake_at = clock_timestamp() + interval '1 hour'"
    )


ONE_OPEN = Limits(requests=60_000, open_calls=1)
"""Of a tenant; the limits leave room for more."""


class Slots:
    """Those of a model, as processes ask for them, each a second after the last."""

    def __init__(self, url: str, model: str) -> None:
        self.url, self.model, self.asked = url, model, 0

    def take(self, owner: str, *, tenant: str = "t") -> bool:
        """Whether a call of that process may go now; a call of its own each time."""
        self.asked += 1
        limiter = RedisLimiter(self.url, owner=owner, clock=lambda: 1_000_000.0 + self.asked)
        slot = limiter.ask(self.model, f"{self.asked}:0:0", 1, ONE_OPEN, tenant=tenant)
        limiter.close()
        return slot.wait_s == 0


SENT = (
    "stage = 'parse', wait = 'sent', state = 'running', epoch = 1, wake_at = clock_timestamp() + interval '1 hour'"
)


@pytest.fixture
def limiter(servers: EmbeddedServers) -> Iterator[RedisLimiter]:
    made = RedisLimiter(servers.cache_url)
    yield made
    made.close()


@pytest.fixture
def slots(ticking: Ticking, servers: EmbeddedServers) -> Slots:
    """Of a model that the fleet knows."""
    return Slots(servers.cache_url, next(ticking.upkeep.services.settings.models.askable()).limit_key)


@pytest.fixture
def caller(ticking: Ticking, engine: Engine) -> Iterator[Caller]:
    with another(_spool(ticking)) as (name, process):
        yield Caller(engine, name, process)


def _spool(ticking: Ticking) -> Path:
    return ticking.upkeep.services.spool


def test_a_call_whose_caller_died_is_judged_at_once(ticking: Ticking, caller: Caller, engine: Engine) -> None:
    ticking.tick(3)
    assert caller.state() == "intent"
    caller.kill()
    ticking.tick(2)
    assert caller.state() == "in_doubt"
    assert [(drive.id, drive.stage) for drive in ticking.published] == [(caller.job, "complete")]
    with engine.connect() as connection:
        row = connection.execute(text("select possibly_billed from calls where id = :id"), {"id": caller.call})
        assert row.scalar_one()


def test_the_slots_of_the_dead_are_free_once_their_calls_are_judged(
    ticking: Ticking, caller: Caller, slots: Slots
) -> None:
    tenants = [uuid4().hex, "two\nlines\n"]
    for tenant in tenants:
        assert slots.take(caller.name, tenant=tenant)
        assert not slots.take("another", tenant=tenant)
    caller.kill()
    ticking.tick()  # found gone, and not judged
    assert caller.state() == "intent"
    assert not any(slots.take("another", tenant=tenant) for tenant in tenants)
    ticking.tick()
    assert caller.state() == "in_doubt"
    assert all(slots.take("another", tenant=tenant) for tenant in tenants)
    ticking.tick(3)
    assert not any(slots.take("third", tenant=tenant) for tenant in tenants), "another's were given back"


def test_who_is_halted_keeps_its_calls(ticking: Ticking, caller: Caller, slots: Slots) -> None:
    tenant = uuid4().hex
    assert slots.take(caller.name, tenant=tenant)
    caller.process.send_signal(signal.SIGSTOP)
    ticking.tick(5)
    assert caller.state() == "intent"
    assert not ticking.published
    assert not slots.take("another", tenant=tenant)


def test_who_is_somewhere_else_keeps_its_calls(ticking: Ticking, engine: Engine, tmp_path: Path) -> None:
    with another(tmp_path / "elsewhere") as (name, process):
        caller = Caller(engine, name, process)
        caller.kill()
    ticking.tick(5)
    assert caller.state() == "intent"


def test_an_answer_that_the_dead_kept_in_the_spool_comes_first(ticking: Ticking, caller: Caller) -> None:
    caller.kill()
    ticking.tick()  # found gone
    _leave(ticking, caller.job, caller.call)
    ticking.tick(3)
    assert caller.state() == "answered"
    assert [(drive.id, drive.stage) for drive in ticking.published] == [(caller.job, "parse")]


def _leave(ticking: Ticking, job: int, call: UUID) -> None:
    spool(_spool(ticking), "gone", Closure(job_id=job, epoch=1, settlement=settlement(call)))


def test_nobody_is_judged_while_the_spool_cannot_be_drained(ticking: Ticking, caller: Caller) -> None:
    _spool(ticking).mkdir(parents=True, exist_ok=True)
    stuck = _spool(ticking) / f"{caller.call}.json"
    stuck.mkdir()  # nothing that could be read
    caller.kill()
    ticking.tick(4)
    assert caller.state() == "intent"


def test_a_claim_whose_process_died_is_a_crash_at_once(ticking: Ticking, engine: Engine) -> None:
    with another(_spool(ticking)) as (name, process):
        (job,) = jobs_like(engine, _in_hand("parse", name), 1)
        others = jobs_like(engine, SENT, 2)
        process.kill()
        process.wait()
    ticking.tick(2)
    assert [(drive.id, drive.stage) for drive in ticking.published] == [(job, "parse")]
    with engine.connect() as connection:
        found = connection.execute(text("select id, crashes, redrives from jobs")).all()
    # A child of a worker: what others have been sent is on its way.
    assert {tuple(row) for row in found} == {(job, 1, 1), *((each, 0, 0) for each in others)}


def test_what_a_dead_worker_may_have_taken_is_sent_again_once(ticking: Ticking, engine: Engine) -> None:
    sent = jobs_like(engine, SENT, 3)
    for _ in range(2):
        with another(_spool(ticking)) as (name, process):
            with engine.begin() as connection:
                fleet.see_worker(connection, "io-9@here", "io", 10, process=name)
            ticking.tick()
            process.kill()
            process.wait()
        ticking.tick(3)
    assert sorted(drive.id for drive in ticking.published) == sent
    with engine.connect() as connection:
        assert "io-9@here" not in {worker for worker, _, _ in fleet.seen(connection)}


def test_what_a_worker_had_that_stopped_in_order_is_not_sent_again(ticking: Ticking, engine: Engine) -> None:
    jobs_like(engine, SENT, 3)
    with another(_spool(ticking)) as (name, process), engine.begin() as connection:
        fleet.see_worker(connection, "io-9@here", "io", 10, process=name)
    ticking.tick()
    with another(_spool(ticking)) as (later, _), engine.begin() as connection:
        process.wait()
        fleet.forget_worker(connection, "io-9@here")
        fleet.see_worker(connection, "io-9@here", "io", 10, process=later)
        fleet.forget_worker(connection, "io-9@here")
    ticking.tick(3)
    assert not ticking.published


def test_a_worker_that_takes_the_place_of_a_dead_one_sends_again_what_that_had(
    ticking: Ticking, engine: Engine
) -> None:
    """As after kill -9 of the only io worker: the one that is started in its place has its name."""
    with another(_spool(ticking)) as (name, process):
        process.kill()
        process.wait()
    sent = jobs_like(engine, SENT, 3)
    with engine.begin() as connection:
        fleet.see_worker(connection, "io@parts", "io", 10, process=name)
    ticking.tick(2)
    assert sorted(drive.id for drive in ticking.published) == sent
    with engine.connect() as connection:
        assert "io@parts" in {worker for worker, _, _ in fleet.seen(connection)}
