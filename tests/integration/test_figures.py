"""/metrics: what is counted, what it costs to ask, and the example alerts, on stacks of all kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from db import budget_admin, figures, keys, webhooks
from db.budget_admin import Wanted
from db.database import Database
from db.engine import make_engine
from db.fleet import see_worker
from db.submit import Submission, submit
from docmill.settings import load_settings
from prompts import Registry
from tasks.services import Services
from tasks.times import StageTimes
from tests.hearing import hear
from tests.integration.conftest import another_database
from tests.integration.test_api_edges import app_of, asked
from tests.rules import SCRAPED_AS, Scrape, evaluate, names_in, scrape
from web.figures import COUNTERS, HISTOGRAMS
from web.figures import figures as told
from workers.stack.servers import EmbeddedServers

RULES = Path(__file__).parents[2] / "docs" / "alerts" / "docmill.rules.yml"
TABLES = (
    "metric_minutes", "metric_totals", "metric_until", "results", "calls", "jobs", "budgets", "model_state", "workers",
    "webhooks",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(servers: EmbeddedServers) -> str:
    return another_database(servers, "figures")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database of its own, with a fleet and nothing else: figures are of all that there is."""
    made = make_engine(url)
    with made.begin() as connection:
        for table in TABLES:
            connection.execute(text(f"delete from {table}"))
        for queue in ("io", "cpu", "quarantine"):
            see_worker(connection, f"{queue}-1", queue, 4)
        figures.count(connection)
    yield made
    made.dispose()


def job(connection: Connection, *, ago_s: float = 0, **columns: Any) -> int:
    """A job that was submitted a while ago, and has ended just now where it has a state."""
    made = submit(connection, Submission(prompt="receipt", body=uuid4().bytes))
    ended = (
        {"wait": None, "finished_at": "now"} if columns.get("state", "queued") not in ("queued", "held") else {}
    )
    changed = {"content_hash": b"x", **ended, **columns}
    names = ", ".join(f"{name} = cast(:{name} as {TYPES.get(name, 'text')})" for name in changed)
    connection.execute(
        text(f"update jobs set created_at = now() - make_interval(secs => :ago_s), {names} where id = :id"),
        {"id": made, "ago_s": ago_s, **changed},
    )
    return made


TYPES = {"finished_at": "timestamptz", "failure": "jsonb", "content_hash": "bytea", "budget_id": "bigint"}


def call(connection: Connection, job_id: int, **columns: Any) -> None:
    made = {
        "id": str(uuid4()), "job_id": job_id, "purpose": "first", "attempt": 0, "try": 1, "state": "answered", "tenant": "default",
        "feature": "", "usr": "", "input_hash": b"", "provider": "p", "account": "a", "model": "small", "input_tokens": 100,
        "cached_tokens": 40, "output_tokens": 10, "latency_ms": 700, "cost_usd": "0.25", "finished_at": "now", **columns,
    }  # fmt: skip
    types = {
        "id": "uuid",
        "cost_usd": "numeric",
        "saved_usd": "numeric",
        "finished_at": "timestamptz",
        "started_at": "timestamptz",
    }
    values = ", ".join(f"cast(:{name} as {types[name]})" if name in types else f":{name}" for name in made)
    connection.execute(text(f"insert into calls ({', '.join(made)}) values ({values})"), made)


def seen(engine: Engine, at: float = 0.0, *, counts: bool = True) -> Scrape:
    with engine.begin() as connection:
        if counts:
            figures.count(connection)
        return scrape(told(connection).decode(), at)


def value(found: Scrape, name: str, **labels: str) -> float | None:
    matching = [each for key, each in found.samples.get(name, {}).items() if labels.items() <= dict(key).items()]
    return sum(matching) if matching else None


def test_what_ended_is_counted_once_however_often_it_is_looked_at(engine: Engine) -> None:
    with engine.begin() as connection:
        first = job(connection, ago_s=3, state="done")
        job(connection, ago_s=40, state="failed", failure='{"kind": "unreadable", "message": "x"}')
        job(connection, state="done", prompt="anything at all", content_hash=None)
        call(connection, first)
        call(
            connection,
            first,
            attempt=1,
            state="failed",
            failure_kind="rate_limited",
            cost_usd=None,
            output_tokens=None,
        )
        call(connection, first, attempt=2, cost_usd=None)
        call(
            connection,
            first,
            attempt=3,
            state="cached",
            cache_layer="l1",
            saved_usd="0.25",
            cost_usd="0",
            latency_ms=None,
        )
    for _ in range(3):
        found = seen(engine)
    assert value(found, "docmill_jobs_ended_total", state="done", prompt="receipt", cause="") == 1
    assert value(found, "docmill_jobs_ended_total", state="failed", prompt="receipt", cause="unreadable") == 1
    assert value(found, "docmill_jobs_ended_total", state="done", prompt="") == 1
    assert value(found, "docmill_calls_total", model="small", state="answered") == 2
    assert value(found, "docmill_calls_total", state="failed", failure="rate_limited") == 1
    assert value(found, "docmill_calls_unpriced_total", model="small") == 1
    assert value(found, "docmill_cost_usd_total", model="small") == 0.25
    assert value(found, "docmill_saved_usd_total", layer="l1") == 0.25
    assert value(found, "docmill_cache_answers_total", layer="l1") == 1
    assert value(found, "docmill_tokens_total", model="small", kind="cached") == 160
    assert value(found, "docmill_call_seconds_bucket", model="small", le="0.5") == 0
    assert value(found, "docmill_call_seconds_bucket", model="small", le="1.0") == 2
    assert value(found, "docmill_call_seconds_sum", model="small") == pytest.approx(1.4)
    assert value(found, "docmill_job_seconds_bucket", prompt="receipt", le="10.0") == 1
    assert value(found, "docmill_job_seconds_count", prompt="receipt") == 2
    with engine.begin() as connection:  # minutes that are over are added up, and nothing of them is lost
        connection.execute(text("update metric_minutes set minute = minute - interval '1 hour'"))
        connection.execute(text("update metric_until set until = now() + interval '3 minutes'"))
        job(connection, state="done")
    later = seen(engine)
    assert value(later, "docmill_jobs_ended_total", state="done", prompt="receipt") == 1
    with engine.begin() as connection:
        assert connection.execute(text("select count(*) from metric_minutes")).scalar() == 0
        connection.execute(text("update metric_until set until = now()"))
        connection.execute(
            text("update jobs set finished_at = now() - interval '1 hour' where id = :id"), {"id": first}
        )


def test_what_is_committed_late_is_counted_too_and_a_retry_takes_nothing_back(engine: Engine) -> None:
    with engine.begin() as slow, engine.begin() as connection:
        job(slow, state="done")
        figures.count(connection)
    with engine.begin() as connection:
        figures.count(connection)
        connection.execute(text("update jobs set state = 'queued', wait = 'unsent', finished_at = null"))
    assert value(seen(engine), "docmill_jobs_ended_total", state="done") == 1


def test_a_call_whose_reply_was_stored_hours_later_is_counted_when_it_was(engine: Engine) -> None:
    with engine.begin() as connection:
        call(connection, job(connection, state="done"), started_at="2026-01-01 00:00+00")
    assert value(seen(engine), "docmill_calls_total", model="small", state="answered") == 1


def test_a_call_in_doubt_is_told_as_such_until_its_answer_comes_and_in_one_state_at_a_time(engine: Engine) -> None:
    def states(found: Scrape) -> dict[str, float]:
        calls = found.samples.get("docmill_calls_total", {})
        return {dict(labels)["state"]: number for labels, number in calls.items()}

    with engine.begin() as connection:
        made = job(connection, state="done")
        for attempt in range(2):
            call(
                connection, made, attempt=attempt, state="in_doubt", failure_kind="in_doubt", possibly_billed=True
            )
    doubted = seen(engine)
    assert (value(doubted, "docmill_calls_in_doubt"), states(doubted)) == (2, {})
    with engine.begin() as connection:
        answered = "update calls set state = 'answered', failure_kind = null, possibly_billed = false, finished_at = now()"
        connection.execute(text(f"{answered} where attempt = 0"))
    resolved = seen(engine)
    assert (value(resolved, "docmill_calls_in_doubt"), states(resolved)) == (1, {"answered": 1})


def test_a_scrape_reads_neither_ended_jobs_nor_calls(engine: Engine) -> None:
    heard: list[str] = []
    with engine.begin() as connection:
        call(connection, job(connection, state="done"))
        figures.count(connection)
    hear(engine, before=lambda sql, _: heard.append(sql), after=lambda *_: None)
    seen(engine, counts=False)
    assert heard
    assert [each for each in heard if " calls " in each and "possibly_billed" not in each] == []
    assert [each for each in heard if "began.at" in each] == [], "nothing of the last hour"


def test_stages_tell_how_long_they_took(engine: Engine) -> None:
    times = StageTimes(database=Database(engine))
    for seconds in (0.02, 0.3, 0.3):
        times.note("parse", seconds)
    times.tell()
    times.note("parse", 90)
    times.tell()
    found = seen(engine)
    assert value(found, "docmill_stage_seconds_bucket", stage="parse", le="0.025") == 1
    assert value(found, "docmill_stage_seconds_bucket", stage="parse", le="0.5") == 3
    assert value(found, "docmill_stage_seconds_count", stage="parse") == 4
    assert value(found, "docmill_stage_seconds_sum", stage="parse") == pytest.approx(90.62)


def rules() -> dict[str, str]:
    found = dict(re.findall(r"- alert: (\w+)\n +expr: (.+)\n", RULES.read_text()))
    assert len(found) == RULES.read_text().count("- alert:")
    return found


def firing(scrapes: list[Scrape]) -> set[str]:
    return {name for name, expression in rules().items() if evaluate(expression, scrapes)}


def test_each_name_in_the_rules_is_told(engine: Engine) -> None:
    with engine.begin() as connection:
        call(connection, job(connection, state="done"), cost_usd=None)
        wanted: dict[str, Any] = {"scope": "all", "subject": "", "span": "day", "policy": "hold"}
        budget_admin.put(connection, Wanted(cap_usd=Decimal(9), **wanted), timezone="UTC")
    found = seen(engine)
    known = {*found.samples, *(f"{name}_total" for name in COUNTERS)}
    for name, expression in rules().items():
        assert names_in(expression) <= known, name
    assert {f"{name}_total" for name in COUNTERS} >= {name for name in found.samples if name.endswith("_total")}
    assert {name.removesuffix("_count") for name in found.samples if name.endswith("_count")} <= {*HISTOGRAMS}


def test_no_alert_holds_on_a_stack_that_works(engine: Engine) -> None:
    before = seen(engine, at=0)
    with engine.begin() as connection:
        for _ in range(20):
            call(connection, job(connection, ago_s=5, state="done"))
        job(connection, ago_s=5)
    assert firing([before, seen(engine, at=600)]) == set()


def test_alerts_hold_where_jobs_are_held_for_a_model(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into model_state (account, model, hold_cause, hold_until) values ('a', 'small', 'auth', now() + interval '1 h')"
            )
        )
        job(connection, state="held", wait="rate", held_for="hold:a/small")
    assert firing([seen(engine)]) == {"DocmillModelHeld"}


def test_alerts_hold_where_a_budget_is_spent(engine: Engine) -> None:
    with engine.begin() as connection:
        wanted: dict[str, Any] = {"scope": "all", "subject": "", "span": "day", "policy": "hold"}
        made = budget_admin.put(connection, Wanted(cap_usd=Decimal(1), **wanted), timezone="UTC")
        connection.execute(text("update budgets set spent_usd = 0.95"))
    assert firing([seen(engine)]) == {"DocmillBudgetNearlySpent"}
    with engine.begin() as connection:
        job(connection, state="held", wait="budget", budget_id=made.id)
    assert firing([seen(engine)]) == {"DocmillBudgetNearlySpent", "DocmillJobsHeldForBudgets"}


def test_a_cap_of_0_is_nothing_to_be_alarmed_by(engine: Engine) -> None:
    """Who stopped something by that knows that nothing of it is left; what waits for it is told."""
    with engine.begin() as connection:
        wanted: dict[str, Any] = {"scope": "feature", "subject": "f", "span": "total", "policy": "hold"}
        made = budget_admin.put(connection, Wanted(cap_usd=Decimal(0), **wanted), timezone="UTC")
    assert firing([seen(engine)]) == set()
    with engine.begin() as connection:
        job(connection, state="held", wait="budget", budget_id=made.id)
    assert firing([seen(engine)]) == {"DocmillJobsHeldForBudgets"}


def test_an_alert_holds_where_nobody_answers(engine: Engine) -> None:
    told = seen(engine)
    labels = frozenset(SCRAPED_AS.items())
    away = Scrape(at=1, samples={"up": {labels: 0.0}})
    forgotten = Scrape(at=1, samples={})
    assert (firing([told]), firing([told, away]), firing([forgotten])) == (
        set(), {"DocmillNotScraped"}, {"DocmillNotScraped"},
    )  # fmt: skip


def test_alerts_hold_where_nothing_moves(engine: Engine) -> None:
    before = seen(engine, at=0)
    with engine.begin() as connection:
        job(connection, ago_s=2000)
    assert firing([before, seen(engine, at=1800)]) == {"DocmillStuck"}
    with engine.begin() as connection:
        connection.execute(text("update workers set seen_at = now() - interval '1 h' where queue = 'cpu'"))
        job(connection, ago_s=1, state="done")
    assert firing([before, seen(engine, at=1800)]) == {"DocmillNoWorkers"}, "it moves"


def test_alerts_hold_where_jobs_and_calls_fail(engine: Engine) -> None:
    """At once, and of what was not there before, too."""
    before = [seen(engine, at=at) for at in (0, 2700)]
    with engine.begin() as connection:
        for _ in range(9):
            job(connection, state="done", prompt="nda")
        failed = [job(connection, state="failed", failure='{"kind": "refused", "message": ""}') for _ in range(3)]
        for each in failed:
            call(connection, each, state="failed", failure_kind="refused", cost_usd=None)
        call(connection, failed[0], attempt=1, cost_usd=None, input_tokens=None)
    after = [seen(engine, at=at) for at in (3600, 7200)]
    assert firing([*before, after[0]]) == {
        "DocmillFailing", "DocmillPromptFailing", "DocmillModelFailing", "DocmillCostUnknown",
    }  # fmt: skip
    assert firing(after[:1]) == set(), "nobody knows how much of it is new"
    assert firing([*before, *after]) == set(), "it was an hour ago"


def test_alerts_hold_where_somebody_has_to_look(engine: Engine) -> None:
    with engine.begin() as connection:
        waits = job(connection, state="needs_review")
        connection.execute(
            text("update jobs set finished_at = now() - interval '2 days' where id = :id"), {"id": waits}
        )
        call(connection, waits, state="in_doubt", possibly_billed=True, cost_usd=None)
        hook = webhooks.add(connection, tenant="t", url="https://example.com/", events=["job.ended"], secret=b"")
        connection.execute(
            text(
                "insert into webhook_deliveries (webhook_id, event, payload, state, due_at)"
                " values (:hook, 'job.ended', '{}', 'failed', null)"
            ),
            {"hook": hook.id},
        )
        troubles = {"costs": {"since": "2026-01-01", "told": "x", "breaks": True}}
        see_worker(connection, "io-1", "io", 4, troubles=troubles)
    assert firing([seen(engine)]) == {
        "DocmillReviewsOld", "DocmillCallsInDoubt", "DocmillWebhooksGivenUp", "DocmillUpkeepBreaks",
    }  # fmt: skip


def test_beyond_loopback_it_takes_a_key_of_the_operators_or_that_of_the_settings(engine: Engine) -> None:
    database = Database(engine)
    services = Services(
        settings=load_settings(metrics_key="scrape-me"), database=database, registry=Registry(),
        publish=lambda _: None, owner="api",
    )  # fmt: skip
    app = app_of(engine, host="0.0.0.0", services=services)
    tenants, operators = (
        database.run(keys.add, "default", scopes=scopes) for scopes in (["submit", "read", "operate"], ["admin"])
    )
    for shown, status in (
        (None, 401), ("Bearer nonsense", 401), (f"Bearer {tenants}", 403), (f"Bearer {operators}", 200), ("Bearer scrape-me", 200),
        ("Bearer scrape-me2", 401), ("Basic scrape-me", 401), ("Bearer ★", 401),
    ):  # fmt: skip
        headers = {} if shown is None else {"authorization": shown.encode()}
        assert asked(app, "GET", "/metrics", headers=headers).status_code == status, shown
