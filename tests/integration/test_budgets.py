"""Budgets and the ledger's roll-up, on a real Postgres: many threads, and not a cent over."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, text

from db import budget_admin, budgets, costs, dispatch, jobs, ledger, transitions
from db.budget_admin import Wanted
from db.budgets import Refusal, Reservation
from db.dispatch import SWEEP
from db.jobs import Job
from db.submit import Submission, submit
from docmill.errors import Misconfigured

UTC_ZONE = "UTC"
CENT = Decimal("0.01")
ZERO = Decimal(0)


@pytest.fixture
def tenant() -> str:
    return uuid4().hex[:8]


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as made:
        yield made


def new_job(connection: Connection, tenant: str, **options: Any) -> Job:
    """A job whose message is under way to complete."""
    body = uuid4().hex.encode()
    job_id = submit(connection, Submission(prompt="receipt", body=body, tenant=tenant, **options))
    connection.execute(
        text("update jobs set stage = 'complete', wait = 'sent', state = 'running' where id = :id"), {"id": job_id}
    )
    job = jobs.load(connection, job_id, 0, "complete")
    assert job is not None
    return job


def cap(connection: Connection, tenant: str, usd: str, **options: Any) -> budget_admin.Budget:
    wanted: dict[str, Any] = {
        "scope": "tenant",
        "subject": tenant,
        "span": "day",
        "policy": "hold",
        "cap_usd": Decimal(usd),
    }
    return budget_admin.put(connection, Wanted(**(wanted | options)), timezone=UTC_ZONE)


def shown(connection: Connection, tenant: str) -> budget_admin.Budget:
    return next(each for each in budget_admin.listed(connection) if each.subject == tenant)


def open_call(
    connection: Connection, job: Job, need: Decimal | None, reserved: Reservation | None = None
) -> UUID | None:
    intent = ledger.Intent(
        id=uuid4(), content_hash=b"", input_hash=b"", provider="simulator", account="default", model="sim-small",
        request={}, remedy=None, reserved_usd=need, owner="test",
    )  # fmt: skip
    asked = None if reserved is None else reserved.budgets
    opened = ledger.open_call(connection, job, intent, work=uuid4().bytes, lease_s=60, budgets=asked)
    return intent.id if opened == "opened" else None


def settlement(call: UUID, **figures: Any) -> ledger.Settlement:
    told: dict[str, Any] = {
        "id": call, "answered": True, "reply": {"text": "{}", "finish_reason": "stop"}, "model_echoed": None,
        "request_id": None, "input_tokens": 10, "cached_tokens": 0, "output_tokens": 5, "reasoning_tokens": None,
        "cost_usd": CENT, "price_source": "own", "failure_kind": None, "http_status": 200, "possibly_billed": False,
        "latency_ms": 1,
    }  # fmt: skip
    return ledger.Settlement(**(told | figures))


def reserve(connection: Connection, job: Job, need: Decimal | None) -> Reservation | Refusal:
    return budgets.reserve(connection, job, need, timezone=UTC_ZONE)


def test_many_at_once_reserve_up_to_the_cap_and_no_cent_over(engine: Engine, tenant: str) -> None:
    with engine.begin() as connection:
        cap(connection, tenant, "1.00")
        cap(connection, tenant, "0.50", scope="feature", subject=f"f{tenant}", span="month")
        made = [new_job(connection, tenant, feature=f"f{tenant}" if n % 2 else "other") for n in range(200)]

    def attempt(job: Job) -> bool:
        with engine.begin() as connection:
            found = reserve(connection, job, CENT)
            if isinstance(found, Refusal):
                return False
            return open_call(connection, job, CENT, found) is not None

    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(attempt, made))
    with engine.connect() as connection:
        by_subject = {each.subject: each for each in budget_admin.listed(connection)}
    assert sum(opened) == 100
    assert by_subject[tenant].reserved_usd == Decimal(1)
    assert by_subject[f"f{tenant}"].reserved_usd == CENT * sum(opened[1::2]) <= Decimal("0.5")


def test_who_does_not_fit_waits_and_a_settlement_sets_free_as_many_as_fit(
    connection: Connection, tenant: str
) -> None:
    budget = cap(connection, tenant, "0.10")
    first = new_job(connection, tenant)
    reserved = reserve(connection, first, 10 * CENT)
    assert isinstance(reserved, Reservation)
    call = open_call(connection, first, 10 * CENT, reserved)
    assert call is not None
    waiting = [new_job(connection, tenant, lane="interactive" if n == 4 else "bulk") for n in range(5)]
    for job in waiting:
        refusal = budgets.refusal_of(connection, job, 3 * CENT, timezone=UTC_ZONE)
        assert refusal is not None
        assert budgets.hold(connection, job, refusal)
    assert shown(connection, tenant).waiting == 5

    # Of ten cents one is spent, so that three calls of three cents fit: the interactive one and the oldest two.
    ledger.close_call(connection, settlement(call))
    states = {row.id: row.wait for row in connection.execute(text("select id, wait from jobs"))}
    assert [states[job.id] for job in waiting] == ["unsent", "unsent", "budget", "budget", "unsent"]
    told = shown(connection, tenant)
    assert (told.spent_usd, told.reserved_usd, told.waiting) == (CENT, ZERO, 2)

    # Those set free have not reserved yet, and count as if they had: nobody else is woken for their money.
    budgets.look_after(connection, timezone=UTC_ZONE)
    assert shown(connection, tenant).waiting == 2
    budget_admin.raise_cap(connection, budget.id, Decimal("0.13"))
    assert shown(connection, tenant).waiting == 1
    budget_admin.remove(connection, budget.id)
    assert not connection.execute(
        text("select 1 from jobs where wait = 'budget' and tenant = :t"), {"t": tenant}
    ).all()


def test_a_call_that_may_be_billed_keeps_its_money_until_a_late_answer(
    connection: Connection, tenant: str
) -> None:
    cap(connection, tenant, "1")
    calls = []
    for _ in range(3):
        job = new_job(connection, tenant)
        reserved = reserve(connection, job, 10 * CENT)
        assert isinstance(reserved, Reservation)
        call = open_call(connection, job, 10 * CENT, reserved)
        assert call is not None
        calls.append(call)
    timed_out, lost, refused = calls
    failed = {"answered": False, "reply": None, "cost_usd": None, "output_tokens": None}
    ledger.close_call(connection, settlement(timed_out, **failed, possibly_billed=True))
    ledger.close_call(connection, settlement(refused, **failed))
    connection.execute(text("update calls set lease_until = '2020-01-01' where id = :id"), {"id": lost})
    dispatch.run(connection, SWEEP["intents"])
    told = shown(connection, tenant)
    assert (told.spent_usd, told.reserved_usd) == (ZERO, 20 * CENT)
    ledger.close_call(connection, settlement(lost))
    ledger.close_call(connection, settlement(lost))  # drained twice
    told = shown(connection, tenant)
    assert (told.spent_usd, told.reserved_usd) == (CENT, 10 * CENT)


def test_a_bill_above_its_reservation_is_recorded_and_an_unknown_one_keeps_it(
    connection: Connection, tenant: str
) -> None:
    cap(connection, tenant, "1", span="total")
    for cost, told in ((Decimal("0.5"), (Decimal("0.5"), ZERO)), (None, (Decimal("0.5"), CENT))):
        job = new_job(connection, tenant)
        reserved = reserve(connection, job, CENT)
        assert isinstance(reserved, Reservation)
        call = open_call(connection, job, CENT, reserved)
        assert call is not None
        ledger.close_call(connection, settlement(call, cost_usd=cost))
        found = shown(connection, tenant)
        assert (found.spent_usd, found.reserved_usd) == told


def test_no_call_is_opened_past_a_budget_that_nobody_asked(connection: Connection, tenant: str) -> None:
    budget = cap(connection, tenant, "1")
    job = new_job(connection, "another")
    with pytest.raises(ledger.BudgetsUnasked):
        open_call(connection, job, CENT)
    budget_admin.remove(connection, budget.id)
    connection.execute(text("delete from budgets"))  # others' too, within this transaction
    assert open_call(connection, job, CENT) is not None
    connection.rollback()


def test_a_new_budget_counts_what_its_day_has_cost_and_what_is_open(connection: Connection, tenant: str) -> None:
    jobs_made = [new_job(connection, tenant) for _ in range(3)]
    calls = [open_call(connection, job, 10 * CENT, Reservation(budgets=())) for job in jobs_made]
    assert calls[0] is not None
    ledger.close_call(connection, settlement(calls[0]))
    found = cap(connection, tenant, "1")
    assert (found.spent_usd, found.reserved_usd) == (CENT, 20 * CENT)
    assert calls[1] is not None
    ledger.close_call(connection, settlement(calls[1]))
    told = shown(connection, tenant)
    assert (told.spent_usd, told.reserved_usd) == (2 * CENT, 10 * CENT)


def test_the_next_window_begins_empty_and_wakes_those_who_waited(connection: Connection, tenant: str) -> None:
    budget = cap(connection, tenant, "0.05")
    connection.execute(
        text("update budgets set window_start = window_start - interval '1 day', spent_usd = 0.05 where id = :id"),
        {"id": budget.id},
    )
    job = new_job(connection, tenant)
    stale = budgets.Covering(
        **connection.execute(
            text("select id, id as series, scope, subject, span, policy, cap_usd, spent_usd, reserved_usd, warned,"
                 " false as stale, false as reserved from budgets where id = :id"),
            {"id": budget.id},
        ).mappings().one()
    )  # fmt: skip
    budgets.hold(connection, job, Refusal(need_usd=CENT, short=[stale]))
    budgets.look_after(connection, timezone=UTC_ZONE)
    assert connection.execute(text("select wait from jobs where id = :id"), {"id": job.id}).scalar() == "unsent"
    other = new_job(connection, tenant)
    found = reserve(connection, other, CENT)
    assert isinstance(found, Reservation)
    told = shown(connection, tenant)
    assert (told.id, told.spent_usd, told.reserved_usd) == (budget.id, ZERO, CENT)


def test_a_call_is_reserved_in_all_of_its_budgets_or_in_none(connection: Connection, tenant: str) -> None:
    cap(connection, tenant, "1")
    feature = cap(connection, tenant, "0.01", scope="feature")
    job = new_job(connection, tenant, feature=tenant)
    refused = reserve(connection, job, 2 * CENT)
    assert isinstance(refused, Refusal)
    assert [each.id for each in refused.short] == [feature.id]
    assert {each.reserved_usd for each in budget_admin.listed(connection) if each.subject == tenant} == {ZERO}
    assert not budgets.any_left(connection, job, 2 * CENT, timezone=UTC_ZONE)
    assert isinstance(reserve(connection, job, CENT), Reservation)
    assert {each.reserved_usd for each in budget_admin.listed(connection) if each.subject == tenant} == {CENT}


def test_a_window_that_is_over_takes_no_more_and_keeps_nobody_from_the_next(
    connection: Connection, tenant: str
) -> None:
    budget = cap(connection, tenant, "1")
    values = {"id": budget.id}
    past = "update budgets set window_start = window_start - interval '1 day', spent_usd = :spent where id = :id"
    connection.execute(text(past), {**values, "spent": 1})
    job = new_job(connection, tenant)
    assert budgets.any_left(connection, job, CENT, timezone=UTC_ZONE), "the next window begins empty"
    connection.execute(text("update budgets set spent_usd = 0 where id = :id"), values)
    found = reserve(connection, job, CENT)
    assert isinstance(found, Reservation)
    assert budget.id not in found.budgets
    over = connection.execute(text("select reserved_usd from budgets where id = :id"), values).scalar_one()
    assert over == ZERO


def test_a_model_without_a_price_is_refused_with_the_remedy(connection: Connection, tenant: str) -> None:
    cap(connection, tenant, "1")
    found = reserve(connection, new_job(connection, tenant), None)
    assert isinstance(found, Refusal)
    assert "no known price" in found.message
    assert "docmill.toml" in found.message
    dear = reserve(connection, new_job(connection, tenant), Decimal(2))
    assert isinstance(dear, Refusal)
    assert "more than the whole of budget" in dear.message


def test_the_lower_threshold_is_told_once_a_window(connection: Connection, tenant: str) -> None:
    cap(connection, tenant, "0.10")
    told = []
    for _ in range(10):
        found = reserve(connection, new_job(connection, tenant), CENT)
        assert isinstance(found, Reservation)
        told.append(len(found.nearly_spent))
    assert told == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    refusals = [reserve(connection, new_job(connection, tenant), CENT) for _ in range(2)]
    spent = [budgets.note_spent(connection, found) for found in refusals if isinstance(found, Refusal)]
    assert [len(each) for each in spent] == [1, 0]


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", 25),
        ("America/New_York", "2026-11-01T12:00", 25),
        ("Africa/Cairo", "2026-04-24T12:00", 23),  # its clocks change at midnight: the day begins at one
        ("UTC", "2026-03-29T12:00", 24),
    ],
)
def test_a_day_has_as_many_hours_as_it_has(connection: Connection, zone: str, noon: str, hours: int) -> None:
    at = datetime.fromisoformat(noon).replace(tzinfo=ZoneInfo(zone))
    begins, ends = (
        connection.execute(
            text(
                "select docmill_window_start('day', cast(:at as timestamptz) + make_interval(hours => :h), :zone)"
            ),
            {"at": at, "h": later, "zone": zone},
        ).scalar_one()
        for later in (0, 24)
    )
    assert (ends - begins).total_seconds() == hours * 3600
    assert begins.astimezone(ZoneInfo(zone)).date() == at.date()


def test_budgets_that_are_not_there_or_not_lower_are_told(connection: Connection, tenant: str) -> None:
    with pytest.raises(Misconfigured, match="there is no budget 987654321"):
        budget_admin.raise_cap(connection, 987654321, CENT)
    budget = cap(connection, tenant, "1")
    with pytest.raises(Misconfigured, match="already: name a higher one"):
        budget_admin.raise_cap(connection, budget.id, CENT)


@pytest.mark.parametrize("span", ["day", "total"])
def test_two_who_set_the_same_budget_at_once_set_one(engine: Engine, tenant: str, span: str) -> None:
    def put(usd: str) -> None:
        with engine.begin() as connection:
            cap(connection, tenant, usd, span=span)

    with ThreadPoolExecutor(2) as pool, engine.begin() as first:
        cap(first, tenant, "1", span=span)
        second = pool.submit(put, "2")
        await_lock(engine)
        first.commit()
        second.result()
    with engine.begin() as connection:
        (found,) = connection.execute(
            text("select id, cap_usd from budgets where subject = :t"), {"t": tenant}
        ).all()
        assert found.cap_usd == 2
        budget_admin.remove(connection, found.id)
        assert isinstance(reserve(connection, new_job(connection, tenant), 3 * Decimal(1)), Reservation)


def await_lock(engine: Engine) -> None:
    """Until somebody waits for the ledger to go on."""
    waits = text("select from pg_locks where not granted and relation = 'calls'::regclass")
    while True:
        with engine.connect() as connection:
            if connection.execute(waits).first() is not None:
                return


def test_removing_a_budget_leaves_none_for_the_same(connection: Connection, tenant: str) -> None:
    budget = cap(connection, tenant, "1", span="total")
    connection.execute(  # as two who set it at once once made it
        text("insert into budgets (scope, subject, span, policy, cap_usd, window_start)"
             " values ('tenant', :t, 'total', 'hold', 0, '2020-01-01')"), {"t": tenant}
    )  # fmt: skip
    budget_admin.remove(connection, budget.id)
    assert isinstance(reserve(connection, new_job(connection, tenant), CENT), Reservation)


def test_white_space_names_nobody(connection: Connection, tenant: str) -> None:
    spaced = cap(connection, f" {tenant} ", "1")
    assert (spaced.subject, cap(connection, tenant, "2").id) == (tenant, spaced.id)
    for blank in ("tenant", "prompt"):
        with pytest.raises(Misconfigured, match="needs a name"):
            cap(connection, " ", "1", scope=blank)
    with pytest.raises(Misconfigured, match="for all has no name"):
        cap(connection, tenant, "1", scope="all")
    assert Wanted(scope="all", subject=" ", span="day", policy="hold", cap_usd=CENT).subject == ""


def test_a_budget_for_a_prompt_that_nobody_knows_is_refused(connection: Connection, tenant: str) -> None:
    slip = Wanted(scope="prompt", subject="recept", span="day", policy="hold", cap_usd=ZERO)
    with pytest.raises(Misconfigured, match=r"no prompt 'recept', .*did you mean receipt\?"):
        budget_admin.check_prompt(connection, slip, ["invoice", "receipt"])
    budget_admin.check_prompt(connection, replace(slip, subject="receipt"), ["receipt"])
    budget_admin.check_prompt(connection, replace(slip, scope="feature"), ["receipt"])
    budget_admin.put(connection, slip, timezone=UTC_ZONE)  # as one that was set when its prompt was there
    budget_admin.check_prompt(connection, slip, ["receipt"])
    gone = f"gone-{tenant}"
    call = open_call(connection, replace(new_job(connection, tenant), prompt=gone), CENT, Reservation(budgets=()))
    assert call is not None
    ledger.close_call(connection, settlement(call))
    budget_admin.check_prompt(connection, replace(slip, subject=gone), ["receipt"])
    connection.rollback()


def test_a_cap_of_zero_lets_no_call_through_that_costs_nothing(connection: Connection, tenant: str) -> None:
    budget = cap(connection, tenant, "0")
    job = new_job(connection, tenant)
    assert not budgets.any_left(connection, job, ZERO, timezone=UTC_ZONE)
    found = reserve(connection, job, ZERO)
    assert isinstance(found, Refusal)
    assert f"docmill budgets raise {budget.id} USD" in found.message
    assert budgets.hold(connection, job, found)
    budgets.look_after(connection, timezone=UTC_ZONE)
    assert shown(connection, tenant).waiting == 1
    budget_admin.raise_cap(connection, budget.id, CENT)
    assert shown(connection, tenant).waiting == 0
    assert isinstance(reserve(connection, new_job(connection, tenant), ZERO), Reservation)


# The roll-up.


def rows_of(connection: Connection, tenant: str, by: list[str], **options: Any) -> list[costs.CostRow]:
    return costs.costs(connection, by, timezone=UTC_ZONE, tenant=tenant, **options)


def test_the_roll_up_is_the_sum_of_the_rows_whatever_changes(connection: Connection, tenant: str) -> None:
    zone = connection.execute(text("select timezone from costs_zone")).scalar()
    calls = {}
    for name, cost in (("answered", CENT), ("unpriced", None), ("late", 3 * CENT), ("rejected", 2 * CENT)):
        job = new_job(connection, tenant, feature=name)
        call = open_call(connection, job, None, Reservation(budgets=()))
        assert call is not None
        calls[name] = (job, call, cost)

    def same() -> list[dict[str, Any]]:
        rolled = [row.as_json() for row in rows_of(connection, tenant, ["feature", "day"])]
        connection.execute(text("update costs_zone set timezone = 'Pacific/Kiritimati'"))
        live = [row.as_json() for row in rows_of(connection, tenant, ["feature", "day"])]
        connection.execute(text("update costs_zone set timezone = :zone"), {"zone": zone or UTC_ZONE})
        assert sorted(rolled, key=str) == sorted(live, key=str)
        return sorted(rolled, key=lambda row: str(row["feature"]))

    assert same() == []
    for name in ("answered", "unpriced", "rejected"):
        ledger.close_call(connection, settlement(calls[name][1], cost_usd=calls[name][2]))
    costs.fold(connection, timezone=UTC_ZONE)
    connection.execute(
        text("update calls set lease_until = '2020-01-01' where id = :id"), {"id": calls["late"][1]}
    )
    dispatch.run(connection, SWEEP["intents"])
    found = {row["feature"]: row for row in same()}
    assert found["late"]["cost_usd"] is None
    assert found["late"]["possibly_billed"] == 1
    assert found["unpriced"]["cost_usd"] is None
    assert found["answered"]["cost_usd"] == "0.01"

    costs.fold(connection, timezone=UTC_ZONE)
    ledger.close_call(connection, settlement(calls["late"][1], cost_usd=calls["late"][2]))
    found = {row["feature"]: row for row in same()}
    assert (found["late"]["cost_usd"], found["late"]["possibly_billed"]) == ("0.03", 0)

    transitions.end(connection, calls["rejected"][0], "failed")
    connection.execute(
        text("update jobs set state = 'done', wait = null where id = :id"), {"id": calls["answered"][0].id}
    )
    found = {row["feature"]: row for row in same()}
    assert found["rejected"]["failed_usd"] == found["rejected"]["wasted_usd"] == "0.02"
    assert (found["answered"]["accepted"], found["answered"]["usd_per_accepted"]) == (1, "0.01")
    costs.fold(connection, timezone=UTC_ZONE)
    assert {row["feature"]: row for row in same()} == found

    connection.execute(
        text("update jobs set state = 'queued', wait = 'unsent' where id = :id"), {"id": calls["rejected"][0].id}
    )
    connection.execute(text("delete from exchanges where call_id = :id"), {"id": calls["unpriced"][1]})
    connection.execute(text("delete from calls where id = :id"), {"id": calls["unpriced"][1]})
    found = {row["feature"]: row for row in same()}
    assert found["rejected"]["wasted_usd"] == "0"
    assert "unpriced" not in found
    costs.roll_up(connection, timezone=UTC_ZONE)
    assert {row["feature"]: row for row in same()} == found


def test_costs_are_told_for_some_days(connection: Connection, tenant: str) -> None:
    job = new_job(connection, tenant)
    call = open_call(connection, job, None, Reservation(budgets=()))
    assert call is not None
    ledger.close_call(connection, settlement(call))
    today = datetime.now(UTC).date()
    assert len(rows_of(connection, tenant, [], since=today, until=today)) == 1
    assert rows_of(connection, tenant, [], until=date(2020, 1, 1)) == []
    with pytest.raises(Misconfigured, match="which is later"):
        rows_of(connection, tenant, [], since=today, until=date(2020, 1, 1))


def test_a_report_in_the_middle_of_a_fold_misses_nothing(engine: Engine, tenant: str) -> None:
    with engine.begin() as connection:
        for _ in range(50):
            call = open_call(connection, new_job(connection, tenant), None, Reservation(budgets=()))
            assert call is not None
            ledger.close_call(connection, settlement(call))
    with engine.begin() as folding:
        costs.fold(folding, timezone=UTC_ZONE)
        with engine.connect() as looking:
            assert [row.calls for row in rows_of(looking, tenant, [])] == [50]
        assert [row.calls for row in rows_of(folding, tenant, [])] == [50]
