"""One version, one content: a job ends with the prompt's files that it began with, or is left to who has them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import jobs, transitions
from db.submit import Submission, submit, submit_many
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks import pinning
from tasks.celery.stage import Handler
from tasks.stages.parse import parse
from tasks.stages.step import Stop
from tests.walk import RECEIPT, Walk

ASKED = "New: {{ document }}"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    shutil.copytree(BUILT_IN / "receipt" / "v2", tmp_path / "mine" / "ticket" / "v1")
    return tmp_path / "mine"


@pytest.fixture
def mine(walk: Callable[..., Walk], own: Path, tmp_path: Path) -> Walk:
    """The walk, with prompts of one's own, and a folder that keeps what jobs are pinned to."""
    made = walk()
    made.services = replace(made.services, registry=Registry([own], home=tmp_path / "spool"))
    return made


def edit(own: Path, file: str, content: str) -> None:
    path = own / "ticket" / "v1" / file
    path.write_text(content, encoding="utf-8")
    os.utime(path, ns=(path.stat().st_mtime_ns - 10**10,) * 2)


def row(walk: Walk, job_id: int) -> Any:
    return walk.job(job_id)


def asked(walk: Walk, job_id: int) -> list[Any]:
    with walk.engine.connect() as connection:
        return list(
            connection.execute(
                text(
                    "select c.content_hash, e.request from calls c join exchanges e on e.call_id = c.id"
                    " where c.job_id = :id order by c.started_at"
                ),
                {"id": job_id},
            )
        )


def test_a_job_that_began_ends_with_the_content_that_it_began_with(mine: Walk, own: Path) -> None:
    job = mine.submit(f"{RECEIPT} {uuid4().hex}", prompt="ticket")
    pinned = mine.services.registry.get("ticket").content_hash
    assert mine.step(job)  # context: it is pinned
    assert bytes(row(mine, job).content_hash) == pinned
    edit(own, "user.j2", ASKED)
    edit(own, "output.py", "class Output(")
    mine.services = replace(mine.services, registry=Registry([own], home=mine.services.registry.home))  # a restart
    ended = mine.to_the_end(job)
    assert ended.state == "done"
    [(content_hash, request)] = asked(mine, job)
    assert bytes(content_hash) == pinned
    assert "New: " not in request["messages"][1]["content"]


def test_the_next_job_has_the_new_content_without_a_restart(mine: Walk, own: Path) -> None:
    body = f"{RECEIPT} {uuid4().hex}"
    assert mine.to_the_end(mine.submit(body, prompt="ticket")).state == "done"
    edit(own, "user.j2", ASKED)
    job = mine.submit(body, prompt="ticket")
    assert mine.to_the_end(job).state == "done"
    [(content_hash, request)] = asked(mine, job)
    assert bytes(content_hash) == mine.services.registry.get("ticket").content_hash
    assert request["messages"][1]["content"].startswith("New: ")


@pytest.mark.parametrize("many", [False, True])
def test_a_submit_pins_where_it_knows_the_content(engine: Engine, many: bool) -> None:
    wanted = Submission(prompt="receipt", body=uuid4().bytes, content_hash=b"\1" * 32, tenant=uuid4().hex)
    keyed = replace(wanted, idem_key=uuid4().hex)
    with engine.begin() as connection:
        made = (
            submit_many(connection, [wanted, keyed])
            if many
            else [submit(connection, each) for each in (wanted, keyed)]
        )
        again = submit(connection, replace(keyed, content_hash=b"\2" * 32))
        found = connection.execute(
            text("select id, content_hash from jobs where id = any(:ids)"), {"ids": made}
        ).all()
        assert again in made
        assert {bytes(each.content_hash) for each in found} == {b"\1" * 32}
        old = connection.execute(
            text("select docmill_submit('receipt', :body)"), {"body": uuid4().hex}
        ).scalar_one()
        assert (
            connection.execute(text("select content_hash from jobs where id = :id"), {"id": old}).scalar() is None
        )


def handled(walk: Walk, job_id: int) -> Any:
    """A message's handling at parse, by a worker."""
    found = row(walk, job_id)
    with walk.engine.begin() as connection:
        connection.execute(text("update jobs set wait = 'sent', stage = 'parse' where id = :id"), {"id": job_id})
    return Handler(name="parse", function=parse, lease_s=60).run(walk.services, job_id, found.epoch)


def test_a_worker_without_the_content_leaves_the_job_to_another_and_counts_no_crash(mine: Walk, own: Path) -> None:
    job = mine.submit(f"{RECEIPT} {uuid4().hex}", prompt="ticket")
    for _ in range(2):
        assert mine.step(job)
    has_it = mine.services
    edit(own, "user.j2", ASKED)
    mine.services = replace(has_it, registry=Registry([own]), owner="cpu-without")
    waits = []
    for _ in range(3):
        assert handled(mine, job) == Stop("left: content missing")
        with mine.engine.connect() as connection:
            waits.append(
                connection.execute(
                    text("select extract(epoch from wake_at - clock_timestamp()) from jobs where id = :id"),
                    {"id": job},
                ).scalar_one()
            )
    found = row(mine, job)
    assert (found.state, found.wait, found.crashes, found.redrives) == ("held", "rate", 0, 0)
    assert found.missing["at"] == ["cpu-without"]
    assert float(waits[0]) < float(waits[1]) < float(waits[2])
    assert "of prompt ticket/v1 is in none of" in found.failure["message"]
    assert "cpu-without" in found.failure["message"]
    mine.services = has_it
    handled(mine, job)
    assert mine.to_the_end(job).state == "done"
    assert row(mine, job).missing is None


def test_a_content_that_nobody_has_fails_the_job_in_the_end_and_a_retry_takes_the_files_as_they_are(
    mine: Walk, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = mine.submit(f"{RECEIPT} {uuid4().hex}", prompt="ticket")
    for _ in range(2):
        assert mine.step(job)
    edit(own, "user.j2", ASKED)
    mine.services = replace(mine.services, registry=Registry([own]))
    assert handled(mine, job) == Stop("left: content missing")
    monkeypatch.setattr(pinning, "MISSING_S", 0.0)
    assert handled(mine, job) == Stop("failed: internal")
    found = row(mine, job)
    assert found.state == "failed"
    assert "put those files back" in found.failure["message"]
    with mine.engine.begin() as connection:
        transitions.retry(connection, job)
    assert row(mine, job).content_hash is None
    assert mine.to_the_end(job).state == "done"
    assert bytes(row(mine, job).content_hash) == mine.services.registry.get("ticket").content_hash


def test_of_two_who_pin_the_same_job_at_once_both_work_with_the_first_ones_content(mine: Walk, own: Path) -> None:
    job_id = mine.submit(f"{RECEIPT} {uuid4().hex}", prompt="ticket")
    epoch = row(mine, job_id).epoch
    with mine.engine.connect() as connection:
        seen = jobs.load(connection, job_id, epoch, "context")
    assert seen is not None
    first = pinning.prompt_of(mine.services, seen)
    edit(own, "user.j2", ASKED)
    slower = replace(mine.services, registry=Registry([own], home=mine.services.registry.home))
    assert slower.registry.get("ticket").content_hash != first.content_hash
    assert pinning.prompt_of(slower, seen).content_hash == first.content_hash
