"""Rows that no edge of today would let in, and that stand in the table all the same: each harms its own job at most."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db import dispatch, reports
from db.database import Database
from db.dispatch import SWEEP
from db.submit import Submission, submit
from db.transitions import STATE_OF, WAITS
from docmill.settings import Settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.celery.stage import Handler
from tasks.services import Services
from tasks.stages.context import context
from tasks.stages.parse import parse
from tasks.stages.validate import validate
from tests.integration.test_api_edges import app_of, asked

DEPTHS = (99, 150, 249, 251, 300, 900, 3000)


def nested(depth: int, inner: str = "1") -> str:
    return '{"a": [' * (depth // 2) + inner + "]}" * (depth // 2)


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def job_with(engine: Engine, **columns: str) -> int:
    """A job whose columns were written by somebody else."""
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes, tenant="default"))
        for name, value in columns.items():
            connection.execute(
                text(f"update jobs set {name} = cast(:value as jsonb) where id = :id"), {"value": value, "id": job}
            )
    return job


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_value_however_deep_breaks_no_list(app: FastAPI, engine: Engine, depth: int) -> None:
    job = job_with(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into results (job_id, revision, value, evidence, author)"
                " values (:id, 1, cast(:value as jsonb), cast(:value as jsonb), 'a')"
            ),
            {"id": job, "value": nested(depth)},
        )
    for path in ("/v1/jobs?limit=3&include=value", f"/v1/jobs/{job}"):
        found = asked(app, "GET", path)
        assert found.status_code == 200, found.text
        shown = found.json()
        report = shown if "id" in shown else next(each for each in shown["jobs"] if each["id"] == job)
        if depth <= 100:
            assert report["value"] == json.loads(nested(depth))
        else:
            assert "nested deeper than 100 levels" in found.text
            assert report["value"]["a"][0]["a"], "what can be shown is shown"
    assert asked(app, "GET", "/costs").status_code == 200
    with engine.connect() as connection:
        assert reports.job_report(connection, job).value


def test_a_job_is_found_wherever_a_hand_has_put_it(engine: Engine) -> None:
    """Of these a state and a wait that never go together, too. What waits for room or for a budget has its own time."""
    lost: list[tuple[str, str]] = []
    with engine.connect() as connection:
        for state, wait in product(sorted(set(STATE_OF.values())), WAITS):
            job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes, tenant="default"))
            moved = (
                "update jobs set state = :state, wait = :wait, wake_at = now() - interval '1 hour' where id = :id"
            )
            connection.execute(text(moved), {"state": state, "wait": wait, "id": job})
            found = [name for name, chore in SWEEP.items() if job in chore.find(connection, {})]
            if state != "queued" and wait != "budget" and not found:
                lost.append((state, wait))
        drives = dispatch.run(connection, SWEEP["lost"])
        assert drives
        connection.rollback()
    assert not lost


@pytest.mark.parametrize("number", ["9" * 6000, "-" + "9" * 400 + ".5", "1" + "0" * 5000, "9" * 308])
def test_a_number_however_long_breaks_no_list(app: FastAPI, engine: Engine, number: str) -> None:
    job = job_with(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into results (job_id, revision, value, author) values (:id, 1, cast(:value as jsonb), 'a')"
            ),
            {"id": job, "value": f'{{"total": {number}}}'},
        )
    found = asked(app, "GET", f"/v1/jobs/{job}")
    assert found.status_code == 200
    assert str(found.json()["value"]["total"]).startswith(number[:300])


@pytest.mark.parametrize(
    "params", ["[]", "null", '"x"', "1", nested(3000), nested(300), nested(30), f'{{"a": {"9" * 6000}}}']
)
def test_parameters_that_nobody_could_submit_fail_their_own_job(engine: Engine, params: str) -> None:
    job = job_with(engine, params=params)
    assert stage(engine, job, "validate", validate) == "failed: bad_request"
    with engine.connect() as connection:
        failure = reports.job_report(connection, job).failure
    assert failure is not None
    assert failure["message"].startswith(("params: ", "prompt receipt/v2 has no parameter 'a'"))


def stage(engine: Engine, job: int, name: Any, function: Any, registry: Registry | None = None) -> str:
    """What a worker says of the job's message."""
    services = Services(
        settings=Settings(),
        database=Database(engine),
        registry=registry or Registry(),
        publish=lambda _: None,
        owner="w",
    )
    with engine.begin() as connection:
        connection.execute(
            text("update jobs set wait = 'sent', stage = :stage, version = 'v2' where id = :id"),
            {"id": job, "stage": name},
        )
    return str(getattr(Handler(name=name, function=function, lease_s=60).run(services, job, 0), "word", ""))


@pytest.mark.parametrize("function", [validate, context, parse])
@pytest.mark.parametrize("gone", ["prompt", "version"])
def test_a_job_whose_prompt_was_removed_fails_and_says_what_is_missing_where(
    app: FastAPI, engine: Engine, tmp_path: Path, function: Any, gone: str
) -> None:
    for version in ("v1", "v2"):
        shutil.copytree(BUILT_IN / "receipt" / version, tmp_path / "ticket" / version)
    registry = Registry([tmp_path])
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="ticket", body=uuid4().bytes))
    shutil.rmtree(tmp_path / "ticket" if gone == "prompt" else tmp_path / "ticket" / "v2")
    assert stage(engine, job, function.__name__, function, registry).startswith("failed: ")
    shown = asked(app, "GET", f"/v1/jobs/{job}").json()
    assert shown["state"] == "failed"
    assert "ticket" in shown["failure"]["message"]
    assert str(tmp_path) in shown["failure"]["message"]
    assert job in [each["id"] for each in asked(app, "GET", "/v1/jobs?limit=1").json()["jobs"]]


def test_a_prompt_that_was_removed_is_no_defect_of_the_api(engine: Engine, tmp_path: Path) -> None:
    shutil.copytree(BUILT_IN / "receipt", tmp_path / "ticket")
    services = Services(
        settings=Settings(),
        database=Database(engine),
        registry=Registry([tmp_path]),
        publish=lambda _: None,
        owner="api",
    )
    app = app_of(engine, services=services)
    shutil.rmtree(tmp_path / "ticket")
    for path, body in (("/v1/jobs", {"prompt": "ticket", "document": "x"}), ("/openapi.json", None)):
        found = asked(app, "POST" if body else "GET", path, json=body)
        assert found.status_code == (422 if body else 200), found.text
