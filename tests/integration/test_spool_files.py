"""What lies in a spool, whoever left it there, is closed or set aside; and keeps nothing else from its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from db import jobs, ledger
from db.jobs import Drive
from tasks.calls.closing import Closure
from tasks.calls.spool import SET_ASIDE, Drain, set_aside, spool
from tasks.upkeep.tick import Upkeep
from tests.walk import Walk

ANSWER = '{"company": "EXAMPLE TEA HOUSE", "date": "2018-03-09", "address": "1 Sample Street", "total": "12.50"}'


@pytest.fixture
def here(walk: Callable[..., Walk], tmp_path: Path) -> Walk:
    """A walk whose spool is its own, and which has what a worker that is gone has left there."""
    made = walk()
    settings = made.services.settings.model_copy(update={"spool": tmp_path / "spool"})
    return Walk(made.engine, replace(made.services, settings=settings))


def asked(walk: Walk) -> tuple[int, UUID]:
    """A job whose call was made by a worker that is gone, and the call's id."""
    job_id = walk.submit()
    while walk.job(job_id).stage != "complete":
        walk.step(job_id)
    call_id = uuid4()
    with walk.engine.begin() as connection:
        connection.execute(text("update jobs set wait = 'sent', state = 'running' where id = :id"), {"id": job_id})
        job = jobs.load(connection, job_id, walk.job(job_id).epoch, "complete")
        assert job is not None
        intent = ledger.Intent(
            id=call_id, content_hash=b"", input_hash=b"", provider="simulator", account="a", model="sim-small",
            request={}, remedy=None, reserved_usd=None, owner="gone",
        )  # fmt: skip
        assert ledger.open_call(connection, job, intent, work=b"k", lease_s=90, budgets=[]) == "opened"
    return job_id, call_id


def settlement(call_id: UUID, **changes: Any) -> ledger.Settlement:
    told: dict[str, Any] = {
        "id": call_id, "answered": True, "reply": {"text": ANSWER, "finish_reason": "stop"}, "model_echoed": "sim-small",
        "request_id": "r", "input_tokens": 100, "cached_tokens": 0, "output_tokens": 20, "reasoning_tokens": 0,
        "cost_usd": Decimal("0.00002"), "price_source": "test", "failure_kind": None, "http_status": 200,
        "possibly_billed": False, "latency_ms": 5,
    }  # fmt: skip
    return ledger.Settlement(**{**told, **changes})


def leave(walk: Walk, job_id: int, call: ledger.Settlement, **changes: Any) -> Path:
    """A file as a worker leaves it."""
    closure = Closure(job_id=job_id, epoch=walk.job(job_id).epoch, settlement=call)
    spool(walk.services.spool, "gone", replace(closure, **changes))
    return walk.services.spool / f"{call.id}.json"


def call_of(walk: Walk, job_id: int) -> Any:
    (call,) = walk.calls(job_id)
    return call


UNSTORABLE: dict[str, dict[str, Any]] = {
    "NUL and half a character": {"reply": {"text": "a\0b\ud800", "finish_reason": "stop"}},
    "names that cannot be": {"model_echoed": "m\0", "request_id": "\udfff" * 1000},
    "tokens beyond all": {"input_tokens": 10**400, "output_tokens": 2**31, "cached_tokens": -1},
    "an absurd cost": {"cost_usd": Decimal("1e300")},
    "a cost that is none": {"cost_usd": Decimal("NaN")},
}


@pytest.mark.parametrize("name", UNSTORABLE)
def test_a_reply_that_no_column_takes_as_it_is_goes_on(here: Walk, name: str) -> None:
    job_id, call_id = asked(here)
    leave(here, job_id, settlement(call_id, **UNSTORABLE[name]))
    (drive,) = Drain(services=here.services).drives()
    assert (drive.id, drive.stage) == (job_id, "parse")
    assert call_of(here, job_id).state == "answered"
    assert not list(here.services.spool.glob("*.json"))


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """The file with something else in its JSON."""

    def write(whole: bytes) -> bytes:
        plain = json.loads(whole)
        change(plain)
        return json.dumps(plain).encode()

    return write


CORRUPT: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda whole: whole[:50],
    "no JSON": lambda _: b"\xff\0" * 100,
    "empty": lambda _: b"",
    "a list": lambda _: b"[]",
    "nested without an end": lambda _: b"[" * 200_000,
    "another shape": lambda _: b'{"settlement": {"id": 1}}',
    "no reply": changed(lambda plain: plain["settlement"].update(reply=None)),
    "a reply without words": changed(lambda plain: plain["settlement"].update(reply={"text": 1})),
    "no job": changed(lambda plain: plain.update(job_id="\0")),
    "more than it should": changed(lambda plain: plain.update(evil=1)),
    "an epoch beyond all": changed(lambda plain: plain.update(epoch=10**30)),
    "a cost that is no number": changed(lambda plain: plain["settlement"].update(cost_usd="dear")),
}


@pytest.mark.parametrize("how", CORRUPT)
def test_a_damaged_file_is_set_aside_and_its_call_is_in_doubt(here: Walk, how: str) -> None:
    job_id, call_id = asked(here)
    file = leave(here, job_id, settlement(call_id))
    file.write_bytes(CORRUPT[how](file.read_bytes()))
    assert not list(Drain(services=here.services).drives())
    call = call_of(here, job_id)
    assert (call.state, call.possibly_billed, call.cost_usd) == ("in_doubt", True, None)
    assert [entry["kind"] for entry in here.job(job_id).history] == ["in_doubt"]
    assert not list(here.services.spool.glob("*.json"))
    assert set_aside(here.services.spool) == 1


def test_a_file_of_somebody_else_is_set_aside(here: Walk) -> None:
    here.services.spool.mkdir()
    (here.services.spool / "notes.json").write_text('{"a": 1}')
    assert not list(Drain(services=here.services).drives())
    assert [file.name for file in (here.services.spool / SET_ASIDE).iterdir()] == ["notes.json"]


def test_what_cannot_even_be_moved_stands_in_nobodys_way(here: Walk) -> None:
    (here.services.spool / "folder.json").mkdir(parents=True)
    (here.services.spool / SET_ASIDE).write_text("no folder")
    (here.services.spool / "notes.json").write_text("?")
    job_id, call_id = asked(here)
    leave(here, job_id, settlement(call_id))
    drain = Drain(services=here.services)
    assert [drive.id for drive in drain.drives()] == [job_id]
    assert not list(drain.drives())


def refuse(engine: Engine, table: str, condition: str) -> None:
    """Postgres does not take a change of these rows, as if there were a defect."""
    with engine.begin() as connection:
        connection.execute(
            text(
                f"create or replace function refuse_{table}() returns trigger language plpgsql as"
                " $$ begin raise exception 'refused' using errcode = 'data_exception'; end $$"
            )
        )
        connection.execute(
            text(
                f"create trigger refuse before update on {table} for each row when ({condition})"
                f" execute function refuse_{table}()"
            )
        )


@pytest.fixture
def refusing(owner: Engine) -> Any:
    made: list[str] = []

    def make(table: str, condition: str) -> None:
        refuse(owner, table, condition)
        made.append(table)

    yield make
    with owner.begin() as connection:
        for table in made:
            connection.execute(text(f"drop trigger refuse on {table}"))


def test_a_call_that_cannot_be_closed_keeps_its_figures_and_its_job_ends(
    here: Walk, refusing: Callable[[str, str], None]
) -> None:
    job_id, call_id = asked(here)
    leave(here, job_id, settlement(call_id))
    refusing("exchanges", f"new.call_id = '{call_id}' and new.reply is not null")
    assert not list(Drain(services=here.services).drives())
    call, job = call_of(here, job_id), here.job(job_id)
    assert (call.state, call.possibly_billed, call.input_tokens, call.output_tokens) == ("failed", True, 100, 20)
    assert (job.state, job.failure["kind"]) == ("failed", "internal")
    assert set_aside(here.services.spool) == 1


def test_a_job_that_cannot_move_ends_and_its_answer_is_kept(
    here: Walk, refusing: Callable[[str, str], None]
) -> None:
    job_id, call_id = asked(here)
    leave(here, job_id, settlement(call_id))
    refusing("jobs", f"new.id = {job_id} and new.stage = 'parse'")
    assert not list(Drain(services=here.services).drives())
    assert call_of(here, job_id).state == "answered"
    assert (here.job(job_id).state, here.job(job_id).failure["kind"]) == ("failed", "internal")


def test_one_file_keeps_no_other_and_no_tick_from_its_place(
    here: Walk, refusing: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of three cannot be closed at all, by nobody; all else goes on as if it were not there."""
    broken, first_call = asked(here)
    good, good_call = asked(here)
    leave(here, broken, settlement(first_call)).rename(here.services.spool / "0.json")
    leave(here, good, settlement(good_call))
    (here.services.spool / "00.json").write_text("{")
    waiting = here.submit()
    with here.engine.begin() as connection:
        connection.execute(
            text("update jobs set wait = null, state = 'cancelled' where id <> all(:ids) and wait is not null"),
            {"ids": [broken, good, waiting]},
        )
    refusing("calls", f"new.id = '{first_call}' and new.state <> 'intent'")
    published: list[Drive] = []

    def publish(drives: Sequence[Drive]) -> None:
        published.extend(drives)

    services = replace(here.services, publish=publish)
    upkeep = Upkeep(services=services, worker="io@test", slots=10)
    for _ in range(3):
        upkeep.tick()
    assert good in {drive.id for drive in published}
    assert waiting in {drive.id for drive in published}
    assert set_aside(here.services.spool) == 2


def test_where_the_database_is_away_the_files_stay(here: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, call_id = asked(here)
    file = leave(here, job_id, settlement(call_id))

    def gone(*_: object, **__: object) -> None:
        raise OperationalError("update", {}, Exception("away"))

    monkeypatch.setattr(ledger, "close_call", gone)
    with pytest.raises(OperationalError):
        list(Drain(services=here.services).drives())
    assert file.exists()
