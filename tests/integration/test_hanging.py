"""What hangs takes nothing else with it: a table that is locked, requests that wait, a database that is silent."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db.engine import make_engine, without_lock_timeout
from db.statements import statements_of
from tests.integration.test_api_edges import app_of
from web.fleet import Fleet
from workers.stack.servers import EmbeddedServers

MANY = 60
"""More than there are threads for requests."""
SOON_S = 5.0
"""For what must not wait: a loaded machine takes its time, and what hangs would take minutes."""


@pytest.fixture
def patient(servers: EmbeddedServers) -> Iterator[Engine]:
    made = make_engine(servers.database_url, lock_timeout_s=1.0, statement_timeout_s=2.0, pool_timeout_s=1.0)
    yield made
    made.dispose()


@contextmanager
def locked(engine: Engine, *tables: str) -> Iterator[None]:
    with engine.connect() as connection:
        for table in tables:
            connection.execute(text(f"lock table {table} in access exclusive mode"))
        yield
        connection.rollback()


async def together(app: FastAPI, *paths: str) -> list[tuple[str, httpx.Response, float]]:
    """All at once; each with how long it took."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=None) as client:

        async def ask(path: str) -> tuple[str, httpx.Response, float]:
            began = time.monotonic()
            return path, await client.get(path), time.monotonic() - began

        return await asyncio.gather(*map(ask, paths))


def test_health_and_readiness_are_told_while_all_threads_and_connections_hang(engine: Engine) -> None:
    app = app_of(engine)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=None) as client:
            with locked(engine, "jobs", "calls"):
                hanging = [asyncio.create_task(client.get("/v1/jobs")) for _ in range(MANY)]
                await asyncio.sleep(0.5)
                for path in ("/healthz", "/readyz"):
                    found = await asyncio.wait_for(client.get(path), SOON_S)
                    assert found.status_code == 200, found.text
                assert not [task for task in hanging if task.done()]
            return [answer.status_code for answer in await asyncio.gather(*hanging)]

    assert asyncio.run(ask()) == [200] * MANY


def test_whoever_waits_for_a_lock_is_told_to_come_again(engine: Engine, patient: Engine) -> None:
    with locked(engine, "jobs", "calls"):
        found = asyncio.run(together(app_of(patient), *["/v1/jobs"] * MANY))
    for _, answer, _ in found:
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["retry-after"]


def test_figures_are_asked_for_once_however_many_want_them_and_never_for_long(
    engine: Engine, patient: Engine
) -> None:
    app = app_of(patient)
    with locked(engine, "jobs"):
        found = asyncio.run(together(app, *["/metrics"] * MANY, "/healthz"))
    assert {answer.status_code for path, answer, _ in found if path == "/metrics"} == {503}
    assert all(took_s < SOON_S for _, _, took_s in found)
    assert asyncio.run(together(app, "/metrics"))[0][1].status_code == 200, (
        "it is not remembered that they were away"
    )


def test_a_database_that_takes_connections_and_says_nothing_is_away_in_time(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://me:sesame@127.0.0.1:{silent.getsockname()[1]}/none"
        app = app_of(make_engine(address, probe=False))
        found = asyncio.run(together(app, *["/readyz"] * 20, "/healthz"))
    for path, answer, took_s in found:
        assert answer.status_code == (200 if path == "/healthz" else 503)
        assert took_s < SOON_S
        assert "sesame" not in answer.text


def wait_for(event: threading.Event) -> None:
    event.wait(30)


def test_a_broker_that_hangs_is_away_in_time(engine: Engine) -> None:
    never = threading.Event()
    app = app_of(engine, fleet=Fleet(start=lambda: None, check=lambda: wait_for(never)))
    began = time.monotonic()
    ((_, answer, took_s),) = asyncio.run(together(app, "/readyz"))
    never.set()
    assert (answer.status_code, answer.json()["broker"], answer.json()["database"]) == (503, "away", "answers")
    assert took_s < SOON_S
    assert time.monotonic() - began < SOON_S


def test_figures_of_calls_come_from_an_index(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("set local enable_seqscan = off"))
        for name in ("unsent", "under_way", "in_doubt"):
            plan = connection.execute(text(f"explain {statements_of('figures')[name].text}")).scalars().all()
            assert not [line for line in plan if "Seq Scan on calls" in line or "Seq Scan on jobs" in line], plan


def test_what_builds_indexes_waits_for_locks_as_long_as_it_takes(patient: Engine, engine: Engine) -> None:
    autocommit = patient.execution_options(isolation_level="AUTOCOMMIT")
    setting = text("select current_setting('lock_timeout'), current_setting('statement_timeout')")
    with autocommit.connect() as connection:
        before = connection.execute(setting).one()
        assert tuple(before) == ("1s", "2s")
        with without_lock_timeout(connection):
            assert connection.execute(setting).one()[0] == "0"
        assert connection.execute(setting).one() == before
