"""A wait that a provider tells holds for an hour at most, then one job tries; and whoever ends a hold ends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import dispatch, model_state
from db.dispatch import SWEEP
from docmill.llm.limiter import RedisLimiter
from docmill.settings import load_settings
from tests.command import Command
from tests.integration.test_hostile_replies import ANSWER, before, error, reply, response
from tests.walk import RECEIPT, Walk
from workers.stack.servers import EmbeddedServers

__all__ = ["before"]

GOOD = response(reply(ANSWER))
WAITS = ("1e300", "100000000000", "1767225600000000", "inf", "nan", "-5", "9" * 400, "99999-01-01T00:00:00Z", "0")


@pytest.fixture(autouse=True)
def _apart(owner: Engine) -> Iterator[None]:
    clear = "truncate jobs, calls, exchanges, flights, drives, model_state cascade"
    with owner.begin() as connection:
        connection.execute(text(clear))
    yield
    with owner.begin() as connection:
        connection.execute(text(clear))


@pytest.fixture
def limited(before: Callable[[bytes], Walk], servers: EmbeddedServers) -> Iterator[Callable[[bytes], Walk]]:
    """A walk before a provider with that answer, with limits that a server keeps."""
    limiter = RedisLimiter(servers.cache_url)

    def make(answer: bytes) -> Walk:
        walk = before(answer)
        return Walk(walk.engine, replace(walk.services, limiter=limiter))

    yield make
    limiter.close()


def state(walk: Walk) -> Any:
    return walk.query(
        "select hold_cause, extract(epoch from hold_until - clock_timestamp())::float as hold_s from model_state"
    )


def wakes_in(walk: Walk, job_id: int) -> float:
    (row,) = walk.query(
        "select extract(epoch from wake_at - clock_timestamp())::float as s from jobs where id = :id", id=job_id
    )
    return float(row.s)


@pytest.mark.parametrize("told", WAITS)
@pytest.mark.parametrize("status", [429, 402, 503])
def test_a_wait_that_cannot_be_meant_was_not_told(
    limited: Callable[[bytes], Walk], told: str, status: int
) -> None:
    walk = limited(response(error("no"), status, {"retry-after": told}))
    job_id = walk.submit()
    walk.step(job_id)
    walk.step(job_id)
    assert wakes_in(walk, job_id) <= 3600
    key = walk.services.settings.models.get("sim-small").limit_key
    assert walk.services.limiter.held_s(key) <= 5
    assert all(0 < row.hold_s <= 3600 for row in state(walk))


def test_a_believable_wait_holds_for_an_hour_at_most(limited: Callable[[bytes], Walk]) -> None:
    walk = limited(response(error("no"), 429, {"retry-after": "80000"}))
    job_id = walk.submit()
    walk.step(job_id)
    walk.step(job_id)
    assert 3500 < wakes_in(walk, job_id) <= 3600
    key = walk.services.settings.models.get("sim-small").limit_key
    held_s = walk.services.limiter.held_s(key)
    assert 3500 < held_s <= 3600
    walk.services.limiter.release(key)


def at_complete(walk: Walk) -> int:
    job_id = walk.submit(f"{RECEIPT}\n{uuid4()}")
    while walk.job(job_id).stage != "complete":
        walk.step(job_id)
    return job_id


def over(walk: Walk) -> None:
    """The hold's time."""
    with walk.engine.begin() as connection:
        connection.execute(text("update model_state set hold_until = clock_timestamp() - interval '1 s'"))


def sweep(walk: Walk) -> None:
    with walk.engine.begin() as connection:
        for chore in SWEEP.values():
            dispatch.run(connection, chore)


def waits(walk: Walk, jobs: list[int]) -> list[str | None]:
    return [walk.job(job).wait for job in jobs]


def held(walk: Walk, number: int = 4, *, cause: str = "quota_exhausted") -> list[int]:
    """Jobs that met a hold."""
    with walk.engine.begin() as connection:
        model_state.hold(connection, walk.services.settings.models.get("sim-small"), for_s=600, cause=cause)
    jobs = [at_complete(walk) for _ in range(number)]
    for job in jobs:
        walk.step(job)
    assert waits(walk, jobs) == ["rate"] * number
    return jobs


def test_after_a_hold_one_job_tries_and_its_answer_frees_the_others(before: Callable[[bytes], Walk]) -> None:
    walk = before(GOOD)
    jobs = held(walk)
    sweep(walk)
    assert waits(walk, jobs) == ["rate"] * 4
    over(walk)
    sweep(walk)
    assert waits(walk, jobs) == ["unsent", "rate", "rate", "rate"]
    with walk.engine.begin() as connection:  # another one comes by at the same moment, and takes the probe
        assert model_state.take_probe(connection, walk.services.settings.models.get("sim-small"), for_s=60)
    walk.step(jobs[0])
    assert waits(walk, jobs) == ["rate"] * 4
    assert not walk.calls(jobs[0])
    over(walk)
    sweep(walk)
    walk.step(jobs[0])
    assert walk.calls(jobs[0])[0].state == "answered"
    sweep(walk)
    assert waits(walk, jobs[1:]) == ["unsent"] * 3
    assert [row.hold_cause for row in state(walk)] == [None]


def test_a_try_that_fails_holds_all_again(before: Callable[[bytes], Walk]) -> None:
    walk = before(response(error("You exceeded your current quota", code="insufficient_quota"), 429))
    jobs = held(walk)
    over(walk)
    sweep(walk)
    walk.step(jobs[0])
    assert waits(walk, jobs) == ["rate"] * 4
    assert state(walk)[0].hold_s > 60
    sweep(walk)
    assert waits(walk, jobs) == ["rate"] * 4


def test_a_try_with_a_wrong_key_costs_no_job(before: Callable[[bytes], Walk]) -> None:
    walk = before(response(error("Incorrect API key provided", code="invalid_api_key"), 401))
    jobs = held(walk, cause="auth")
    over(walk)
    sweep(walk)
    walk.step(jobs[0])
    assert waits(walk, jobs) == ["rate"] * 4


def test_a_process_that_begins_has_its_key_tried(before: Callable[[bytes], Walk]) -> None:
    walk = before(GOOD)
    jobs = held(walk, cause="auth")
    with walk.engine.begin() as connection:
        model_state.probe_soon(connection)
    sweep(walk)
    assert waits(walk, jobs) == ["unsent", "rate", "rate", "rate"]


def test_release_ends_whatever_holds(
    limited: Callable[[bytes], Walk],
    engine: Engine,
    servers: EmbeddedServers,
    docmill: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walk = limited(response(error("no"), 429, {"retry-after": "3000"}))
    model = walk.services.settings.models.get("sim-small")
    first = at_complete(walk)
    walk.step(first)
    others = [at_complete(walk) for _ in range(2)]
    for job in others:
        walk.step(job)
    assert waits(walk, [first, *others]) == ["rate"] * 3
    for name, value in (
        ("DATABASE_URL", engine.url.render_as_string(hide_password=False)),
        ("BROKER_URL", servers.broker_url),
        ("CACHE_URL", servers.cache_url),
        ("LLM_URL", model.base_url),
    ):
        monkeypatch.setenv(f"DOCMILL_{name}", value)
    assert "rate_limited" in docmill("models").stdout
    assert docmill("models", "release", "sim-small").returncode == 0
    assert walk.services.limiter.held_s(model.limit_key) == 0
    sweep(walk)
    assert waits(walk, [first, *others]) == ["unsent"] * 3
    assert "rate_limited" not in docmill("models").stdout
    assert docmill("models", "hold", "sim-small", "--for", "2h").returncode != 0
    assert docmill("models", "hold", "sim-small", "--for", "10m").returncode == 0
    assert "held by an operator" in docmill("models", "--json").stdout
    assert docmill("models", "release", "sim-small").returncode == 0


def test_what_a_model_rejected_is_forgotten_and_how_it_counts_is_kept(
    engine: Engine, servers: EmbeddedServers, docmill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = engine.url.render_as_string(hide_password=False)
    for name, value in (("DATABASE", url), ("BROKER", servers.broker_url), ("CACHE", servers.cache_url)):
        monkeypatch.setenv(f"DOCMILL_{name}_URL", value)
    monkeypatch.setenv("DOCMILL_LLM_URL", "http://127.0.0.1:9")
    model = load_settings().models.get("sim-small")
    met = {"images": False, "drop": ["temperature"], "token_ratio": 1.25}
    with engine.begin() as connection:
        model_state.learn(connection, model, lambda _: met)
    assert json.loads(docmill("models", "forget", "sim-small", "--json").stdout)["forgotten"] is True
    with engine.connect() as connection:
        assert model_state.state_of(connection, model).learned == {"token_ratio": 1.25}
