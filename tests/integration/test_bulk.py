"""Many jobs at once: tried again, or cancelled, by a filter or by their ids, with the price said before."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import typer
from sqlalchemy import Engine, text

from db import bulk
from db.database import Database
from db.submit import Submission, submit, submit_fresh
from tests.command import Command
from workers.stack.servers import EmbeddedServers

Made = Callable[..., int]


@pytest.fixture
def feature(servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    return uuid4().hex


@pytest.fixture
def make(engine: Engine, feature: str) -> Made:
    """A job that ended so, and what it cost; its reply is kept."""

    def made(state: str, kind: str | None = None, usd: str | None = None, prompt: str = "") -> int:
        with engine.begin() as connection:
            wanted = Submission(prompt=prompt or f"p-{feature}", version="v1", body=uuid4().bytes, feature=feature)
            job = submit(connection, wanted)
            failure = None if kind is None else json.dumps({"kind": kind, "message": "[red]x[/x]"})
            values = {"id": job, "state": state, "failure": failure, "open": state == "queued"}
            connection.execute(
                text(
                    "update jobs set state = :state, wait = case when :open then wait end, stage = 'parse',"
                    " failure = cast(:failure as jsonb), finished_at = case when :open then null else now() end"
                    " where id = :id"
                ),
                values,
            )
            if usd is not None:
                connection.execute(
                    text(
                        "with made as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr,"
                        " input_hash, provider, account, model, cost_usd) values (gen_random_uuid(), :id, 'first', 0, 1,"
                        " 'answered', 'default', '', '', '', 'p', 'a', 'm', :usd) returning id)"
                        " insert into exchanges (call_id, request, reply) select id, '{}', '{}' from made"
                    ),
                    {"id": job, "usd": Decimal(usd)},
                )
        return job

    return made


def states(engine: Engine, feature: str) -> dict[int, str]:
    with engine.connect() as connection:
        found = text("select id, state from jobs where feature = :feature")
        return {row.id: row.state for row in connection.execute(found, {"feature": feature})}


def test_the_price_of_a_retry_is_said_before(engine: Engine, make: Made) -> None:
    make("done", usd="0.5")
    paid, wrong = make("failed", "poison", "0.1"), make("failed", "malformed", "0.2")
    unread, never = make("failed", "unreadable"), make("failed", "deadline", prompt=f"q-{uuid4()}")
    with engine.connect() as connection:
        again = bulk.price_of_retry(connection, [paid, wrong, unread, never], fresh=False)
        fresh = bulk.price_of_retry(connection, [paid, wrong], fresh=True)
        nothing = bulk.price_of_retry(connection, [], fresh=False)
    assert (again.jobs, again.free, again.usd, again.unknown) == (4, 1, Decimal("0.7"), 1)
    assert again.told == (
        "4 jobs: 1 have replies that are paid for, and cost nothing; 2 cost about 0.700000 USD;"
        " 1 cost nobody knows how much"
    )
    assert (fresh.free, fresh.usd, fresh.unknown) == (0, Decimal("0.3"), 0)
    assert nothing.told == "no job"


def test_a_retry_by_cause_touches_those_alone(engine: Engine, make: Made, docmill: Command, feature: str) -> None:
    poison = [make("failed", "poison", "0.1") for _ in range(3)]
    rest = {
        make("failed", "unreadable"): "failed",
        make("needs_review", "wrong"): "needs_review",
        make("done"): "done",
    }
    found = docmill("retry", "--feature", feature, "--cause", "poison")
    assert found.returncode == 0, found.stderr
    assert "3 jobs: 3 have replies that are paid for, and cost nothing" in found.stderr
    assert found.stdout == "3 jobs are on their way again\n"
    assert states(engine, feature) == {**dict.fromkeys(poison, "queued"), **rest}


def test_reviewed_jobs_are_made_anew_and_done_ones_only_if_they_are_named(
    engine: Engine, make: Made, docmill: Command, feature: str
) -> None:
    failed, reviewed, done = make("failed", "wrong"), make("needs_review", "wrong"), make("done", usd="0.1")
    told = docmill("retry", "--feature", feature, "--fresh", "--yes", "--json")
    assert {json.loads(line)["of"] for line in told.stdout.splitlines()} == {failed, reviewed}
    told = docmill("retry", str(done), str(failed), "999999999999", "--fresh", "--json")
    assert told.returncode == 1
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line.get("of") for line in lines] == [done, failed, None]
    assert "there is no job 999999999999" in lines[2]["failure"]["message"]
    assert len(states(engine, feature)) == 7


def test_a_filter_asks_each_job_afresh_once_and_the_new_one_stands_for_it(
    engine: Engine, make: Made, docmill: Command, feature: str
) -> None:
    first, second, again = make("failed", "wrong"), make("failed", "malformed"), ("--feature", feature, "--fresh")

    def bought(*arguments: str) -> dict[int, int]:
        told = docmill("retry", *arguments, "--json")
        assert told.returncode == 0, told.stderr
        return {line["of"]: line["id"] for line in map(json.loads, told.stdout.splitlines())}

    made = bought(*again)
    assert set(made) == {first, second}
    assert bought(*again) == {}, "nothing is bought twice"
    assert "2 more were asked afresh before" in docmill("retry", *again).stderr
    assert bought("--feature", feature) == {}, "nor tried again, as the new ones stand for them"
    with engine.begin() as connection:
        failed = text("update jobs set state = 'failed', wait = null, finished_at = now() where id = :id")
        connection.execute(failed, {"id": made[first]})
    third = make("failed", "poison")
    assert set(bought(*again)) == {made[first], third}, "the new one that failed, and what failed since"
    assert set(bought(str(first), "--fresh")) == {first}, "what is named is meant"


def test_two_who_ask_afresh_by_a_filter_at_once_buy_each_job_once(engine: Engine, make: Made) -> None:
    old, database = make("failed", "wrong"), Database(engine)
    with ThreadPoolExecutor(1) as pool, engine.connect() as first:
        made = submit_fresh(first, old, once=True)
        second = pool.submit(bulk.retry, database, [old], fresh=True, once=True)
        waits = text("select from pg_locks where not granted and locktype = 'transactionid'")
        while first.execute(waits).first() is None:
            assert not second.done()
        first.commit()
        done = second.result(10)
    assert (done.made, "asked afresh already" in done.refused[old]) == ({}, True)
    named = bulk.retry(database, [old], fresh=True)
    assert set(named.made) == {old} != {made.id}


def test_open_jobs_are_cancelled_by_a_filter_and_ended_ones_are_not_meant(
    engine: Engine, make: Made, docmill: Command, feature: str
) -> None:
    open_jobs, done = [make("queued") for _ in range(4)], make("done")
    found = docmill("cancel", "--feature", feature, "--yes")
    assert found.stdout == "4 jobs are cancelled\n", found.stderr
    assert states(engine, feature) == {**dict.fromkeys(open_jobs, "cancelled"), done: "done"}
    refused = docmill("cancel", str(done), str(open_jobs[0]))
    assert (refused.returncode, refused.stderr.count("there is nothing to cancel")) == (1, 2)


@pytest.mark.parametrize("command", ["retry", "cancel"])
def test_nobody_means_everything(docmill: Command, feature: str, command: str) -> None:
    for arguments, told in (
        ((), "which jobs? give their ids, or a filter"),
        (("7", "--run", "3"), "give ids, or a filter (--run), and not both"),
        (("--cause", "poisn"), "did you mean poison?"),
        (("--state", "faild"), "did you mean failed?"),
    ):
        found = docmill(command, *arguments)
        assert (found.returncode, found.stdout) == (1, "")
        assert told in found.stderr


def test_somebody_at_a_terminal_is_asked(
    engine: Engine, make: Made, docmill: Command, feature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make("failed", "poison") for _ in range(2)]
    asked: list[str] = []

    def no(question: str, **_: Any) -> None:
        asked.append(question)
        raise typer.Abort

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", no)
    assert docmill("retry", "--feature", feature).returncode == 1
    assert "2 jobs:" in asked[0]
    assert states(engine, feature) == dict.fromkeys(jobs, "failed")
