"""What needs somebody: told alike by the overview, by `docmill doctor` and by `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, text

from cli.checks.servers import examine_work
from db import budget_admin
from db.budget_admin import Wanted
from db.concerns import concerns
from db.engine import make_engine
from db.fleet import see_worker
from db.overview import facets, snapshot, tenants
from db.submit import Submission, submit
from docmill.settings import load_settings
from tests.integration.conftest import another_database
from tests.integration.test_api_edges import app_of, asked
from workers.stack.servers import EmbeddedServers

ENDED = "wait = null, epoch = epoch + 1, finished_at = clock_timestamp() - make_interval(mins => :ago)"


@pytest.fixture(scope="module")
def url(servers: EmbeddedServers) -> str:
    return another_database(servers, "overview")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database of its own: what needs somebody is told of all that there is."""
    made = make_engine(url)
    with made.begin() as connection:
        for table in ("results", "calls", "jobs", "budgets", "model_state", "workers"):
            connection.execute(text(f"delete from {table}"))
        for queue in ("io", "cpu", "quarantine"):
            see_worker(connection, f"{queue}-1", queue, 4)
    yield made
    made.dispose()


def made(connection: Connection, change: str = "id = id", *, tenant: str = "default", **values: object) -> int:
    job = submit(connection, Submission(prompt="receipt", body=b"x", tenant=tenant, feature="till"))
    for name, value in {"id": job, "ago": 0, **values}.items():
        change = change.replace(f":{name}", repr(value) if isinstance(value, int) else f"'{value}'")
    connection.execute(text(f"update jobs set {change} where id = {job}".replace("id = id", "epoch = epoch")))
    return job


def seeded(connection: Connection) -> None:
    failed = f'state = \'failed\', failure = \'{{"kind": "unreadable", "message": "page 7 of 9"}}\', {ENDED}'
    for ago in (0, 5, 50, 90):
        made(connection, failed, ago=ago)
    made(connection, failed, tenant="acme")
    for ago in (1, 130):
        made(connection, f"state = 'needs_review', {ENDED}", ago=ago)
    made(connection, f"state = 'done', {ENDED}", ago=59)
    budget = budget_admin.put(
        connection,
        Wanted(cap_usd=Decimal(0), scope="feature", subject="till", span="month", policy="hold"),
        timezone="UTC",
    )
    for _ in range(2):
        made(connection, f"state = 'held', wait = 'budget', need_usd = 1, budget_id = {budget.id}")
    made(connection, "state = 'held', wait = 'rate', held_for = 'hold:acc/large'")
    made(connection, "state = 'held', wait = 'rate', held_for = 'acc/small'")
    made(connection)
    connection.execute(
        text(
            "insert into model_state (account, model, hold_until, hold_cause)"
            " values ('acc', 'large', clock_timestamp() + interval '5 minutes', 'auth')"
        )
    )


def test_each_concern_is_a_sentence_with_its_number(engine: Engine) -> None:
    with engine.begin() as connection:
        seeded(connection)
        found = snapshot(connection, ["default"])
        counted = facets(connection, "default")
    told = [(each.kind, each.jobs, each.passes, each.sentence) for each in concerns(found)]
    assert told == [
        ("model", 1, False, "large of account acc is held: auth; 1 job wait"),
        ("budget", 2, False, "2 jobs are held: budget “till, month” has spent 0 of 0 USD"),
        ("failed", 3, False, "3 jobs failed in the last hour: unreadable"),
        ("review", 2, False, "2 jobs are in review, the oldest since 2 h"),
        ("rate", 1, True, "1 job waits for the limits of acc/small"),
    ]
    assert [(each.jobs, each.message) for each in found.failures] == [(3, "page … of …")]
    assert found.ended("done") == 1
    assert found.ends["done"][0] == 1, "59 minutes ago is the first part of the hour"
    assert sum(found.submitted) == 12
    assert found.unsent == 1
    assert counted == {"failed": 4, "needs_review": 2, "held": 4, "running": 0, "queued": 1}
    assert found.at - (found.oldest or found.at) < timedelta(minutes=1)


def test_a_tenant_sees_its_own_work_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        seeded(connection)
        assert tenants(connection) == ["acme", "default"]
        found = snapshot(connection, ["acme"])
        whole = snapshot(connection, tenants(connection))
    assert [each.kind for each in concerns(found)] == ["model", "failed"]
    assert sum(each.jobs for each in found.failures) == 1
    assert sum(each.jobs for each in whole.failures) == 4


def test_a_fleet_without_workers_is_told_of(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("delete from workers where queue <> 'cpu'"))
        made(connection)
        first = concerns(snapshot(connection, ["default"]))[0]
    assert first.sentence == "no io and no quarantine worker was seen for 30 s; 1 job on the way"


def test_command_metrics_and_page_say_the_same(engine: Engine, url: str) -> None:
    with engine.begin() as connection:
        seeded(connection)
    told = examine_work(load_settings(database_url=url))
    assert "4 jobs failed in the last hour: unreadable; 2 jobs are in review" in told
    app = app_of(engine)
    figures = asked(app, "GET", "/metrics").text
    assert 'docmill_concern_jobs{kind="failed"} 4.0' in figures
    assert 'docmill_concerns{kind="upkeep"} 0.0' in figures
    assert "docmill_review_age_seconds 78" in figures
    page = asked(app, "GET", "/").text
    assert "3 jobs failed in the last hour: unreadable" in page
    assert "2 jobs are in review, the oldest since 2 h" in page
    assert "12 jobs" not in page
