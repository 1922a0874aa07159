"""Work that no worker could do is refused while somebody is there to be told."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import fleet
from tests.integration.test_api_edges import app_of, asked

WHY = "prompt receipt/v2: model small is not configured: add [models.small] to docmill.toml"


@pytest.fixture
def seen(engine: Engine) -> Iterator[None]:
    """Two io workers, neither of which can answer receipts."""
    names = ("io-1@unready", "io-2@unready")
    with engine.begin() as connection:
        connection.execute(text("delete from workers"))  # of other tests, seen a moment ago
        for name in names:
            fleet.see_worker(connection, name, "io", 4, unready={"receipt/v2": WHY})
    yield
    with engine.begin() as connection:
        for name in names:
            fleet.forget_worker(connection, name)


def submit(engine: Engine, version: str) -> tuple[int, str]:
    body = {"prompt": "receipt", "version": version, "document": f"TEA {uuid4().hex}"}
    answer = asked(app_of(engine), "POST", "/v1/jobs", json=body)
    return answer.status_code, answer.text


def test_what_no_worker_can_answer_is_refused_with_what_to_do(engine: Engine, seen: None) -> None:
    with engine.begin() as connection:
        others = {name: why for name, why in (fleet.unready(connection) or {}).items() if why != WHY}
    assert others == {}
    status, told = submit(engine, "v2")
    assert (status, WHY in told) == (422, True)
    assert submit(engine, "v1")[0] == 202


def test_one_worker_that_can_is_enough(engine: Engine, seen: None) -> None:
    with engine.begin() as connection:
        fleet.see_worker(connection, "io-2@unready", "io", 4)
    assert submit(engine, "v2")[0] == 202
