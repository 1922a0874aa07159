"""Webhooks: what is written where events happen, and what comes of it, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from standardwebhooks import Webhook as Verifier

from db import budget_admin, keys, runs, transitions, webhooks
from db.budget_admin import Wanted
from db.database import Database
from db.engine import make_engine
from db.submit import Submission, submit, submit_fresh
from docmill.errors import WebhookUnknown
from docmill.llm.loop import LoopThread
from docmill.net.sealing import Seal, new_key
from docmill.net.webhook import Teller, new_secret, shown_secret
from docmill.settings import load_settings
from prompts import Registry
from tasks.services import Services, Telling
from tasks.upkeep import deliveries
from tasks.upkeep.deliveries import Courier
from tasks.upkeep.troubles import Troubles
from tests.command import Command
from tests.integration.conftest import another_database
from tests.integration.test_api_edges import app_of, asked
from tests.receiver import Receiver, receiving
from workers.stack.servers import EmbeddedServers

KEY = new_key()
EVERY = list(webhooks.EVENTS)


@pytest.fixture(scope="module")
def url(servers: EmbeddedServers) -> str:
    return another_database(servers, "webhooks")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """One of its own: whoever sends, sends everything that is due."""
    engine = make_engine(url)
    with engine.begin() as connection:
        for table in ("webhooks", "webhook_runs", "budgets"):
            connection.execute(text(f"delete from {table}"))
    yield Database(engine)
    engine.dispose()


def job(database: Database, *, tenant: str = "default", run: int | None = None) -> int:
    with database.work() as connection:
        made = submit(connection, Submission(prompt="receipt", body=uuid4().bytes, tenant=tenant))
        connection.execute(text("update jobs set run_id = :run where id = :id"), {"run": run, "id": made})
    return made


def ends(connection: Any, job_id: int, state: str = "done") -> None:
    connection.execute(
        text("update jobs set wait = null, state = :state, finished_at = now() where id = :id"),
        {"id": job_id, "state": state},
    )


def added(database: Database, address: str = "https://example.com/", **options: Any) -> tuple[int, Verifier]:
    secret = new_secret()
    wanted: dict[str, Any] = {"tenant": "default", "url": address, "events": EVERY, **options}
    made = database.run(webhooks.add, secret=Seal(KEY).close(secret), **wanted)
    return made.id, Verifier(shown_secret(secret))


def events(database: Database, webhook: int) -> list[tuple[str, Any]]:
    found = database.run(webhooks.deliveries, webhook, limit=100)
    return [(each.event, each.payload["data"]) for each in reversed(found)]


@contextmanager
def sending(database: Database, *, hosts: str = "127.0.0.1", key: str | None = KEY) -> Iterator[Courier]:
    """A process that sends."""
    settings = load_settings(webhook_hosts=hosts, webhook_key=key)
    with LoopThread() as loop:
        teller = Teller(private_hosts=settings.private_webhook_hosts, deadline_s=1.0)
        services = Services(
            settings=settings, database=database, registry=Registry(), publish=lambda _: None, owner="test",
            telling=Telling(loop=loop, teller=teller),
        )  # fmt: skip
        yield Courier(services=services, troubles=Troubles())
        loop.run(teller.close())


def states(database: Database) -> dict[str, int]:
    with database.work() as connection:
        rows = connection.execute(text("select state, count(*) from webhook_deliveries group by state"))
        return {row[0]: row[1] for row in rows}


def until(database: Database, couriers: list[Courier], wanted: dict[str, int], within_s: float = 30) -> None:
    give_up_at = time.monotonic() + within_s
    while states(database) != wanted:
        assert time.monotonic() < give_up_at, states(database)
        for courier in couriers:
            courier.look()
        with database.work() as connection:  # nobody wants to wait for the pauses
            connection.execute(
                text(
                    "update webhook_deliveries set due_at = now() where failure is not null and due_at is not null"
                )
            )
        time.sleep(0.01)


def test_an_end_and_its_deliveries_are_committed_together(database: Database) -> None:
    webhook, _ = added(database)
    of_ends, _ = added(database, events=["job.ended"])
    stranger, _ = added(database, tenant="acme")
    first, second, run = job(database), job(database), None
    with database.work() as connection:
        ends(connection, first)
        connection.rollback()
    assert events(database, webhook) == []
    with database.work() as connection:
        ends(connection, first)
        ends(connection, second, "needs_review")
    database.run(transitions.decide, second, "done")
    shown: list[tuple[str, Any]] = [
        ("job.ended", {"job_id": first, "run_id": run, "state": "done"}),
        ("job.ended", {"job_id": second, "run_id": run, "state": "needs_review"}),
        ("job.needs_review", {"job_id": second, "run_id": run, "state": "needs_review"}),
        ("job.reviewed", {"job_id": second, "run_id": run, "state": "done"}),
    ]
    assert events(database, webhook) == shown
    assert events(database, of_ends) == shown[:2]
    assert events(database, stranger) == []


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_each_way_to_end_is_told_and_again_after_a_retry(database: Database, state: str) -> None:
    webhook, _ = added(database, events=["job.ended"])
    made = job(database)
    for _ in range(2):
        if state == "cancelled":
            database.run(transitions.cancel, made)
            break
        with database.work() as connection:
            connection.execute(
                text("update jobs set deadline_at = now() - interval '1 s' where id = :id"), {"id": made}
            )
            transitions.SQL["fail_overdue"].count(connection, {"ids": [made]})
        with database.work() as connection:
            connection.execute(text("update jobs set deadline_at = null where id = :id"), {"id": made})
            transitions.retry(connection, made)
    found = events(database, webhook)
    assert [data["state"] for _, data in found] == [state] * (1 if state == "cancelled" else 2)


def test_a_run_is_told_of_once_all_of_it_has_ended(database: Database) -> None:
    webhook, _ = added(database, events=["run.ended"])
    with database.work() as connection:
        wanted: dict[str, Any] = {"tenant": "default", "name": "r", "cause": "api", "submit": {}}
        expecting = runs.begin(connection, **wanted, expected=2).id
        closing = runs.begin(connection, **wanted).id
    first, second, other = job(database, run=expecting), job(database, run=expecting), job(database, run=closing)
    for made in (first, other):
        with database.work() as connection:
            ends(connection, made)
        database.run(webhooks.tell_of_runs)
    assert events(database, webhook) == []
    with database.work() as connection:
        ends(connection, second, "failed")
        # Whoever looks while this is not committed yet sees neither the end nor its mark.
        database.run(webhooks.tell_of_runs)
    database.run(runs.close, closing)
    for _ in range(2):
        database.run(webhooks.tell_of_runs)
    told = sorted(data["run_id"] for _, data in events(database, webhook))
    assert told == sorted([expecting, closing])


def test_what_is_asked_afresh_is_none_of_the_documents_that_a_run_expects(database: Database) -> None:
    webhook, _ = added(database, events=["run.ended"])

    def all_end(*made: int) -> list[int]:
        for each in made:
            with database.work() as connection:
                ends(connection, each, "failed")
        database.run(webhooks.tell_of_runs)
        return [data["run_id"] for _, data in events(database, webhook)]

    def state(run: int) -> str:
        with database.work() as connection:
            return runs.state_of(runs.find(connection, run), runs.progress(connection, run).counts)

    with database.work() as connection:
        wanted: dict[str, Any] = {"tenant": "default", "name": "r", "cause": "api", "submit": {}}
        filled = runs.begin(connection, **wanted, expected=3).id
        closed = runs.begin(connection, **wanted, expected=3).id
    for run in (closed, filled):
        first = job(database, run=run)
        assert all_end(first, job(database, run=run)) == []
        again = database.run(submit_fresh, first).id
        assert all_end(again) == [], "the third document is still to come"
        assert state(run) == "running"
    database.run(runs.close, closed)
    assert all_end() == [closed], "three jobs of two documents were not all that was expected"
    assert all_end(job(database, run=filled)) == [closed, filled]
    assert state(filled) == "ended"
    assert all_end(database.run(submit_fresh, again).id) == [closed, filled, filled], "it ran again"


def test_a_budget_is_told_of_to_its_tenant_and_to_the_operator(database: Database) -> None:
    operators, _ = added(database, tenant="ops", events=["budget.reached"], of_operator=True)
    acmes, _ = added(database, tenant="acme", events=["budget.reached"])
    with database.work() as connection:
        for scope, subject in (("tenant", "acme"), ("all", ""), ("tenant", "other")):
            wanted: dict[str, Any] = {"span": "day", "policy": "hold", "cap_usd": Decimal(1)}
            budget_admin.put(connection, Wanted(scope=scope, subject=subject, **wanted), timezone="UTC")  # type: ignore[arg-type]
        connection.execute(text("update budgets set warned = 80"))
    with database.work() as connection:
        connection.execute(text("update budgets set warned = 100 where subject = 'acme'"))
        connection.execute(text("update budgets set warned = 100"))
    assert [data["percent"] for _, data in events(database, operators)] == [80, 80, 80, 100, 100, 100]
    assert [(data["state"], data["percent"]) for _, data in events(database, acmes)] == [
        ("nearly_spent", 80),
        ("spent", 100),
    ]
    _, data = events(database, acmes)[0]
    assert set(data) == {"budget_id", "state", "percent", "since"}


def test_each_end_is_delivered_though_receivers_and_senders_fail(database: Database) -> None:
    """Forty ends at a receiver that is away, then broken, then slow; a sender dies with what it had taken."""
    with receiving(Receiver()) as receiver:
        pass  # its port is known, and nobody is there
    webhook, verifier = added(database, receiver.url, events=["job.ended"])
    made = [job(database) for _ in range(40)]
    with database.work() as connection:
        for each in made:
            ends(connection, each)
    with sending(database) as courier, sending(database) as other:
        take_some(database, limit=16)  # by a process that dies with them
        give_up_at = time.monotonic() + 20
        while "cannot be reached" not in str(failures(database)):
            assert time.monotonic() < give_up_at
            courier.look()
        # They were another's for half a minute: now they are anybody's.
        with database.work() as connection:
            connection.execute(text("update webhook_deliveries set due_at = now()"))
        receiver.answer = broken_and_slow
        with receiving(receiver):
            until(database, [courier, other], {"delivered": 40})
    assert receiver.refused > 0
    assert set(receiver.told()) == {("job.ended", each) for each in made}
    messages: dict[str, int] = {}
    for taken in receiver.taken:
        said: Any = verifier.verify(taken.body, dict(taken.headers))
        assert said["data"] == {"job_id": said["data"]["job_id"], "run_id": None, "state": "done"}
        messages.setdefault(taken.headers["webhook-id"], said["data"]["job_id"])
    assert sorted(messages.values()) == made, "twice is the same message"
    tries = [each.tries for each in database.run(webhooks.deliveries, webhook, limit=100)]
    assert max(tries) > 1


def test_decisions_about_a_runs_answers_and_its_close_do_not_end_it_again(database: Database) -> None:
    webhook, _ = added(database, events=["run.ended"])
    with database.work() as connection:
        run = runs.begin(connection, tenant="default", name="r", cause="api", submit={}, expected=2).id
    doubted = [job(database, run=run) for _ in range(2)]
    for state in ("needs_review", "done"):
        for each in doubted:
            with database.work() as connection:
                ends(connection, each, state)
            database.run(webhooks.tell_of_runs)
    database.run(runs.close, run)
    database.run(webhooks.tell_of_runs)
    assert [data["run_id"] for _, data in events(database, webhook)] == [run]


def test_a_webhook_that_is_being_removed_breaks_no_jobs_end(database: Database) -> None:
    webhook, _ = added(database)
    ending = job(database)
    with ThreadPoolExecutor() as pool:
        with database.work() as connection:
            connection.execute(text("delete from webhooks where id = :id"), {"id": webhook})

            def end() -> None:
                with database.work() as other:
                    ends(other, ending)

            ended = pool.submit(end)
            wait_until(lambda: waiting(database))
        ended.result()
    with database.work() as connection:
        assert connection.execute(text("select count(*) from webhook_deliveries")).scalar_one() == 0


def waiting(database: Database) -> bool:
    with database.work() as connection:
        locks = text(
            "select exists (select from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock')"
        )
        return bool(connection.execute(locks).scalar_one())


def wait_until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_webhook_goes_with_all_that_it_was_to_be_told(database: Database) -> None:
    webhook, _ = added(database)
    with database.work() as connection:
        ends(connection, job(database))
    with database.work(atomic=False) as connection:
        webhooks.remove(connection, webhook)
    with database.work() as connection:
        assert connection.execute(text("select count(*) from webhook_deliveries")).scalar_one() == 0
    with pytest.raises(WebhookUnknown), database.work(atomic=False) as connection:
        webhooks.remove(connection, webhook)


def test_tenants_and_webhooks_have_their_turns(database: Database) -> None:
    many = [added(database, tenant="many", events=["job.ended"])[0] for _ in range(3)]
    others = {tenant: added(database, tenant=tenant, events=["job.ended"])[0] for tenant in "abcdefgh"}
    for tenant, number in (("many", 10), *((tenant, 10) for tenant in others)):
        for _ in range(number):
            made = job(database, tenant=tenant)
            with database.work() as connection:
                ends(connection, made)
    first = take_some(database, limit=36)
    assert sum(first[each] for each in many) == 4
    assert {first[each] for each in others.values()} == {4}
    rest = take_some(database, limit=1_000, under_way={**dict.fromkeys(many, 5), others["a"]: 6})
    assert all(rest[each] <= 3 for each in many)
    assert sum(rest[each] for each in many) == 1  # of sixteen
    assert rest[others["a"]] == 2
    assert rest[others["b"]] == 6


def take_some(database: Database, *, limit: int, under_way: Mapping[int, int] = {}) -> Counter[int]:
    """How many of each webhook were taken."""
    due = database.run(
        webhooks.take_due, each=deliveries.EACH, of_tenant=deliveries.OF_TENANT, limit=limit, under_way=under_way
    )
    return Counter(each.webhook_id for each in due)


def broken_and_slow(came: int) -> int:
    time.sleep(0.05 * (came % 3))
    return (500, 302, 204, 204)[came % 4]


def failures(database: Database) -> list[str]:
    with database.work() as connection:
        rows = connection.execute(text("select failure from webhook_deliveries where failure is not null"))
        return [row[0] for row in rows]


def test_a_slow_receiver_holds_up_no_other(database: Database) -> None:
    gone = threading.Event()
    slow = Receiver(answer=lambda _: 204 if gone.wait(20) else 500)
    with receiving(slow), receiving(Receiver()) as quick, sending(database) as courier:
        added(database, slow.url, events=["job.ended"])
        added(database, quick.url, events=["job.ended"])
        made = [job(database) for _ in range(60)]
        with database.work() as connection:
            for each in made:
                ends(connection, each)
        give_up_at = time.monotonic() + 30
        while len(quick.told()) < len(made):
            assert time.monotonic() < give_up_at
            courier.look()
            time.sleep(0.01)
        assert slow.told() == {}
        gone.set()


def test_what_is_not_taken_within_a_day_is_given_up_and_may_be_sent_again(database: Database) -> None:
    with receiving(Receiver(answer=lambda _: 500)) as receiver, sending(database) as courier:
        webhook, _ = added(database, receiver.url, events=["job.ended"])
        made = job(database)
        with database.work() as connection:
            ends(connection, made)
        with database.work() as connection:
            connection.execute(text("update webhook_deliveries set give_up_at = now()"))
        until(database, [courier], {"failed": 1})
        (given_up,) = database.run(webhooks.deliveries, webhook, state="failed", limit=10)
        assert (given_up.http_status, given_up.failure) == (500, "the webhook at 127.0.0.1 answered 500")
        receiver.answer = lambda _: 204
        assert database.run(webhooks.resend, webhook) == 1
        until(database, [courier], {"delivered": 1})
        assert database.run(webhooks.resend, webhook) == 0
        assert database.run(webhooks.resend, webhook, given_up.id) == 1
        until(database, [courier], {"delivered": 1})
        assert {each.headers["webhook-id"] for each in receiver.taken} == {str(given_up.message)}
        assert len(receiver.taken) == 2


def test_no_private_address_is_called_also_where_names_change(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is looked at, and this machine when it is called: it is looked up once."""
    looked_up: list[str] = []
    with receiving(Receiver()) as receiver, sending(database, hosts="") as courier:
        addresses = iter(["127.0.0.1", "93.184.216.34", "127.0.0.1", "127.0.0.1"])
        called: list[str] = []

        async def lookup(_: object, host: str, port: int, **__: object) -> list[Any]:
            looked_up.append(host)
            return [(2, 1, 6, "", (next(addresses) if host == "rebinds.example" else host, port))]

        async def connect(_: object, __: object, host: str, *___: object, **____: object) -> Any:
            called.append(host)
            raise OSError

        monkeypatch.setattr("asyncio.BaseEventLoop.getaddrinfo", lookup)
        monkeypatch.setattr("asyncio.BaseEventLoop.create_connection", connect)
        for address in (
            f"https://rebinds.example:{receiver.port}/",
            f"https://127.0.0.1:{receiver.port}/",
            f"https://169.254.169.254:{receiver.port}/",
            f"https://[::ffff:10.0.0.1]:{receiver.port}/",
        ):
            added(database, address, events=["job.ended"])
        with database.work() as connection:
            ends(connection, job(database))
        for _ in range(
            2
        ):  # at first the name is this machine's, then it is public, and changes while it is called
            give_up_at = time.monotonic() + 20
            while None in [each[1] for each in tried(database)]:
                assert time.monotonic() < give_up_at
                courier.look()
                time.sleep(0.01)
            with database.work() as connection:
                connection.execute(text("update webhook_deliveries set due_at = now(), failure = null"))
    assert receiver.taken == []
    assert set(called) == {"93.184.216.34"}
    assert looked_up.count("rebinds.example") == 2, "once a try"


def tried(database: Database) -> list[tuple[int, str | None]]:
    with database.work() as connection:
        return [tuple(row) for row in connection.execute(text("select tries, failure from webhook_deliveries"))]


def test_without_its_key_everything_waits_and_that_is_told(database: Database) -> None:
    added(database, "https://example.com/")
    with database.work() as connection:
        ends(connection, job(database))
    with sending(database, key=None) as courier:
        courier.look()
        assert "DOCMILL_WEBHOOK_KEY" in str(courier.troubles.as_json())
    with receiving(Receiver()) as receiver, sending(database, key=new_key()) as courier:
        with database.work() as connection:
            connection.execute(text("update webhooks set url = :url"), {"url": receiver.url})
        give_up_at = time.monotonic() + 20
        while not failures(database):
            assert time.monotonic() < give_up_at
            courier.look()
        assert "another key" in failures(database)[0]
        assert receiver.taken == []
    assert states(database) == {"waiting": 1}


@pytest.fixture
def app(database: Database) -> FastAPI:
    settings = load_settings(webhook_key=KEY, webhook_hosts="127.0.0.1")
    services = Services(
        settings=settings, database=database, registry=Registry(), publish=lambda _: None, owner="api"
    )
    return app_of(database.engine, host="0.0.0.0", services=services)


def test_webhooks_over_http(database: Database, app: FastAPI) -> None:
    bearers = {
        name: {"authorization": f"Bearer {database.run(keys.add, tenant, scopes=scopes)}"}
        for name, tenant, scopes in (
            ("mine", "default", keys.USUAL), ("reader", "default", ["read"]), ("stranger", "acme", keys.USUAL),
            ("admin", "default", ["admin"]),
        )
    }  # fmt: skip

    def ask(method: str, path: str, who: str = "mine", **options: Any) -> Any:
        return asked(app, method, f"/v1/webhooks{path}", headers=bearers[who], **options)

    wanted = {"url": "https://example.com/in?token=1", "events": ["job.ended"], "name": "books"}
    made = ask("POST", "", json=wanted)
    assert made.status_code == 201, made.text
    webhook = made.json()["id"]
    assert made.headers["location"] == f"/v1/webhooks/{webhook}"
    Verifier(made.json()["secret"])
    with database.work() as connection:
        kept = connection.execute(text("select secret from webhooks")).scalar_one()
    assert shown_secret(Seal(KEY).open(bytes(kept))) == made.json()["secret"]
    assert "secret" not in ask("GET", f"/{webhook}").json()
    assert [each["id"] for each in ask("GET", "").json()["webhooks"]] == [webhook]
    wrong: list[dict[str, Any]] = [
        {"url": "http://example.com/"}, {"url": "https://a:b@example.com/"}, {"events": []}, {"events": ["x"]},
        {"url": "https://"}, {"name": "\x00"}, {"url": "https://" + "a" * 2000},
    ]  # fmt: skip
    for refused in wrong:
        assert ask("POST", "", json=wanted | refused).status_code == 422, refused
    assert ask("POST", "", "reader", json=wanted).status_code == 403
    assert ask("DELETE", f"/{webhook}", "reader").status_code == 403
    with database.work() as connection:
        for _ in range(3):
            ends(connection, job(database))
    page = ask("GET", f"/{webhook}/deliveries?limit=2").json()
    assert len(page["deliveries"]) == 2
    (last,) = ask("GET", f"/{webhook}/deliveries?state=waiting&cursor={page['next']}").json()["deliveries"]
    assert last["event"] == "job.ended"
    assert ask("POST", f"/{webhook}/deliveries/{last['id']}/resend").json() == {"resent": 1}
    assert ask("POST", f"/{webhook}/deliveries/999999/resend").status_code == 404
    assert ask("POST", f"/{webhook}/resend").json() == {"resent": 0}
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/resend"),
        ("POST", f"/deliveries/{last['id']}/resend"),
    ):  # fmt: skip
        assert ask(method, f"/{webhook}{path}", "stranger").status_code == 404
    operators = ask("POST", "", "admin", json=wanted).json()["id"]
    told_of_all = [each.id for each in database.run(webhooks.listed) if each.of_operator]
    assert told_of_all == [operators]
    for _ in range(webhooks.MOST - 2):
        assert ask("POST", "", json=wanted).status_code == 201
    assert ask("POST", "", json=wanted).status_code == 422
    assert ask("DELETE", f"/{webhook}").status_code == 204
    assert ask("GET", f"/{webhook}").status_code == 404
    without = replace(app.state.services, settings=load_settings())
    nowhere = app_of(database.engine, services=without)
    assert "DOCMILL_WEBHOOK_KEY" in asked(nowhere, "POST", "/v1/webhooks", json=wanted).json()["detail"]


def test_webhooks_by_the_command(
    docmill: Command, monkeypatch: pytest.MonkeyPatch, database: Database, servers: EmbeddedServers, url: str
) -> None:
    monkeypatch.setenv("DOCMILL_DATABASE_URL", url)
    monkeypatch.setenv("DOCMILL_BROKER_URL", servers.broker_url)
    monkeypatch.setenv("DOCMILL_WEBHOOK_KEY", docmill("webhooks", "key").stdout.strip())
    made = docmill("webhooks", "add", "https://example.com/", "--events", "job.ended, budget.reached", "--json")
    assert made.returncode == 0, made.stderr
    webhook = json.loads(made.stdout)["id"]
    assert json.loads(made.stdout)["secret"].startswith("whsec_")
    assert docmill("webhooks", "add", "http://example.com/").returncode == 1
    assert "there is no 'x'" in docmill("webhooks", "add", "https://example.com/", "--events", "x").stderr
    with database.work() as connection:
        ends(connection, job(database))
    assert "whsec_" not in docmill("webhooks").stdout
    assert "job.ended" in docmill("webhooks", "deliveries", str(webhook)).stdout
    assert docmill("webhooks", "deliveries", str(webhook), "--state", "failed", "--json").stdout == ""
    assert docmill("webhooks", "deliveries", str(webhook), "--state", "lost").returncode == 1
    assert docmill("webhooks", "resend", str(webhook)).stdout == f"webhook {webhook} is told 0 again\n"
    assert docmill("webhooks", "remove", str(webhook)).returncode == 0
    assert docmill("webhooks", "deliveries", str(webhook)).returncode == 1


def test_pauses_grow_over_a_day() -> None:
    for draw in (0.0, 0.5, 1.0):
        waited = [webhooks.pause_s(tries, draw) for tries in range(1, 40)]
        assert all(3.9 < each < webhooks.LONGEST_PAUSE_S * 1.3 for each in waited)
        assert 10 <= next(n for n in range(40) if sum(waited[:n]) > 86_400) <= 20
