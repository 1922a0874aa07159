"""Answers that wait for a person: claimed by one at a time, checked before they are kept, kept as revisions."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, text

from db import keys, reviews
from db.database import Database
from db.reviews import Clerk, Narrowed
from db.submit import Submission, submit
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tests.command import Command
from tests.integration.test_api_edges import app_of, asked
from workers.stack.servers import EmbeddedServers

RIGHT = {"company": "TEA HOUSE", "address": None, "date": "2021-03-04", "total": 4.1, "currency": None}
WRONG = {**RIGHT, "total": 7.77}
PROBLEM = "total: does not occur in the document: copy the value from it, word for word"
ANNA, BERT = Clerk(name="anna", desk="a"), Clerk(name="bert", desk="b")


def in_review(
    connection: Connection,
    value: Any = WRONG,
    *,
    tenant: str = "default",
    feature: str = "f",
    body: str = "TEA HOUSE\nDate: 2021-03-04\nTOTAL 4.10",
    problems: Sequence[str] = (PROBLEM,),
    said: Any = None,
) -> int:
    """A job whose answer is doubted, as the chain leaves one."""
    wanted = Submission(
        prompt="receipt", version="v2", body=body.encode(), tenant=tenant, feature=feature, name="a.txt"
    )
    job = submit(connection, wanted)
    history = [
        {"kind": "wrong", "attempt": 0, "purpose": "first", "model": "small", "message": "; ".join(problems),
         "problems": list(problems), "remedy": "review"}
    ]  # fmt: skip
    values = {
        "id": job,
        "value": json.dumps(value),
        "history": json.dumps(history),
        "failure": json.dumps({"kind": "wrong", "message": problems[0]}),
        "key": uuid4().bytes,
        "said": json.dumps({"text": json.dumps(said), "finish_reason": "stop"}),
    }
    statements = [
        (
            "update documents set text = convert_from(body, 'UTF8'), pages = '[0]'"
            " where id = (select document_id from jobs where id = :id)"
        ),
        (
            "update jobs set state = 'needs_review', wait = null, epoch = epoch + 1, flight_key = :key,"
            " failure = cast(:failure as jsonb), history = cast(:history as jsonb),"
            " finished_at = clock_timestamp() where id = :id"
        ),
        (
            "insert into results (job_id, revision, value, evidence, author)"
            " values (:id, 1, cast(:value as jsonb), null, 'model')"
        ),
    ]
    if said is not None:
        statements.append(
            "with call as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash,"
            " provider, account, model) values (gen_random_uuid(), :id, 'first', 0, 1, 'answered', 'default', 'f', '', '',"
            " 'p', 'a', 'sim-small') returning id)"
            " insert into exchanges (call_id, request, reply) select id, '{\"messages\": []}', cast(:said as jsonb) from call"
        )
    for statement in statements:
        connection.execute(text(statement), values)
    return job


class Remembered:
    """A cache that notes what is forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[bytes] = []

    def get(self, key: bytes, *, kept_s: float = 0, holds: str = "answer") -> None:
        return None

    def put(self, key: bytes, value: Any, *, kept_s: float = 0) -> None:
        return None

    def forget(self, key: bytes) -> None:
        self.forgotten.append(key)


@pytest.fixture
def cache() -> Remembered:
    return Remembered()


@pytest.fixture
def app(engine: Engine, cache: Remembered) -> FastAPI:
    services = Services(
        settings=Settings(), database=Database(engine), registry=Registry(), publish=lambda _: None, owner="api",
        cache=cache,
    )  # fmt: skip
    return app_of(engine, services=services)


def made(engine: Engine, *answers: Any, **options: Any) -> list[int]:
    with engine.begin() as connection:
        return [in_review(connection, answer, **options) for answer in answers]


def revisions(engine: Engine, job: int) -> list[Any]:
    with engine.connect() as connection:
        return list(
            connection.execute(
                text("select revision, value, author from results where job_id = :id order by revision"),
                {"id": job},
            )
        )


def row(engine: Engine, table: str, job: int) -> Any:
    column = "id" if table == "jobs" else "job_id"
    with engine.connect() as connection:
        return (
            connection.execute(text(f"select * from {table} where {column} = :id"), {"id": job}).mappings().one()
        )


def test_what_is_accepted_as_it_stands_is_a_false_alarm_of_its_checks(
    engine: Engine, app: FastAPI, cache: Remembered
) -> None:
    (job,) = made(engine, WRONG)
    done = asked(app, "POST", f"/v1/reviews/{job}", json={"decision": "accept", "note": "it is on the back"})
    assert (done.status_code, done.json()["state"], done.json()["value"]) == (200, "done", WRONG)
    assert done.json()["failure"] is None
    assert [(each.revision, each.author) for each in revisions(engine, job)] == [
        (1, "model"),
        (2, "somebody at this machine"),
    ]
    kept = row(engine, "reviews", job)
    assert (kept["decision"], kept["revision"], kept["overruled"], kept["changed"]) == ("accept", 2, [PROBLEM], [])
    assert kept["note"] == "it is on the back"
    assert cache.forgotten == []


def test_a_correction_passes_the_prompts_own_checks_before_it_is_kept(
    engine: Engine, app: FastAPI, cache: Remembered
) -> None:
    (job,) = made(engine, WRONG)

    def tried(value: Any, **more: Any) -> Any:
        return asked(app, "POST", f"/v1/reviews/{job}", json={"decision": "correct", "value": value, **more})

    for value, told in (
        ({**RIGHT, "total": 8.88}, "total: "),
        ({**RIGHT, "total": "about four"}, "total: "),
        ({"company": "TEA HOUSE"}, "date: "),
        ([], "Input should be"),
        (None, ""),
    ):
        found = tried(value)
        assert (found.status_code, told in found.text) == (422, True), found.text
    shape = tried({"company": "TEA HOUSE"}, overruled=["date", "total", ""])
    assert shape.status_code == 422, "a check may be overruled, and no schema"
    assert len(revisions(engine, job)) == 1
    done = tried(RIGHT)
    assert (done.status_code, done.json()["value"]) == (200, RIGHT)
    assert done.json()["evidence"]["total"]["start"] == 33
    kept = row(engine, "reviews", job)
    assert (kept["decision"], kept["changed"], kept["overruled"]) == ("correct", ["total"], [])
    assert cache.forgotten == [row(engine, "jobs", job)["flight_key"]]


def test_a_check_is_overruled_by_its_path(engine: Engine, app: FastAPI) -> None:
    (job,) = made(engine, WRONG)
    value = {**RIGHT, "total": 8.88}
    body = {"decision": "correct", "value": value, "overruled": ["total"]}
    assert asked(app, "POST", f"/v1/reviews/{job}", json=body).json()["value"] == value
    assert row(engine, "reviews", job)["overruled"] == [PROBLEM]


def test_what_is_rejected_has_failed_and_is_remembered_nowhere(
    engine: Engine, app: FastAPI, cache: Remembered
) -> None:
    (job,) = made(engine, WRONG)
    done = asked(app, "POST", f"/v1/reviews/{job}", json={"decision": "reject", "note": "it is a menu"})
    assert (done.json()["state"], done.json()["failure"]["message"]) == (
        "failed",
        "rejected by somebody at this machine: it is a menu",
    )
    assert len(revisions(engine, job)) == 1
    assert cache.forgotten == [row(engine, "jobs", job)["flight_key"]]
    again = asked(app, "POST", f"/v1/reviews/{job}", json={"decision": "accept"})
    assert again.status_code == 409


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "maybe"}, {"decision": "accept", "else": 1}, {"decision": "reject", "note": "\0"},
     {"decision": "reject", "note": "x" * 2001}, {"decision": "correct", "value": RIGHT, "overruled": "total"}],
    ids=str,
)  # fmt: skip
def test_what_is_no_decision_changes_nothing(engine: Engine, app: FastAPI, body: dict[str, Any]) -> None:
    (job,) = made(engine, WRONG)
    assert asked(app, "POST", f"/v1/reviews/{job}", json=body).status_code == 422
    assert row(engine, "jobs", job)["state"] == "needs_review"


def test_it_takes_the_scope_and_the_tenant(engine: Engine) -> None:
    app = app_of(engine, host="0.0.0.0")
    tenant = uuid4().hex
    (job,) = made(engine, WRONG, tenant=tenant)
    with engine.begin() as connection:
        reader = keys.add(connection, tenant, scopes=["read", "operate", "submit"])
        clerk = keys.add(connection, tenant, name="anna", scopes=["read", "review"])
        foreign = keys.add(connection, uuid4().hex, scopes=["admin"])
    body = {"decision": "accept"}
    for key, status in ((reader, 403), (foreign, 404), (clerk, 200)):
        headers = {"authorization": f"Bearer {key}"}
        listed = asked(app, "GET", "/v1/reviews", headers=headers).json()["reviews"]
        assert [each["id"] for each in listed] == ([] if key == foreign else [job])
        assert asked(app, "POST", f"/v1/reviews/{job}", json=body, headers=headers).status_code == status
    assert revisions(engine, job)[-1].author == "anna"


def test_the_queue_is_listed_page_by_page(engine: Engine, app: FastAPI) -> None:
    feature = uuid4().hex
    jobs = made(engine, *[WRONG] * 5, feature=feature)
    first = asked(app, "GET", f"/v1/reviews?feature={feature}&limit=3").json()
    assert [each["id"] for each in first["reviews"]] == jobs[:3]
    second = asked(app, "GET", f"/v1/reviews?feature={feature}&limit=3&cursor={first['next']}").json()
    assert ([each["id"] for each in second["reviews"]], second["next"]) == (jobs[3:], None)
    assert first["reviews"][0]["failure"]["kind"] == "wrong"


def test_the_dearest_come_first_and_before_them_those_of_unknown_cost(engine: Engine) -> None:
    feature = uuid4().hex
    free, cheap, unknown, dear, doubtful = made(engine, *[WRONG] * 5, feature=feature)
    calls = [
        (cheap, "answered", "0.01", False), (dear, "answered", "0.5", False), (dear, "answered", "0.5", False),
        (unknown, "answered", None, False), (unknown, "answered", "0.02", False), (doubtful, "failed", None, True),
        (cheap, "failed", None, False),
    ]  # fmt: skip
    with engine.begin() as connection:
        for attempt, (job, state, usd, billed) in enumerate(calls):
            values = {"job": job, "attempt": attempt, "state": state, "usd": usd, "billed": billed}
            connection.execute(
                text(
                    "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash,"
                    " provider, account, model, cost_usd, possibly_billed) values (gen_random_uuid(), :job, 'first',"
                    " :attempt, 1, :state, 'default', 'f', '', '', 'p', 'a', 'm', cast(:usd as numeric), :billed)"
                ),
                values,
            )
        expected = [unknown, doubtful, dear, cheap, free]
        narrowed = Narrowed(feature=feature, order="dearest")
        assert [each.id for each in reviews.queue(connection, "default", narrowed)] == expected
        for place, job in enumerate(expected):
            behind = reviews.queue(connection, "default", narrowed, after=job, limit=2)
            assert [each.id for each in behind] == expected[place + 1 : place + 3]
        clerk, after, claimed = Clerk(name="anna", desk=uuid4().hex), None, []
        for _ in expected:
            after = reviews.claim_next(connection, "default", clerk, narrowed, after=after)
            claimed.append(after)
        assert claimed == expected


def test_two_desks_never_get_the_same_answer(engine: Engine) -> None:
    """Thirty answers, six desks at once: each answer goes to one of them."""
    feature = uuid4().hex
    jobs = made(engine, *[WRONG] * 30, feature=feature)
    got: dict[str, list[int]] = {str(desk): [] for desk in range(6)}

    def work(desk: str) -> None:
        at = Clerk(name="anna", desk=desk)
        while True:
            with engine.begin() as connection:
                found = reviews.claim_next(connection, "default", at, Narrowed(feature=feature))
            if found is None:
                return
            got[desk].append(found)
            with engine.begin() as connection:
                subject = reviews.subject_of(connection, "default", found, at).subject
                reviews.decide(connection, "default", subject, at, reviews.Decision(kind="reject"))

    threads = [threading.Thread(target=work, args=(desk,)) for desk in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(job for found in got.values() for job in found) == jobs


def test_a_claim_is_kept_given_back_and_runs_out(engine: Engine, app: FastAPI) -> None:
    feature = uuid4().hex
    first, second = made(engine, WRONG, WRONG, feature=feature)
    mine = Narrowed(feature=feature)
    with engine.begin() as connection:
        assert reviews.claim_next(connection, "default", ANNA, mine) == first
        assert reviews.claim_next(connection, "default", ANNA, mine) == first, "she has it already"
        assert reviews.claim_next(connection, "default", BERT, mine) == second
        assert reviews.claim_next(connection, "default", ANNA, mine, after=first) == first, "all others are taken"
        assert not reviews.claim(connection, "default", first, BERT)
    conflict = asked(app, "POST", f"/v1/reviews/{first}", json={"decision": "accept"})
    assert conflict.status_code == 409
    assert "anna" in conflict.json()["detail"]
    with engine.begin() as connection:
        reviews.release(connection, first, ANNA)
        assert reviews.claim(connection, "default", first, BERT), "given back"
        connection.execute(
            text("update reviews set claimed_until = clock_timestamp() where job_id = :id"), {"id": first}
        )
        assert reviews.claim(connection, "default", first, ANNA), "run out"


def test_the_command_decides_too(
    engine: Engine, servers: EmbeddedServers, docmill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMILL_DATABASE_URL", servers.database_url)
    for server in ("BROKER", "CACHE"):
        monkeypatch.setenv(f"DOCMILL_{server}_URL", "redis://127.0.0.1:1")
    feature = uuid4().hex
    first, second, third = made(engine, WRONG, WRONG, WRONG, feature=feature)
    listed = docmill("reviews", "--feature", feature, "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in listed] == [first, second, third]
    claimed = docmill("reviews", "next", "--feature", feature, "--author", "cleo", "--json")
    assert json.loads(claimed.stdout)["id"] == first
    assert docmill("reviews", "accept", str(first), "--author", "bert").returncode == 1, "cleo has it"
    refused = docmill("reviews", "correct", str(first), "--set", "total=5", "--author", "cleo")
    assert (refused.returncode, "total: " in refused.stderr) == (1, True), refused
    done = docmill("reviews", "correct", str(first), "--set", "total=4.10", "--author", "cleo", "--json")
    assert json.loads(done.stdout) == {"id": first, "state": "done", "revision": 2}
    assert [(each.value, each.author) for each in revisions(engine, first)][-1] == (RIGHT, "cleo")
    assert docmill("reviews", "accept", str(second)).returncode == 0
    assert docmill("reviews", "reject", str(third), "--note", "a menu").returncode == 0, "the cache is away"
    assert docmill("reviews", "list", "--feature", feature, "--json").stdout == ""


def test_a_decision_is_taken_back(engine: Engine) -> None:
    accepted, rejected, moved = made(engine, WRONG, WRONG, WRONG)

    def decided(job: int, kind: Any) -> None:
        with engine.begin() as connection:
            subject = reviews.subject_of(connection, "default", job, ANNA).subject
            decision = reviews.Decision(kind=kind, value=RIGHT)
            reviews.decide(connection, "default", subject, ANNA, decision)

    for job, kind in ((accepted, "correct"), (rejected, "reject")):
        before = row(engine, "jobs", job)
        decided(job, kind)
        with engine.begin() as connection:
            assert reviews.undo(connection, "default", BERT) is None, "another's"
            assert reviews.undo(connection, "default", ANNA) == job
        after = row(engine, "jobs", job)
        assert (after["state"], after["failure"]) == ("needs_review", before["failure"])
        assert revisions(engine, job)[-1].value == WRONG
    assert [each.author for each in revisions(engine, accepted)] == ["model", "anna", "anna"]
    decided(moved, "reject")
    with engine.begin() as connection:
        connection.execute(text("update jobs set epoch = epoch + 1 where id = :id"), {"id": moved})
        assert reviews.undo(connection, "default", ANNA) is None, "it was retried since"
