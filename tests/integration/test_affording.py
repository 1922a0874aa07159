"""What complete does where a budget has no room, on a real Postgres and before a real simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import budget_admin, costs, dispatch, jobs, ledger, model_state, reports, transitions
from db.budget_admin import Wanted
from db.budgets import Policy
from db.database import Database
from db.dispatch import SWEEP
from db.engine import make_engine
from db.jobs import Job
from db.submit import Submission, submit
from docmill.llm.cache import TwoLayerCache
from docmill.llm.client import Outcome
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.settings import load_settings
from docmill.simulator.server import Simulator
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.calls import opening
from tasks.calls.asking import ask_in_time
from tasks.services import Caller, Services
from tasks.stages.complete import complete
from tasks.stages.parse import parse
from tasks.stages.step import Onward, Stop
from tests.hearing import hear
from tests.integration.conftest import another_database
from workers.stack.servers import EmbeddedServers

TEXT = "TEA HOUSE\n1 Sample Street\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n"
TINY = Decimal("0.00000001")
MODELS = """
[models.small]
provider = "simulator"
model = "sim-small"
[models.large]
provider = "simulator"
model = "sim-large"
[models.secret]
model = "nobody-knows"
"""


@pytest.fixture(scope="module")
def database(servers: EmbeddedServers) -> str:
    """One without the budgets of other tests."""
    return another_database(servers, "affording")


@pytest.fixture
def services(database: str, tmp_path: Path) -> Iterator[Services]:
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread())
        simulator = loop.run(Simulator().__aenter__())
        stack.callback(lambda: loop.run(simulator.__aexit__(None, None, None)))
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))
        engine = make_engine(database)
        stack.callback(engine.dispose)
        with engine.begin() as connection:
            connection.execute(text("delete from budgets"))
            connection.execute(text("delete from flights"))
        config = tmp_path / "docmill.toml"
        config.write_text(MODELS)
        yield Services(
            settings=load_settings(config=config, llm_url=simulator.url), database=Database(engine),
            registry=Registry([BUILT_IN]), publish=lambda _: None, owner="test",
            caller=Caller(loop=loop, transport=transport),
        )  # fmt: skip


@pytest.fixture
def make_job(services: Services) -> Callable[..., Job]:
    """A job at complete, whose message has just come; ``changes`` are columns of its row."""

    def make(body: str | None = None, **changes: Any) -> Job:
        with services.database.engine.begin() as connection:
            document = (body or TEXT + uuid4().hex).encode()
            job_id = submit(connection, Submission(prompt="receipt", body=document, version="v1"))
            connection.execute(
                text("update documents set text = convert_from(body, 'UTF8') where text is null"),
            )
            values = {"stage": "complete", "wait": "sent", "state": "running"} | changes
            columns = ", ".join(f"{name} = {_cast(name)}" for name in values)
            connection.execute(text(f"update jobs set {columns} where id = :id"), {**values, "id": job_id})
            job = jobs.load(connection, job_id, 0, "complete")
        assert job is not None
        return job

    return make


def _cast(name: str) -> str:
    return f"cast(:{name} as jsonb)" if name in ("history", "value") else f":{name}"


def cap(services: Services, usd: Decimal, policy: Policy = "hold") -> budget_admin.Budget:
    wanted = Wanted(scope="all", subject="", span="day", policy=policy, cap_usd=usd)
    with services.database.engine.begin() as connection:
        return budget_admin.put(connection, wanted, timezone="UTC")


def seen(services: Services, job: Job) -> Any:
    with services.database.engine.connect() as connection:
        return connection.execute(text("select * from jobs where id = :id"), {"id": job.id}).one()


def statements(engine: Engine, work: Callable[[], object]) -> list[str]:
    found: list[str] = []

    stop = hear(engine, before=lambda statement, _values: found.append(statement))
    work()
    stop()
    return found


def test_without_budgets_no_statement_asks_for_them(services: Services, make_job: Callable[..., Job]) -> None:
    first = statements(services.database.engine, lambda: complete(services, make_job()))
    job = make_job()
    later = statements(services.database.engine, lambda: complete(services, job))
    assert not services.budgets.exist
    assert len([each for each in first if "docmill_window_start" in each]) == 2
    assert not [each for each in later if "docmill_window_start" in each]


def test_a_budget_that_appears_stops_the_next_call(services: Services, make_job: Callable[..., Job]) -> None:
    assert complete(services, make_job()) == Onward()
    assert not services.budgets.exist
    cap(services, TINY)
    job = make_job()
    assert complete(services, job) == Stop("held: budget")
    row = seen(services, job)
    assert (row.state, row.wait, row.failure["kind"]) == ("held", "budget", "budget")
    assert "more than the whole of budget" in row.failure["message"]
    assert row.need_usd > TINY


def test_money_is_reserved_and_settled(services: Services, make_job: Callable[..., Job]) -> None:
    before = cap(services, Decimal(1))
    job = make_job()
    assert complete(services, job) == Onward()
    with services.database.engine.connect() as connection:
        (budget,) = budget_admin.listed(connection)
        call = connection.execute(text("select * from calls where job_id = :id"), {"id": job.id}).one()
    assert call.reserved_usd > call.cost_usd > 0
    assert budget.spent_usd - before.spent_usd == call.cost_usd
    assert budget.reserved_usd == 0


def test_the_policy_fail_ends_the_job(services: Services, make_job: Callable[..., Job]) -> None:
    cap(services, TINY, "fail")
    job = make_job()
    assert complete(services, job) == Stop("failed: budget")
    row = seen(services, job)
    assert (row.state, row.failure["kind"]) == ("failed", "budget")
    assert "docmill budgets raise" in row.failure["message"]


def test_the_policy_cheaper_goes_down_the_ladder_and_never_up(
    services: Services, make_job: Callable[..., Job]
) -> None:
    cap(services, TINY, "cheaper")
    dear = make_job(model="large")
    assert isinstance(complete(services, dear), Stop)
    row = seen(services, dear)
    assert (row.model, row.wait, row.stage) == ("small", "sent", "complete")
    first = make_job()
    assert complete(services, first) == Stop("held: budget")
    wrong = '[{"purpose": "first", "kind": "wrong", "model": "small", "remedy": "next_model"}]'
    doubted = make_job(model="large", purpose="escalation", history=wrong, value='{"answer": {"total": 1}}')
    complete(services, doubted)
    row = seen(services, doubted)
    assert (row.stage, row.value["doubt"]["kind"]) == ("store", "budget")


def test_a_model_without_a_price_is_refused_unless_it_is_allowed(
    services: Services, make_job: Callable[..., Job]
) -> None:
    cap(services, Decimal(1), "hold")
    job = make_job(model="secret")
    assert complete(services, job) == Stop("failed: budget")
    message = seen(services, job).failure["message"]
    assert "no known price" in message
    assert "DOCMILL_UNPRICED=allow" in message
    allowing = replace(services, settings=services.settings.model_copy(update={"unpriced": "allow"}))
    job = make_job(model="secret")
    assert complete(allowing, job) == Stop("failed: not_found")  # the simulator does not know it either


def test_a_leader_that_waits_for_money_hands_its_flight_on(
    services: Services, make_job: Callable[..., Job]
) -> None:
    body = TEXT + uuid4().hex
    leader, waiter = make_job(body), make_job(body)
    with services.database.engine.begin() as connection:
        work = uuid4().bytes
        for job in (leader, waiter):
            connection.execute(text("update jobs set flight_key = :k where id = :id"), {"k": work, "id": job.id})
        connection.execute(text("insert into flights values (:k, :id)"), {"k": work, "id": leader.id})
        connection.execute(
            text("update jobs set wait = 'flight', state = 'held' where id = :id"), {"id": waiter.id}
        )
    cap(services, TINY)
    assert complete(services, replace(leader, flight_key=work)) == Stop("held: budget")
    assert seen(services, waiter).wait == "unsent"
    with services.database.engine.connect() as connection:
        assert connection.execute(text("select count(*) from flights")).scalar() == 0


@pytest.mark.parametrize("budgeted", [False, True])
def test_work_that_landed_just_now_is_not_called_for_again(
    services: Services, make_job: Callable[..., Job], budgeted: bool
) -> None:
    body = TEXT + uuid4().hex
    first, second = make_job(body), make_job(body)
    if budgeted:
        cap(services, Decimal(1))
    assert complete(services, first) == Onward()
    with services.database.engine.begin() as connection:
        connection.execute(
            text("update jobs set wait = null, state = 'done', finished_at = now(), value = '{}' where id = :id"),
            {"id": first.id},
        )
        connection.execute(text("delete from flights"))
    step = complete(services, second)
    assert isinstance(step, Stop)
    assert step.word == "cached"
    row = seen(services, second)
    assert (row.stage, row.value, row.flight_key) == ("store", {}, seen(services, first).flight_key)
    with services.database.engine.connect() as connection:
        counted = connection.execute(
            text("select state, count(*) from calls where job_id in (:first, :second) group by state"),
            {"first": first.id, "second": second.id},
        )
        assert dict(tuple(each) for each in counted) == {"answered": 1, "cached": 1}
        assert connection.execute(text("select count(*) from flights")).scalar() == 0
        if budgeted:
            assert budget_admin.listed(connection)[0].reserved_usd == 0


def test_who_waits_for_a_job_that_need_not_call_has_the_answer_too(
    services: Services, make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete(services, make_job()) == Onward()  # and with that it is known that there are no budgets
    body = TEXT + uuid4().hex
    first, second, third = make_job(body), make_job(body), make_job(body)
    assert complete(services, first) == Onward()
    with services.database.engine.begin() as connection:
        connection.execute(text("delete from flights"))
    open_in = opening._open_each

    def landing(connection: Connection, *arguments: Any, **named: Any) -> ledger.Opening:
        assert complete(services, third) == Stop("held: flight")
        connection.execute(
            text("update jobs set wait = null, state = 'done', finished_at = now(), value = '{}' where id = :id"),
            {"id": first.id},
        )
        return open_in(connection, *arguments, **named)

    monkeypatch.setattr(opening, "_open_each", landing)
    step = complete(services, second)
    assert isinstance(step, Stop)
    assert step.word == "cached"
    row = seen(services, third)
    assert (row.stage, row.wait, row.value) == ("store", "unsent", {})


def test_a_job_that_wants_to_pay_again_leads_no_flight_and_waits_for_none(
    services: Services, make_job: Callable[..., Job]
) -> None:
    body = TEXT + uuid4().hex
    fresh = make_job(body, fresh=True)
    assert complete(services, fresh) == Onward()
    with services.database.engine.connect() as connection:
        led = connection.execute(text("select count(*) from flights where job_id = :id"), {"id": fresh.id})
        assert led.scalar_one() == 0


def test_a_message_that_is_stale_leads_nothing(services: Services, make_job: Callable[..., Job]) -> None:
    assert complete(services, make_job()) == Onward()
    job = make_job()
    with services.database.engine.begin() as connection:
        connection.execute(text("delete from flights"))
        transitions.cancel(connection, job.id)
    assert complete(services, job) == Stop("stale")
    with services.database.engine.connect() as connection:
        assert connection.execute(text("select count(*) from flights")).scalar() == 0


def test_a_budget_set_while_a_call_is_open_is_settled(
    services: Services, make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete(services, make_job()) == Onward()
    job, ask = make_job(), ask_in_time
    reserved = []

    def asking(*arguments: Any) -> Outcome:
        reserved.append(cap(services, Decimal(1)).reserved_usd)
        return ask(*arguments)

    monkeypatch.setattr("tasks.calls.making.ask_in_time", asking)
    before = spent_today(services)
    assert complete(services, job) == Onward()
    with services.database.engine.connect() as connection:
        (budget,) = budget_admin.listed(connection)
        call = connection.execute(text("select * from calls where job_id = :id"), {"id": job.id}).one()
    assert reserved[0] >= call.reserved_usd
    assert budget.reserved_usd == reserved[0] - call.reserved_usd
    assert budget.spent_usd - before == call.cost_usd


def spent_today(services: Services) -> Decimal:
    """By all; what a budget that is set now begins with."""
    with services.database.engine.connect() as connection:
        return Decimal(connection.execute(text("select coalesce(sum(cost_usd), 0) from calls")).scalar_one())


def test_a_known_answer_is_given_while_its_model_is_held(
    services: Services, servers: EmbeddedServers, make_job: Callable[..., Job]
) -> None:
    cache = TwoLayerCache(servers.cache_url)
    caching = replace(services, cache=cache)
    body = TEXT + uuid4().hex
    first, second = make_job(body), make_job(body)
    assert complete(caching, first) == Onward()
    cache.put(bytes(seen(services, first).flight_key), {"answer": {}, "evidence": None, "model": "m"})
    model = services.settings.models.get("small")
    with services.database.engine.begin() as connection:
        model_state.hold(connection, model, for_s=60, cause="overloaded")
    try:
        step = complete(caching, second)
    finally:
        with services.database.engine.begin() as connection:
            model_state.release(connection, model)
        cache.close()
    assert isinstance(step, Stop)
    assert step.word == "cached"


def test_a_job_whose_calls_may_be_billed_has_an_unknown_cost(
    services: Services, make_job: Callable[..., Job]
) -> None:
    job = make_job()
    with services.database.engine.begin() as connection:
        intent = ledger.Intent(
            id=uuid4(), content_hash=b"", input_hash=b"", provider="p", account="a", model="m", request={},
            remedy=None, reserved_usd=None, owner="test",
        )  # fmt: skip
        assert ledger.open_call(connection, job, intent, work=b"w", lease_s=0, budgets=()) == "opened"
        assert reports.job_report(connection, job.id).cost_usd == 0
    with services.database.engine.begin() as connection:
        dispatch.run(connection, SWEEP["intents"])
        assert reports.job_report(connection, job.id).cost_usd is None


def test_two_workers_and_a_budget_for_one_call(services: Services, make_job: Callable[..., Job]) -> None:
    spent = cap(services, TINY).spent_usd  # earlier the same day
    cap(services, spent + Decimal("0.0006"))
    waiting = [make_job() for _ in range(4)]

    async def all_at_once() -> list[object]:
        return list(await asyncio.gather(*(asyncio.to_thread(complete, services, job) for job in waiting)))

    steps = asyncio.run(all_at_once())
    assert steps.count(Onward()) >= 1
    with services.database.engine.connect() as connection:
        (budget,) = budget_admin.listed(connection)
    assert spent < budget.spent_usd <= budget.cap_usd


def test_what_a_rejected_answer_cost_is_waste(services: Services, make_job: Callable[..., Job]) -> None:
    job = make_job()
    assert complete(services, job) == Onward()
    with services.database.engine.begin() as connection:
        connection.execute(
            text(
                "update exchanges set reply = jsonb_set(reply, '{text}', '\"no answer\"')"
                " where call_id = (select id from calls where job_id = :id)"
            ),
            {"id": job.id},
        )
        claimed = transitions.claim(connection, job.id, job.epoch, "parse", owner="test", lease_s=60)
    assert claimed is not None
    assert isinstance(parse(services, claimed), Stop)
    with services.database.engine.connect() as connection:
        call = connection.execute(
            text("select wasted, cost_usd from calls where job_id = :id"), {"id": job.id}
        ).one()
        before = costs.costs(connection, [], timezone="UTC")[0]
    assert (call.wasted, before.rejected_usd) == ("rejected", call.cost_usd)
    with services.database.engine.begin() as connection:
        transitions.cancel(connection, job.id)
        after = costs.costs(connection, [], timezone="UTC")[0]
    assert after.wasted_usd == before.wasted_usd  # what was rejected is not counted as failed again
