"""A job in parts against a real Postgres: a worker that dies anywhere loses no row, and pays for none twice."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from cli.checks.models import examine_schemas
from db import transitions
from db.database import Database
from db.engine import make_engine
from db.jobs import Drive
from db.stages import CHAINS, STAGES, Stage
from db.submit import Submission, submit
from docmill.errors import Failure
from docmill.llm.cache import Hit
from docmill.llm.loop import LoopThread
from docmill.llm.transport import Response
from docmill.reading import Limits, Reader, Reading
from docmill.settings import Settings
from docmill.simulator.answers import Answers, Known
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.celery.drive import publish_all
from tasks.celery.stage import Handler
from tasks.chain import FUNCTIONS
from tasks.services import Caller, Services
from tasks.stages.parse_parts import parse_parts
from tasks.stages.step import Again, Onward, Stop
from tasks.upkeep.tick import Upkeep
from tests.hearing import hear
from tests.integration.conftest import another_database
from workers.stack.servers import EmbeddedServers

ROWS = 130
STEP = int(os.environ.get("DOCMILL_STEP", "14"))
"""Statements from one death to the next; 1 tries them all."""
HANDLERS = {stage: Handler(name=stage, function=FUNCTIONS[stage], lease_s=20.0) for stage in CHAINS["document"]}
USAGE = {"prompt_tokens": 900, "completion_tokens": 800, "total_tokens": 1700}


class Killed(BaseException):
    """As by kill -9: nobody catches it, and nothing more is done."""


class PlainReader(Reader):
    """Every document is a text."""

    limits = Limits()

    def read_bytes(self, body: bytes, *_: Any, limits: Limits | None = None, **__: Any) -> Reading:
        return Reading(text=body.decode(), media_type="text/plain", empty=False)


def bookings(count: int = ROWS) -> tuple[str, list[dict[str, Any]]]:
    """A statement whose balances run."""
    lines, rows, balance = ["Account AB-1", "Currency EUR", "Opening balance 100.00"], [], Decimal(100)
    for at in range(count):
        amount = Decimal(100 + at * 37 % 9000) / 100
        balance += amount
        day = f"2026-{1 + at // 28:02}-{1 + at % 28:02}"
        lines.append(f"{day} | No{at} Tea | {amount} | {balance}")
        rows.append({"booked_on": day, "text": f"No{at} Tea", "amount": float(amount), "balance": float(balance)})
    return "\n".join([*lines, f"Closing balance {balance}"]), rows


@dataclass
class Provider:
    """Answers at once out of what is known; what it answered is on its bill."""

    known: Answers
    bill: list[str] = field(default_factory=list)
    fails: int = 0
    """Calls that are refused before the others are answered."""
    cut_off: frozenset[int] = frozenset()
    instead: Callable[[str, Any], Any] = lambda _, answer: answer
    """What it says in place of an answer to what it is shown."""
    takes_schemas: bool = True
    """Whether one of ten fields is not too large for it."""

    async def post(
        self, _url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        del deadline_s
        if self.fails > 0:
            self.fails -= 1
            return Response(status=503, headers={}, body={"error": {"message": "overloaded"}})
        if not self.takes_schemas and "json_schema" in body.get("response_format", {}):
            told = "Invalid schema for response_format: Expected at most 5 object properties"
            return Response(status=400, headers={}, body={"error": {"message": told}})
        self.bill.append(headers["x-client-request-id"])
        shown = body["messages"][1]["content"]
        said = json.dumps(self.instead(shown, self.known.found_in(shown)))
        finish = "length" if len(self.bill) in self.cut_off else "stop"
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        reply = {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": USAGE}
        return Response(status=200, headers={}, body=reply)


class Fleet:
    """One worker, that dies where the test says so, and a broker that is a list."""

    def __init__(self, engine: Engine, plain: Engine, loop: LoopThread, spool: Path) -> None:
        self.plain, self.loop = plain, loop
        self.left: int | None = None
        self.messages: list[tuple[Stage, int, int]] = []
        self.now = 0.0
        rows = bookings()[1]
        known = [Known(path=("bookings", "-"), anchor=str(row["text"]), value=row) for row in rows]
        known += [
            Known(path=("currency",), anchor="Currency EUR", value="EUR"),
            Known(path=("opening_balance",), anchor="Opening balance 100.00", value=100),
            Known(path=("closing_balance",), anchor="Closing balance", value=rows[-1]["balance"]),
        ]
        self.provider = Provider(Answers(known))
        self.services = Services(
            settings=Settings(llm_url="http://provider", spool=spool),
            database=Database(engine),
            registry=Registry([BUILT_IN]),
            publish=self.publish,
            owner="w",
            reader=PlainReader.__new__(PlainReader),
            caller=Caller(loop=loop, transport=self.provider),
        )
        self.upkeep = Upkeep(services=self.services, worker="u", slots=50, clock=lambda: self.now)
        shutil.rmtree(spool, ignore_errors=True)
        self.sql(
            "truncate jobs, documents, calls, exchanges, results, drives, flights, workers, model_state,"
            " budgets cascade"
        )
        self.sql(
            "insert into workers (name, queue, slots, seen_at) values ('c', 'cpu', 10, now() + interval '1 day')"
        )

    def count(self, *_: object) -> None:
        if self.left is not None and threading.current_thread() is threading.main_thread():
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed

    def publish(self, drives: Sequence[Drive]) -> None:
        self.messages += [(drive.stage, drive.id, drive.epoch) for drive in drives]

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self.plain.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    def submit(self, document: str, **options: Any) -> int:
        with self.plain.begin() as connection:
            return submit(connection, Submission(prompt="statement", body=document.encode(), **options))

    def work(self, dies_after: int | None = None) -> bool:
        """Brings all jobs to their ends, or to where one waits for what does not come; whether the worker died."""
        self.left, died = dies_after, False
        for _ in range(60):
            try:
                while self.messages:
                    self._deliver(self.messages.pop(0))
                self.now += 10
                self.upkeep.tick()
            except Killed:
                died = True
                self.upkeep = Upkeep(services=self.services, worker="u", slots=50, clock=lambda: self.now)
            if not self.messages and not self.sql("select from jobs where wait is not null limit 1"):
                break
            self._pass_time()
        self.left = None
        return died

    def _deliver(self, message: tuple[Stage, int, int]) -> None:
        stage, job_id, epoch = message
        match HANDLERS[stage].run(self.services, job_id, epoch):
            case Onward() if stage != "store":
                stages = [each for each in CHAINS["document"] if not STAGES[each].on_demand]
                self.messages.append((stages[stages.index(stage) + 1], job_id, epoch))
            case Stop(_, drives):
                publish_all(self.services, drives)
            case Again():
                self.messages.append(message)

    def _pass_time(self) -> None:
        self.sql("update calls set lease_until = lease_until - interval '300 seconds' where state = 'intent'")
        self.sql(
            "update jobs set wake_at = wake_at - interval '600 seconds' where wait not in ('unsent', 'budget')"
        )

    def end(self, job_id: int) -> Any:
        rows = self.sql(
            "select j.state, j.wait, j.failure, j.context, r.value, r.evidence from jobs j"
            " left join results r on r.job_id = j.id where j.id = :id",
            id=job_id,
        )
        return rows[0]

    def calls(self) -> list[Any]:
        return self.sql(
            "select id, part, state, possibly_billed, wasted, purpose, reserved_usd, cost_usd from calls"
        )

    def assert_nothing_is_paid_twice(self) -> None:
        known = {str(call.id): call for call in self.calls()}
        for call in self.provider.bill:
            assert known[call].state in ("answered", "surplus") or known[call].possibly_billed
        answered = [call.part for call in known.values() if call.state == "answered" and call.wasted is None]
        assert len(answered) == len(set(answered))
        assert not [call for call in known.values() if call.state in ("surplus", "intent")]


@pytest.fixture(scope="module")
def world(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    url = another_database(servers, "parts")
    plain = make_engine(servers.owner_url.replace("/docmill?", "/parts?"), pool_size=2)
    engine = make_engine(url, pool_size=5)
    struck: list[Fleet] = []

    def count(*_: object) -> None:
        for fleet in struck:
            fleet.count()

    hear(engine, before=count, after=count)
    event.listen(engine, "commit", count)
    with LoopThread() as loop:

        def fleet() -> Fleet:
            struck.clear()
            made = Fleet(engine, plain, loop, tmp_path_factory.mktemp("spool"))
            struck.append(made)
            return made

        yield fleet
    engine.dispose()
    plain.dispose()


def assert_whole(fleet: Fleet, job_id: int) -> Any:
    fleet.work()
    end = fleet.end(job_id)
    assert end.state == "done", (end.state, end.wait, end.failure)
    assert [{**row, "amount": float(row["amount"])} for row in end.value["bookings"]] == bookings()[1]
    return end


def test_a_long_list_is_asked_in_parts_and_joined(world: Any) -> None:
    fleet = world()
    document = bookings()[0]
    job_id = fleet.submit(document)
    fleet.work()
    end = assert_whole(fleet, job_id)
    assert end.value["closing_balance"] == bookings()[1][-1]["balance"]
    parts = {call.part for call in fleet.calls()}
    assert len(parts) == len(fleet.provider.bill) >= 3
    assert {call.purpose for call in fleet.calls()} == {"part"}
    coverage = end.context["coverage"]
    assert (coverage["rows"], coverage["not_covered_lines"], coverage["unplaced"]) == (ROWS, 0, 0)
    place = end.evidence["bookings.77.text"]
    assert document[place["start"] : place["end"]] == "No77 Tea"
    fleet.assert_nothing_is_paid_twice()


def test_a_worker_that_dies_at_any_statement_loses_no_row_and_pays_for_none_twice(world: Any) -> None:
    dies_after, died = 0, True
    while died:
        fleet = world()
        job_id = fleet.submit(bookings()[0])
        died = fleet.work(dies_after)
        assert_whole(fleet, job_id)
        fleet.assert_nothing_is_paid_twice()
        dies_after += STEP


def test_a_part_whose_answer_is_cut_off_is_asked_in_halves_and_an_outage_costs_the_answered_ones_nothing(
    world: Any,
) -> None:
    fleet = world()
    fleet.provider.cut_off, fleet.provider.fails = frozenset({2}), 2
    job_id = fleet.submit(bookings()[0])
    fleet.work()
    assert_whole(fleet, job_id)
    calls = fleet.calls()
    assert sum(call.wasted == "rejected" for call in calls) == 1
    assert sum(call.state == "failed" for call in calls) == 2
    fleet.assert_nothing_is_paid_twice()


def test_a_schema_that_is_too_large_for_a_model_goes_in_words_and_doctor_says_so(world: Any) -> None:
    fleet = world()
    fleet.provider.takes_schemas = False
    job_id = fleet.submit(bookings()[0])
    fleet.work()
    assert_whole(fleet, job_id)
    fleet.assert_nothing_is_paid_twice()
    refused = [call for call in fleet.calls() if call.state == "failed"]
    assert_whole(fleet, fleet.submit(f"{bookings()[0]}\nThank you."))
    assert len([call for call in fleet.calls() if call.state == "failed"]) == len(refused), "it is remembered"
    settings = fleet.services.settings.model_copy(
        update={"database_url": fleet.plain.url.render_as_string(hide_password=False)}
    )
    assert examine_schemas(settings) == "large: as a schema; small: as a schema, and in words from 10 fields on"


def test_parts_that_all_together_do_not_fit_a_budget_are_not_begun(world: Any) -> None:
    fleet = world()
    fleet.sql(
        "insert into budgets (scope, span, policy, cap_usd, window_start)"
        " values ('all', 'total', 'fail', 0.0001, '-infinity')"
    )
    job_id = fleet.submit(bookings()[0])
    fleet.work()
    end = fleet.end(job_id)
    assert (end.state, end.failure["kind"]) == ("failed", "budget")
    assert fleet.provider.bill == []
    fleet.sql("update budgets set cap_usd = 10")
    job_id = fleet.submit(bookings()[0] + "\n")
    fleet.work()
    assert_whole(fleet, job_id)
    (budget,) = fleet.sql("select reserved_usd, spent_usd from budgets")
    assert budget.reserved_usd == 0
    assert budget.spent_usd == sum(call.cost_usd for call in fleet.calls() if call.cost_usd)


def test_more_parts_than_the_prompt_allows_are_refused_before_anything_is_paid(world: Any) -> None:
    fleet = world()
    prompt = fleet.services.registry.get("statement")
    retrieval = prompt.config.retrieval.model_copy(update={"most_parts": 2})
    prompt.config = prompt.config.model_copy(update={"retrieval": retrieval})
    job_id = fleet.submit(bookings()[0])
    fleet.work()
    end = fleet.end(job_id)
    assert end.failure["kind"] == "context_overflow"
    assert "parts, and 2 are allowed" in end.failure["message"]
    assert fleet.provider.bill == []


def between_two_waves(fleet: Fleet, **options: Any) -> int:
    """A job whose first wave is answered, and that needs another."""
    fleet.provider.cut_off = frozenset({1})
    job_id = fleet.submit(bookings()[0], **options)
    fleet.upkeep.tick()
    while fleet.messages and fleet.messages[0][0] != "parse":
        fleet._deliver(fleet.messages.pop(0))
    return job_id


def test_a_deadline_that_passes_between_two_waves_ends_the_job_and_a_retry_pays_for_the_rest_alone(
    world: Any,
) -> None:
    fleet = world()
    job_id = between_two_waves(fleet, deadline_at=datetime.now(UTC) + timedelta(hours=1))
    paid = len(fleet.provider.bill)
    fleet.sql("update jobs set deadline_at = now() - interval '1 second'")
    fleet.work()
    end = fleet.end(job_id)
    assert (end.state, end.failure["kind"]) == ("failed", "deadline")
    assert len(fleet.provider.bill) == paid
    assert all(call.cost_usd for call in fleet.calls())
    with fleet.plain.begin() as connection:
        transitions.retry(connection, job_id, deadline_at=datetime.now(UTC) + timedelta(hours=1))
    assert_whole(fleet, job_id)
    assert len(fleet.provider.bill) == paid + 2, "the halves of the part that was cut off"


def test_a_budget_that_ends_between_two_waves_holds_the_job_and_keeps_what_is_paid_for(world: Any) -> None:
    fleet = world()
    fleet.sql(
        "insert into budgets (scope, span, policy, cap_usd, window_start) values ('all', 'day', 'hold', 10, now())"
    )
    job_id = between_two_waves(fleet)
    paid = len(fleet.provider.bill)
    fleet.sql("update budgets set cap_usd = spent_usd")
    fleet.work()
    end = fleet.end(job_id)
    assert (end.state, end.wait) == ("held", "budget")
    assert len(fleet.provider.bill) == paid
    (budget,) = fleet.sql("select reserved_usd, spent_usd, cap_usd from budgets")
    assert (budget.reserved_usd, budget.spent_usd) == (0, budget.cap_usd)
    fleet.sql("update budgets set cap_usd = 10")
    assert_whole(fleet, job_id)
    fleet.assert_nothing_is_paid_twice()


def test_a_part_that_no_model_answers_goes_to_a_person_with_all_others(world: Any) -> None:
    fleet = world()
    fleet.provider.instead = lambda shown, answer: "no" if "No55 Tea" in shown else answer
    job_id = fleet.submit(bookings()[0])
    fleet.work()
    end = fleet.end(job_id)
    assert (end.state, end.failure["kind"]) == ("needs_review", "invalid")
    assert "no model gives a usable answer to page 1" in end.failure["message"]
    assert end.context["coverage"]["unanswered_pages"] == [1]
    assert len(end.value["bookings"]) >= 80
    assert all(call.cost_usd for call in fleet.calls() if call.state == "answered")
    assert len(fleet.provider.bill) < 10


def test_a_list_without_end_is_said_once(world: Any) -> None:
    """The model says its last row again until it is cut off, or as if it were done."""
    fleet = world()

    def looping(_: str, answer: Any) -> Any:
        rows = answer.get("bookings", [])
        return {**answer, "bookings": [*rows, *rows[-1:] * 1500]}

    fleet.provider.instead, fleet.provider.cut_off = looping, frozenset({2})
    end = assert_whole(fleet, fleet.submit(bookings()[0]))
    assert end.context["coverage"]["repeated"] >= 3000
    assert len(fleet.provider.bill) < 10


def test_a_cancel_between_two_waves_keeps_what_is_paid_for(world: Any) -> None:
    fleet = world()
    job_id = between_two_waves(fleet)
    with fleet.plain.begin() as connection:
        transitions.cancel(connection, job_id)
    paid = len(fleet.provider.bill)
    fleet.work()
    assert fleet.end(job_id).state == "cancelled"
    assert len(fleet.provider.bill) == paid
    assert all(call.cost_usd is not None for call in fleet.calls())


def test_a_failed_job_that_is_tried_again_asks_for_what_it_has_no_answer_to(world: Any) -> None:
    fleet = world()
    known, fleet.provider.known = fleet.provider.known, Answers([Known(path=("x",), anchor="Tea", value=1)])
    job_id = fleet.submit(bookings()[0])
    fleet.work()
    end = fleet.end(job_id)
    assert end.state == "failed", end
    fleet.provider.known = known
    with fleet.plain.begin() as connection:
        transitions.retry(connection, job_id)
    fleet.work()
    assert_whole(fleet, job_id)
    fleet.assert_nothing_is_paid_twice()


class Remembered:
    """A cache in memory."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Mapping[str, Any]] = {}

    def get(self, key: bytes, *, kept_s: float = 0, holds: str = "answer") -> Hit | None:
        del kept_s
        value = self.kept.get(key)
        if value is None:
            return None
        assert holds in value
        cost = value["cost_usd"]
        return Hit(value=value, model=value["model"], cost_usd=None if cost is None else Decimal(cost), layer="l2")

    def put(self, key: bytes, value: Mapping[str, Any], *, kept_s: float = 0) -> None:
        del kept_s
        self.kept[key] = json.loads(json.dumps(value))


def test_each_part_is_remembered_by_itself(world: Any) -> None:
    fleet = world()
    fleet.services = replace(fleet.services, cache=Remembered())
    fleet.submit(bookings()[0])
    fleet.work()
    paid = len(fleet.provider.bill)
    document = bookings()[0] + "\nThank you for your custom."
    job_id = fleet.submit(document)
    fleet.work()
    assert_whole(fleet, job_id)
    assert len(fleet.provider.bill) == paid + 1
    cached = [call for call in fleet.calls() if call.state == "cached"]
    assert len(cached) == paid - 1


def test_a_stage_that_is_too_late_rejects_no_reply(world: Any) -> None:
    fleet = world()
    fleet.provider.cut_off = frozenset({1})
    job_id = fleet.submit(bookings()[0])
    fleet.upkeep.tick()
    while fleet.messages[0][0] != "parse":
        fleet._deliver(fleet.messages.pop(0))
    epoch = fleet.messages[0][2]
    with fleet.plain.begin() as connection:
        late = transitions.claim(connection, job_id, epoch, "parse", owner="w", lease_s=60)
    assert late is not None
    fleet.sql("update jobs set epoch = epoch + 1")
    assert parse_parts(fleet.services, late) == Stop("stale")
    assert not [call for call in fleet.calls() if call.wasted]
