"""Whatever order deliveries, answers, crashes and sweeps come in, no job is lost and none is stored or paid for twice.

The real functions of ``db`` and ``tasks`` run against a real Postgres. The broker is a list, from which messages are
lost and doubled; the provider answers when the test says so, also after its caller was given up; a worker dies, or
loses its database, at any statement, before it or after it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from db import transitions
from db.database import Database
from db.engine import make_engine
from db.jobs import Drive
from db.stages import CHAINS, STAGES, Stage
from db.submit import Submission, submit
from docmill.errors import Failure, JobNotFit
from docmill.llm.loop import LoopThread
from docmill.llm.transport import Response
from docmill.reading import Limits, Reader, Reading
from docmill.settings import Settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.celery.drive import PublishFailed, publish_all
from tasks.celery.stage import Handler
from tasks.services import Caller, Services
from tasks.stages.complete import complete
from tasks.stages.context import context
from tasks.stages.parse import parse
from tasks.stages.step import Again, InHand, Onward, Step, Stop
from tasks.stages.store import store
from tasks.stages.validate import validate
from tasks.turns import Turns
from tasks.upkeep.tick import Upkeep
from tests.hearing import hear
from tests.integration.conftest import another_database
from workers.stack.servers import EmbeddedServers

Message: TypeAlias = tuple[Stage, int, int]
"""Stage, job, epoch."""
Reply: TypeAlias = Literal["good", "malformed", "server_error", "lost"]

FUNCTIONS = {"validate": validate, "context": context, "complete": complete, "parse": parse, "store": store}


class Clock:
    """Of workers, who wait for nothing."""

    now = 0.0

    def look(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()
HANDLERS = {
    stage: Handler(
        name=stage,
        function=FUNCTIONS[stage],
        lease_s=50.0 if stage == "validate" else 20.0,
        sleep=CLOCK.sleep,
    )
    for stage in CHAINS["document"]
    if not STAGES[stage].on_demand
}
DOCUMENTS = ("TEA HOUSE\nTOTAL 1.10\n", "TOOL SHOP\nTOTAL 2.20\n", "BOOK FAIR\nTOTAL 3.30\n")
ROUNDS = 150
"""Of mending, after which every job must have ended."""
EXAMPLES = int(os.environ.get("DOCMILL_EXAMPLES", "25"))


class Killed(BaseException):
    """As by kill -9: nobody catches it, and nothing more is done."""


@dataclass(frozen=True)
class Fate:
    """What befalls a worker after so many statements; before and after each one count apart."""

    after: int
    kind: Literal["killed", "away"]
    """``away``: the database is, from then on."""


class Struck(threading.local):
    """This thread's fate, as it runs down."""

    fate: Fate | None = None
    left: int = 0

    def arm(self, fate: Fate | None) -> None:
        self.fate, self.left = fate, fate.after if fate else 0

    def count(self, *_: object) -> None:
        if self.fate is None:
            return
        self.left -= 1
        if self.left < 0 and self.fate.kind == "killed":
            raise Killed
        if self.left < 0:
            raise OperationalError("", {}, Exception("the server closed the connection"))


STRUCK = Struck()


class PlainReader(Reader):
    """Every document is a text."""

    limits = Limits()

    def read_bytes(
        self,
        body: bytes,
        name: str | None = None,
        media_type: str | None = None,
        *,
        limits: Limits | None = None,
        give_way: Callable[[], bool] | None = None,
        turn_within_s: float | None = None,
    ) -> Reading:
        return Reading(text=body.decode(), media_type="text/plain", empty=False)


class Delivery:
    """A worker with a message in hand, on a thread: until it is through, or waits for the provider."""

    def __init__(self, machine: Interleavings, message: Message, fate: Fate | None, *, goes_on: bool) -> None:
        self.job_id = message[1]
        self.call_id = ""
        self.model = ""
        self.answer: asyncio.Future[Response | Failure]
        self.rested = threading.Event()
        self.broke: BaseException | None = None
        caller = Caller(loop=machine.world.loop, transport=self)
        self._work = (machine, message, replace(machine.services, caller=caller))
        self._fate = fate
        self._goes_on = goes_on
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.await_rest()

    @property
    def in_call(self) -> bool:
        return self._thread.is_alive()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        """The transport: nothing is answered until the test says so."""
        self.call_id, self.model = headers["x-client-request-id"], body["model"]
        self.answer = asyncio.get_running_loop().create_future()
        self.rested.set()
        return await self.answer

    def give(self, answer: Response | Failure | Killed, fate: Fate | None) -> None:
        """The provider's answer, or the worker's end while it waits; returns when the worker is through."""
        self._fate = fate
        self.rested.clear()
        loop = self.answer.get_loop()
        if isinstance(answer, Killed):
            loop.call_soon_threadsafe(self.answer.set_exception, answer)
        else:
            loop.call_soon_threadsafe(self.answer.set_result, answer)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._tell()

    def rearm(self) -> None:
        """On this delivery's own thread, when its answer is there."""
        STRUCK.arm(self._fate)

    def await_rest(self) -> None:
        assert self.rested.wait(30)
        if not self.call_id:
            self._thread.join(30)
            self._tell()

    def _tell(self) -> None:
        if self.broke is not None:
            raise self.broke

    def _run(self) -> None:
        machine, message, services = self._work
        stage, job_id, epoch = message
        STRUCK.arm(self._fate)
        try:
            step = HANDLERS[stage].run(services, job_id, epoch, then=after(stage) if self._goes_on else None)
            while isinstance(step, InHand):
                stage, step = step.to, HANDLERS[step.to].go_on(services, step.job)
            machine.act((stage, job_id, epoch), step)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again on the test's own thread
            self.broke = error
        finally:
            self.rested.set()


@dataclass
class World:
    """What outlasts an example."""

    engine: Engine
    plain: Engine
    """Past all fates."""
    loop: LoopThread
    folder: Path
    registry: Registry = field(default_factory=lambda: Registry([BUILT_IN]))


fates = strategies.none() | strategies.builds(
    Fate, strategies.integers(0, 14), strategies.sampled_from(["killed", "away"])
)
picks = strategies.integers(0, 1000)


class Interleavings(RuleBasedStateMachine):
    """The rules are what may happen next; the invariants hold after each."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[int] = []
        self.messages: list[Message] = []
        self.calling: list[Delivery] = []
        self.bill: set[str] = set()
        self.results: dict[int, Any] = {}
        self.works: set[str] = set()
        self.excuses = 0
        """What happened that can cost a call more."""
        self.broker_up = True
        self.began_anew = False
        self.now = 0.0
        spool = self.world.folder / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        self.services = Services(
            settings=Settings(llm_url="http://provider", call_deadline_s=60, spool=spool),
            database=Database(self.world.engine),
            registry=self.world.registry,
            publish=self.publish,
            owner="w",
            broker_began_anew=self.tell_of_the_broker,
            reader=PlainReader.__new__(PlainReader),
            turns=Turns(clock=CLOCK.look),
        )
        self.sql(
            "truncate jobs, documents, calls, exchanges, results, drives, flights, workers, model_state cascade",
            "insert into workers (name, queue, slots, seen_at) values ('c', 'cpu', 10, clock_timestamp() + '1 day')",
        )
        self.upkeep_of_today = self.new_upkeep()

    # --- the parts ---

    def sql(self, *statements: str, **values: Any) -> list[Any]:
        found: list[Any] = []
        with self.world.plain.begin() as connection:
            for statement in statements:
                result = connection.execute(text(statement), values)
                found = list(result.all()) if result.returns_rows else []
        return found

    def publish(self, drives: Sequence[Drive]) -> None:
        """A broker that goes away in between has taken the first ones, and may say so or not."""
        taken = drives if self.broker_up else drives[: len(drives) // 2]
        self.messages += [(drive.stage, drive.id, drive.epoch) for drive in taken]
        if not self.broker_up:
            raise PublishFailed("the broker is down", taken=len(taken) if len(drives) % 2 else 0)

    def act(self, message: Message, step: Step) -> None:
        """What Celery does after a stage."""
        stage, job_id, epoch = message
        match step:
            case Onward():
                then = after(stage)
                self.messages += [(then, job_id, epoch)] if then else []
            case Stop(_, drives):
                publish_all(self.services, drives)
            case Again():
                self.messages.append(message)
            case _:
                pass

    def new_upkeep(self) -> Upkeep:
        return Upkeep(services=self.services, worker="u", slots=50, clock=lambda: self.now)

    # --- the rules ---

    @rule(pick=picks)
    def submit_one(self, pick: int) -> None:
        body = DOCUMENTS[pick % len(DOCUMENTS)]
        self.works.add(body)
        with self.world.plain.begin() as connection:
            self.jobs.append(submit(connection, Submission(prompt="document_type", body=body.encode())))

    @rule(fate=fates)
    def look_after_all(self, fate: Fate | None) -> None:
        self.now += 10
        STRUCK.arm(fate)
        try:
            self.upkeep_of_today.tick()
        except Killed:
            self.upkeep_of_today = self.new_upkeep()
        except OperationalError:
            pass  # outside the tick's own care: the thread tells of it, and goes on
        finally:
            STRUCK.arm(None)

    @precondition(lambda self: self.messages)
    @rule(pick=picks, twice=strategies.booleans(), goes_on=strategies.booleans(), fate=fates)
    def deliver(self, pick: int, twice: bool, goes_on: bool, fate: Fate | None) -> None:
        """By a worker that goes on with the next stage where it has it in hand, or leaves it to a message."""
        at = pick % len(self.messages)
        message = self.messages[at] if twice else self.messages.pop(at)
        delivery = Delivery(self, message, fate, goes_on=goes_on)
        if delivery.in_call:
            self.calling.append(delivery)

    @precondition(lambda self: self.messages)
    @rule(pick=picks)
    def lose_a_message(self, pick: int) -> None:
        self.messages.pop(pick % len(self.messages))

    @precondition(lambda self: self.calling)
    @rule(
        pick=picks,
        kind=strategies.sampled_from(["good", "good", "good", "malformed", "server_error", "lost"]),
        fate=fates,
    )
    def answer(self, pick: int, kind: Reply, fate: Fate | None) -> None:
        delivery = self.calling.pop(pick % len(self.calling))
        if kind != "server_error":
            self.bill.add(delivery.call_id)
        self.excuses += kind != "good" or fate is not None
        delivery.give(reply(delivery.model, kind), fate)

    @precondition(lambda self: self.calling)
    @rule(pick=picks, billed=strategies.booleans())
    def kill_a_caller(self, pick: int, billed: bool) -> None:
        delivery = self.calling.pop(pick % len(self.calling))
        self.bill |= {delivery.call_id} if billed else set()
        self.excuses += 1
        delivery.give(Killed(), None)

    @rule(seconds=strategies.sampled_from([10, 70, 200]))
    def pass_time(self, seconds: int) -> None:
        """Whoever is called for longer than its lease is given up, and may answer all the same."""
        self.excuses += len(self.calling)
        self.now += seconds
        self.sql(
            "update jobs set wake_at = wake_at - make_interval(secs => :s) where wait is not null",
            "update calls set lease_until = lease_until - make_interval(secs => :s)",
            "update model_state set hold_until = hold_until - make_interval(secs => :s)",
            s=seconds,
        )

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        try:
            with self.world.plain.begin() as connection:
                transitions.cancel(connection, self.jobs[pick % len(self.jobs)])
            self.excuses += 1  # a flight that it led is another's to make
        except JobNotFit:
            pass

    @rule()
    def turn_the_broker_off_or_on(self) -> None:
        self.broker_up = not self.broker_up

    @rule(forgets=strategies.booleans())
    def the_broker_begins_anew(self, forgets: bool) -> None:
        """With its messages, or without."""
        self.began_anew = True
        if forgets:
            self.messages.clear()

    def tell_of_the_broker(self) -> bool:
        """To one of those who ask."""
        told, self.began_anew = self.began_anew, False
        return told

    # --- what must hold ---

    @invariant()
    def no_result_changes(self) -> None:
        for row in self.sql("select job_id, revision, value from results"):
            assert row.revision == 1
            assert self.results.setdefault(row.job_id, row.value) == row.value

    @invariant()
    def one_call_at_a_time_for_the_same_work(self) -> None:
        assert not self.sql(
            "select flight_key from calls join jobs on jobs.id = job_id where calls.state = 'intent'"
            " group by 1 having count(*) > 1"
        )

    @invariant()
    def every_billed_call_is_on_record(self) -> None:
        known = {str(row.id): row for row in self.sql("select id, state, possibly_billed from calls")}
        for call in self.bill:
            row = known[call]
            assert row.state in ("intent", "answered", "surplus") or row.possibly_billed or self._spooled(call)

    def _spooled(self, call: str) -> bool:
        return (self.services.spool / f"{call}.json").exists()

    def teardown(self) -> None:
        """Nothing breaks any more: all jobs must come to their ends."""
        self.broker_up = True
        for _ in range(ROUNDS):
            if not self.sql("select 1 from jobs where wait is not null limit 1") and not self.calling:
                break
            while self.messages:
                self.deliver(0, twice=False, goes_on=True, fate=None)
            while self.calling:
                self.answer(0, "good", None)
            self.pass_time(200)
            self.look_after_all(None)
        self._check_ends()

    def _check_ends(self) -> None:
        self.no_result_changes()
        rows = self.sql("select id, state, wait, failure, crashes from jobs")
        assert len(rows) == len(self.jobs)
        assert all(row.wait is None for row in rows), rows
        allowed = {"in_doubt", "poison", "server_error", "connection", "malformed", "invalid"}
        for row in rows:
            assert row.state != "failed" or row.failure["kind"] in allowed, row
            assert (row.state == "done") <= (row.id in self.results)
        for row in self.sql("select id, state, possibly_billed from calls"):
            assert row.state != "intent"
            if str(row.id) in self.bill:
                assert row.state in ("answered", "surplus") or row.possibly_billed
            elif row.state in ("answered", "surplus"):
                raise AssertionError("an answer that nobody billed")
        assert len(self.bill) <= len(self.works) + self.excuses


def after(stage: Stage) -> Stage | None:
    stages = [each for each in CHAINS["document"] if not STAGES[each].on_demand]
    return None if stage == stages[-1] else stages[stages.index(stage) + 1]


def reply(model: str, kind: Reply) -> Response | Failure:
    """As a provider gives it."""
    if kind == "lost":
        return Failure(kind="connection", message="the connection broke")
    if kind == "server_error":
        return Response(status=500, headers={}, body={"error": {"message": "oops", "type": "server_error"}})
    content = '{"label": "receipt", "words": ["TOTAL"]}' if kind == "good" else "I could not say."
    message = {"role": "assistant", "content": content}
    return Response(
        status=200,
        headers={},
        body={
            "object": "chat.completion",
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
    )


@pytest.fixture(scope="module")
def world(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    url = another_database(servers, "interleavings")
    owner_url = servers.owner_url.replace("/docmill?", "/interleavings?")
    engine, plain = make_engine(url, pool_size=20), make_engine(owner_url, pool_size=2)
    hear(engine, before=STRUCK.count, after=STRUCK.count)
    event.listen(engine, "commit", STRUCK.count)
    with LoopThread() as loop:
        yield World(engine=engine, plain=plain, loop=loop, folder=tmp_path_factory.mktemp("spool"))
    engine.dispose()
    plain.dispose()


@pytest.mark.timeout(600)
def test_no_interleaving_loses_or_doubles(world: World) -> None:
    Interleavings.world = world
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
