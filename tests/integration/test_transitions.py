"""The table of transitions, held against the statements: each is tried on a job in each position at each stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import dispatch, transitions
from db.stages import STAGES, Stage
from db.transitions import ENDS, SQL, STATE_OF, STAYS, TRANSITIONS, WAITS, Position

KEY, OTHER_KEY = b"of the work", b"of work that nobody leads"
EPOCH = 3
TO: Stage = "parse"
NEW_JOB = """
insert into jobs (tenant, feature, lane, chain, prompt, state, stage, wait, epoch, flight_key, budget_id, need_usd,
  held_for, wake_at, deadline_at, crashes, redrives, owner, finished_at, turn)
values (:tenant, 'f', 'bulk', 'document', 'receipt', :state, :stage, :wait, :epoch, :key, :series, 0,
  'model', '-infinity', '2001-01-01', :crashes, 99, 'owner', case when cast(:wait as text) is null then clock_timestamp() end,
  docmill_turn(:stage, :crashes))
returning id
"""
CONSTRAINT = "select pg_get_constraintdef(oid) from pg_constraint where conname = 'jobs_wait_check'"
FOUND = """
select state, stage, wait, state <> 'queued' or turn = docmill_turn(stage, crashes) as in_turn,
  case when state = 'held' then held_until <= greatest(wake_at, 'epoch') else held_until = 'epoch' end as found_in_time
from jobs where id = :id
"""
UPDATES = "select n_tup_upd as made, n_tup_hot_upd as hot from pg_stat_xact_user_tables where relname = 'jobs'"
NEW_CALL = """
insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account,
  model, lease_until) values (:id, :job, 'first', 0, 9, 'intent', 't', 'f', '', '', 'p', 'a', 'm', '-infinity')
"""


@dataclass(frozen=True)
class Place:
    """Where a job is."""

    position: Position
    stage: Stage


PAST_THE_DEADLINE = {"open_call", "lead_and_open", "spare_claims"}
"""A call in flight is let finish, and a lease is kept whoever judges."""
PLACES = [Place(position, stage) for position in (*WAITS, *ENDS) for stage in STAGES]


@pytest.fixture
def connection(owner: Engine) -> Iterator[Connection]:
    with owner.connect() as opened:
        opened.execute(text("truncate jobs, calls, exchanges, flights, budgets, drives, results cascade"))
        opened.execute(text("set local role docmill"))
        yield opened
        opened.rollback()


def test_every_statement_stands_in_the_table() -> None:
    assert {*TRANSITIONS, *STAYS} == set(SQL)
    assert all("update jobs set" in statement.text for statement in SQL.values())


def test_the_database_knows_the_same_positions(connection: Connection) -> None:
    known = connection.execute(text(CONSTRAINT)).scalar_one()
    assert set(re.findall(r"[{,](\w+)", known)) == {*WAITS}


@pytest.mark.parametrize("name", [*TRANSITIONS, *STAYS])
def test_a_statement_does_to_a_job_what_the_table_says(connection: Connection, name: str) -> None:
    others = others_there(connection)
    wrong = []
    for place in PLACES:
        with connection.begin_nested() as tried:
            found = taken(connection, name, place, others)
            tried.rollback()
        if found not in allowed(name, place):
            wrong.append(f"{place} to {found}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("position", "claims"), [("sent", True), ("countdown", True), ("running", False), ("unsent", False)]
)
def test_a_message_that_comes_twice_claims_once(connection: Connection, position: Position, claims: bool) -> None:
    others = others_there(connection)
    job = new_job(connection, Place(position, "parse"), series=others["series"])
    claimed = transitions.claim(connection, job, EPOCH, "parse", owner="another", lease_s=20)
    assert (claimed is not None) is claims


def test_a_retry_of_another_attempt_begins_at_complete(connection: Connection) -> None:
    others = {**others_there(connection), "attempts": 1, "from_complete": True}
    for stage in STAGES:
        assert taken(connection, "retry", Place("failed", stage), others) == Place("unsent", "complete")


def test_no_transition_moves_a_job_whose_epoch_is_another(connection: Connection) -> None:
    others = {**others_there(connection), "epoch": EPOCH - 1, "epochs": [EPOCH - 1]}
    fenced = [name for name, statement in SQL.items() if ":epoch" in statement.text]
    assert len(fenced) > 10
    for name in fenced:
        for position in WAITS:
            place = Place(position, "complete")
            assert taken(connection, name, place, others) == place, name


@pytest.mark.parametrize("name", sorted({*TRANSITIONS, *STAYS} - PAST_THE_DEADLINE))
def test_nobody_looks_at_a_job_later_than_its_deadline(connection: Connection, name: str) -> None:
    """All are overdue: whatever sets another time sets the deadline, or now."""
    others = others_there(connection)
    for place in PLACES:
        with connection.begin_nested() as tried:
            if taken(connection, name, place, others).position in WAITS:
                late = connection.execute(text("select count(*) from jobs where wake_at > clock_timestamp()"))
                assert late.scalar_one() == 0, place
            tried.rollback()


IN_HAND = ("sent", "running", "countdown")


@pytest.mark.parametrize(
    "name", [name for name, table in TRANSITIONS.items() if {*table.leaves} & {*IN_HAND} >= {*table.to}]
)
def test_a_transition_of_a_job_in_hand_writes_no_index(connection: Connection, name: str) -> None:
    """As long as its page has room, as all of them have here."""
    others, made = others_there(connection), 0
    for place in (place for place in PLACES if place.position in IN_HAND):
        before = connection.execute(text(UPDATES)).one()
        with connection.begin_nested() as tried:
            taken(connection, name, place, {**others, "series": None})
            after = connection.execute(text(UPDATES)).one()
            tried.rollback()
        assert after.made - before.made == after.hot - before.hot, place
        made += after.made - before.made
    assert made


@pytest.mark.parametrize("position", ["rate", "flight"])
def test_a_hold_that_somebody_ends_by_hand_is_found(connection: Connection, position: Position) -> None:
    job = new_job(connection, Place(position, "complete"), series=None)
    connection.execute(
        text("update jobs set wake_at = 'infinity', held_until = 'infinity', deadline_at = null where id = :id"),
        {"id": job},
    )
    chore = dispatch.SWEEP["holds" if position == "rate" else "lost"]
    assert chore.find(connection, {}) == []
    connection.execute(text("update jobs set wake_at = clock_timestamp() where id = :id"), {"id": job})
    assert chore.find(connection, {}) == [job]


@pytest.mark.parametrize(
    ("changed", "turn"), [("crashes = 2", "apart"), ("stage = 'ocr'", "scans"), ("stage = 'parse'", "begun")]
)
def test_what_is_queued_is_in_its_turn_whoever_queues_it(connection: Connection, changed: str, turn: str) -> None:
    job = new_job(connection, Place("unsent", "validate"), series=None, crashes=0)
    connection.execute(text(f"update jobs set {changed} where id = :id"), {"id": job})
    assert connection.execute(text("select turn from jobs where id = :id"), {"id": job}).scalar_one() == turn


def allowed(name: str, place: Place) -> list[Place]:
    """Where the table says that a statement takes a job: one of several, as its values say."""
    table = TRANSITIONS.get(name)
    if table is None or place.position not in table.leaves:
        return [place]
    if place.stage not in table.but.get(place.position, table.at):
        return [place]
    stage = {"same": place.stage, "given": TO}.get(table.stage, table.stage)
    return [Place(position, stage) for position in table.to]  # type: ignore[arg-type]


def others_there(connection: Connection) -> dict[str, Any]:
    """A leader, and a budget with room, for whoever waits for these."""
    series = connection.execute(
        text(
            "insert into budgets (scope, span, policy, cap_usd, window_start)"
            " values ('all', 'total', 'hold', 1, '-infinity') returning id"
        )
    ).scalar_one()
    leader = new_job(connection, Place("sent", "complete"), tenant="other", series=series)
    connection.execute(text("insert into flights (key, job_id) values (:key, :id)"), {"key": KEY, "id": leader})
    return {"leader": leader, "job": leader, "series": series, "budget": series}


def new_job(connection: Connection, place: Place, **values: Any) -> int:
    """A job that is due in every way, and has broken as often as a job may; where it waits, it is in its turn."""
    ended = place.position in ENDS
    state = place.position if ended else STATE_OF[place.position]  # type: ignore[index]
    wait = None if ended else place.position
    where = {"state": state, "stage": place.stage, "wait": wait, "epoch": EPOCH, "key": KEY}
    return int(connection.execute(text(NEW_JOB), {"tenant": "t", "crashes": 9, **where, **values}).scalar_one())


def taken(connection: Connection, name: str, place: Place, others: Mapping[str, Any]) -> Place:
    """Where the statement takes a job, when all is there that it may wait for."""
    job, call = new_job(connection, place, series=others["series"]), uuid4()
    connection.execute(text(NEW_CALL), {"id": call, "job": job}) if name in (
        "close_call",
        "doubt_intents",
    ) else None
    ids = [others["series"]] if name == "free_for_budgets" else [job]
    stages = [place.stage]
    SQL[name].count(connection, {**values_for(name), "id": job, "stage": place.stage, "ids": ids, "call_id": call,
                                 "epoch": EPOCH, "epochs": [EPOCH], "stages": stages, "calls": [call], **others})  # fmt: skip
    row = connection.execute(text(FOUND), {"id": job}).one()
    assert row.wait is None or STATE_OF[row.wait] == row.state, (place, row)
    assert row.in_turn, (place, row)
    assert row.found_in_time, (place, row)
    return Place(row.wait or row.state, row.stage)


def values_for(name: str) -> dict[str, Any]:
    """Something for each of a statement's values."""
    seconds = dict.fromkeys(("message_s", "lease_s", "for_s"), 60.0)
    nothing = dict.fromkeys(
        ("version", "context", "value", "evidence", "entry", "document", "failure", "model", "need_usd", "deadline_at",
         "lately_s", "request", "remedy", "reserved_usd", "reply", "model_echoed", "request_id", "input_tokens",
         "cached_tokens", "output_tokens", "reasoning_tokens", "cost_usd", "price_source", "failure_kind",
         "http_status", "free", "kept", "chosen"), None)  # fmt: skip
    call = {"tenant": "t", "feature": "f", "usr": "", "prompt": "receipt", "content_hash": b"", "input_hash": b"",
            "provider": "p", "account": "a", "model": "m", "budgets": [], "attempt": 0, "latency_ms": 1,
            "possibly_billed": False, "answered": True, "ending": "answered", "missing": None}  # fmt: skip
    chosen: dict[str, Any] = {"to": TO, "owner": "owner", "key": OTHER_KEY if name == "lead_and_open" else KEY, "held_for": "model", "models": ["model"], "wait": "rate", "cause": "test",
              "state": "done" if name == "store" else "failed", "purpose": "first", "alone": False, "attempts": 0, "lane": "bulk",
              "words": "", "pages": [], "layout": None, "warnings": None, "scans": [], "media_type": "text/plain", "flushed": True, "settles": True, "in_hand": False, "asked": True,
              "from_complete": False, "early": False, "joins": False, "part": 0, "reads_file": True, "reads_text": True, "reads_answer": True, "reads_layout": True}  # fmt: skip
    return {**dispatch.RULES, **seconds, **nothing, **call, **chosen}


def run(connection: Connection, name: str, job: int, others: Mapping[str, Any], **values: Any) -> Any:
    """The statement's own answer about a job at complete."""
    where = {
        "id": job,
        "stage": "complete",
        "ids": [job],
        "epoch": EPOCH,
        "epochs": [EPOCH],
        "stages": ["complete"],
    }
    return SQL[name].first(connection, {**values_for(name), "calls": [], **where, **others, **values})


@pytest.mark.parametrize(("joining", "calls"), [("owner", 1), ("another", 0)])
def test_who_joins_a_claim_is_the_one_that_made_it(connection: Connection, joining: str, calls: int) -> None:
    others = others_there(connection)
    job = new_job(connection, Place("running", "complete"), series=others["series"])
    opened = run(connection, "open_call", job, others, call_id=uuid4(), joins=True, owner=joining)
    assert opened.calls == calls


@pytest.mark.parametrize(
    ("lease", "early", "doubted"), [("-1 s", False, 1), ("1 min", False, 0), ("1 min", True, 1)]
)
def test_an_intent_is_doubted_when_its_lease_ran_out_or_its_reply_is_known_to_be_lost(
    connection: Connection, lease: str, early: bool, doubted: int
) -> None:
    others = others_there(connection)
    job, call = new_job(connection, Place("running", "complete"), series=others["series"]), uuid4()
    connection.execute(text(NEW_CALL), {"id": call, "job": job})
    connection.execute(
        text("update calls set lease_until = clock_timestamp() + cast(:lease as interval)"), {"lease": lease}
    )
    SQL["doubt_intents"].count(connection, {"calls": [call], "early": early})
    assert connection.execute(text("select count(*) from calls where state = 'in_doubt'")).scalar_one() == doubted


@pytest.mark.parametrize(("answered", "state"), [(True, "answered"), (False, "in_doubt")])
def test_a_doubt_is_cleared_by_an_answer_and_by_nothing_else(
    connection: Connection, answered: bool, state: str
) -> None:
    others = others_there(connection)
    job, call = new_job(connection, Place("running", "complete"), series=others["series"]), uuid4()
    connection.execute(text(NEW_CALL), {"id": call, "job": job})
    SQL["doubt_intents"].count(connection, {"calls": [call], "early": True})
    ending = "answered" if answered else "failed"
    run(connection, "close_call", job, others, call_id=call, answered=answered, ending=ending)
    assert connection.execute(text("select state from calls where id = :id"), {"id": call}).scalar_one() == state


def test_a_slice_that_came_to_its_end_forgets_what_broke_before(connection: Connection) -> None:
    others = others_there(connection)
    job = new_job(connection, Place("running", "ocr"), series=others["series"])
    SQL["next_slice"].count(connection, {"id": job, "epoch": EPOCH, "stage": "ocr"})
    row = connection.execute(text("select crashes, redrives from jobs where id = :id"), {"id": job}).one()
    assert (row.crashes, row.redrives) == (0, 0)


@pytest.mark.parametrize(
    ("position", "stage", "crashes"), [("running", "parse", 1), ("running", "complete", 0), ("sent", "parse", 0)]
)
def test_a_claim_that_ran_out_is_a_crash_where_files_or_code_of_others_run(
    connection: Connection, position: Position, stage: Stage, crashes: int
) -> None:
    others = others_there(connection)
    job = new_job(connection, Place(position, stage), series=others["series"], crashes=0)
    SQL["drive_lost"].count(connection, {**values_for("drive_lost"), "ids": [job], **others})
    assert connection.execute(text("select crashes from jobs where id = :id"), {"id": job}).scalar_one() == crashes


def test_a_message_that_gets_lost_again_and_again_is_waited_for_longer_each_time(connection: Connection) -> None:
    others, waits = others_there(connection), []
    job = new_job(connection, Place("sent", "complete"), series=others["series"], crashes=0)
    connection.execute(text("update jobs set redrives = 0, deadline_at = null where id = :id"), {"id": job})
    for _ in range(3):
        connection.execute(text("update jobs set wake_at = '-infinity' where id = :id"), {"id": job})
        SQL["drive_lost"].count(connection, {**values_for("drive_lost"), "ids": [job], **others})
        waited = text("select extract(epoch from wake_at - clock_timestamp())::float from jobs where id = :id")
        waits.append(connection.execute(waited, {"id": job}).scalar_one())
    assert waits[0] > 60
    assert [round(later / earlier) for earlier, later in pairwise(waits)] == [2, 2]
