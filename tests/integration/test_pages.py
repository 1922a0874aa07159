"""Pages over rows with names that nobody should give: nothing of them is markup, and no row breaks a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, text

from db import budget_admin, collections, runs, schedules
from db.budget_admin import Wanted
from db.database import Database
from db.submit import Submission, submit, submit_fresh
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tasks.upkeep.schedules import submit_slot
from tests.integration.test_api_edges import app_of, asked

BROWSER = {"accept": "text/html"}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</pre></textarea></title></style><script>alert(2)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "&lt;b&gt; &amp; \u202e<b>",
    "x" * 190,
)
COLLECTION = "odd"
TAGS = {"script": {"/static/live.js", "/static/desk.js"}, "img": {"/static/icon.svg", "/v1/documents/"}}


class Markup(HTMLParser):
    """The tags of a page, and what stands between them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(page: str) -> str:
    """The page's text. Fails where anything in it acts that is not docmill's own."""
    read = Markup()
    read.feed(page)
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        if tag in TAGS:
            assert str(attributes.get("src", "")).startswith(tuple(TAGS[tag])), (tag, attributes)
        link = attributes.get("href") or attributes.get("action") or "/"
        assert link.startswith(("/", "#")), (tag, attributes)
        assert not link.startswith("//"), (tag, attributes)
        assert tag not in {"iframe", "object", "embed", "base", "b-", "style"}
    return " ".join("".join(read.text).split())


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    services = Services(
        settings=Settings(llm_url="http://127.0.0.1:1"), database=Database(engine), registry=Registry(),
        publish=lambda _: None, owner="api",
    )  # fmt: skip
    return app_of(engine, services=services)


@pytest.fixture
def jobs(engine: Engine) -> Iterator[list[int]]:
    """A job for each name, in review, with calls, answers and evidence that say it too."""
    with engine.begin() as connection:
        yield_these = [_job(connection, name) for name in HOSTILE]
    yield yield_these
    with engine.begin() as connection:
        connection.execute(
            text("delete from jobs where id = any(:ids) and wait is not null"), {"ids": yield_these}
        )
        connection.execute(text("delete from schedules"))
        connection.execute(text("delete from collections where tenant = 'default'"))


def _job(connection: Connection, name: str) -> int:
    wanted = Submission(
        prompt="receipt",
        version="v2",
        body=f"{name} TOTAL 4.10 {uuid4()}".encode(),
        name=name,
        feature=name,
        usr=name,
    )
    job = submit(connection, wanted)
    values: dict[str, Any] = {"id": job, "name": name}
    for statement in (
        ("update documents set text = convert_from(body, 'UTF8'), pages = '[0]' where id ="
        " (select document_id from jobs where id = :id)"),
        ("update jobs set state = 'needs_review', wait = null, version = 'v2', finished_at = clock_timestamp(),"
        " failure = jsonb_build_object('kind', 'wrong', 'message', cast(:name as text)),"
        " history = jsonb_build_array(jsonb_build_object('kind', 'wrong', 'model', cast(:name as text), 'attempt', 0,"
        " 'message', cast(:name as text), 'problems', jsonb_build_array('merchant: ' || cast(:name as text)),"
        " 'remedy', cast(:name as text))) where id = :id"),
        ("insert into results (job_id, revision, value, evidence, author) values (:id, 1,"
        " jsonb_build_object('merchant', cast(:name as text), cast(:name as text), 7), '{\"merchant\": {\"start\": 0, \"end\": 3}}',"
        " 'model')"),
        ("with call as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version,"
        " input_hash, provider, account, model) values (gen_random_uuid(), :id, 'first', 0, 1, 'answered', 'default',"
        " :name, :name, 'receipt', 'v2', '', :name, :name, :name) returning id)"
        " insert into exchanges (call_id, request, reply) select id, jsonb_build_object('messages',"
        " jsonb_build_array(jsonb_build_object('role', cast(:name as text), 'content', cast(:name as text)))),"
        " jsonb_build_object('text', cast(:name as text), 'finish_reason', 'stop') from call"),
        ("insert into reviews (job_id, tenant, claimed_by, desk, claimed_until, decision, author, decided_at, note, overruled,"
        " changed) values (:id, 'default', :name, 'd', clock_timestamp(), 'correct', :name, clock_timestamp(), :name,"
        " jsonb_build_array(cast(:name as text)), jsonb_build_array(cast(:name as text)))"),
    ):  # fmt: skip
        connection.execute(text(statement), values)
    _schedule(connection, name)
    return job


def _schedule(connection: Connection, name: str) -> None:
    """One of that name, with a slot that says it too; and a collection that holds the document."""
    said = {"prompt": name, "feature": name, "paths": [name]}
    schedules.add(connection, name=name, cron="0 4 * * *", time_zone="UTC", submit=said, catch_up="last")
    connection.execute(
        text("insert into slots (name, slot, jobs, failure) values (:name, now(), 1, :name)"), {"name": name}
    )
    collection = collections.ensure(connection, "default", COLLECTION, "offline")
    connection.execute(
        text(
            "insert into collection_documents (collection_id, document_id, language, meta, models)"
            " select :collection, id, 'simple', jsonb_build_object(cast(:name as text), cast(:name as text)), '{}'"
            " from documents where name = :name and tenant = 'default'"
        ),
        {"collection": collection.id, "name": name},
    )


def test_no_name_becomes_markup(app: FastAPI, jobs: list[int]) -> None:
    pages = ["/", "/costs", "/jobs", "/jobs?state=needs_review", "/review", "/models", "/budgets", "/runs"]
    pages += [
        "/prompts",
        "/prompts/receipt",
        "/documents",
        "/collections",
        f"/collections/{COLLECTION}",
        "/schedules",
    ]
    pages += [f"/{page}/{job}" for page in ("jobs", "review") for job in jobs]
    pages += [f"/documents/{document}" for document in _documents_of(app, jobs)]
    for path in pages:
        found = asked(app, "GET", path, headers=BROWSER)
        assert (found.status_code, path) == (200, path)
        assert "script-src 'self';" in found.headers["content-security-policy"]
        checked(found.text)
    for job, name in zip(jobs, HOSTILE, strict=True):
        told = checked(asked(app, "GET", f"/jobs/{job}", headers=BROWSER).text)
        assert " ".join(name.split()) in told, "it is shown as it is"
        for field in ("name", "feature", "user"):
            found = asked(app, "GET", "/jobs", params={field: name}, headers=BROWSER)
            checked(found.text)
            assert field == "name" or f"/jobs/{job}" in found.text


def test_what_a_table_of_costs_leaves_out_is_summed(
    app: FastAPI, jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.pages.costs.ROWS", 2)
    left_out = re.compile(r"(\d+) more")
    some = checked(asked(app, "GET", "/costs", headers=BROWSER).text)
    assert max(int(found) for found in left_out.findall(some)) >= len(HOSTILE) - 2, "others may have costs, too"
    assert not left_out.search(checked(asked(app, "GET", "/costs?every=true", headers=BROWSER).text))


def _documents_of(app: FastAPI, jobs: list[int]) -> list[int]:
    return [asked(app, "GET", f"/v1/jobs/{job}").json()["document_id"] for job in jobs]


ODD = (
    "[]",
    "7",
    '"text"',
    "null",
    '{"kind": 7, "message": []}',
    '{"a": ' * 150 + "1" + "}" * 150,
    '{"": {"": [[], {}]}}',
)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:20])
def test_a_row_that_holds_anything_breaks_no_page(app: FastAPI, engine: Engine, jobs: list[int], odd: str) -> None:
    with engine.begin() as connection:
        for statement in (
            ("update jobs set failure = cast(:odd as jsonb), history = cast(:odd as jsonb), context = cast(:odd as jsonb)"
            " where id = :id"),
            "update results set value = cast(:odd as jsonb), evidence = cast(:odd as jsonb) where job_id = :id",
            ("update exchanges set request = cast(:odd as jsonb), reply = cast(:odd as jsonb)"
            " where call_id in (select id from calls where job_id = :id)"),
            "update documents set pages = cast(:odd as jsonb) where id = (select document_id from jobs where id = :id)",
        ):  # fmt: skip
            connection.execute(text(statement), {"odd": odd, "id": jobs[0]})
    for path in ("/", "/jobs", f"/jobs/{jobs[0]}", "/costs", "/review", f"/review/{jobs[0]}"):
        found = asked(app, "GET", path, headers=BROWSER)
        assert (found.status_code, path) == (200, path), checked(found.text)[:300]


def test_pages_of_jobs_go_both_ways(app: FastAPI, engine: Engine) -> None:
    feature = uuid4().hex
    with engine.begin() as connection:
        made = [submit(connection, Submission(prompt="receipt", body=b"x", feature=feature)) for _ in range(120)][
            ::-1
        ]

    def shown(path: str) -> tuple[list[int], dict[str, str]]:
        read = Markup()
        read.feed(asked(app, "GET", path, headers=BROWSER).text)
        links = [str(each.get("href")) for tag, each in read.tags if tag == "a"]
        numbers = [int(link.removeprefix("/jobs/")) for link in links if link.removeprefix("/jobs/").isdecimal()]
        ways = {way: link for link in links for way in ("before", "after") if f"{way}=" in link}
        return numbers, ways

    first, ways = shown(f"/jobs?feature={feature}")
    assert (first, list(ways)) == (made[:50], ["before"])
    second, ways = shown(ways["before"])
    assert (second, sorted(ways)) == (made[50:100], ["after", "before"])
    last, further = shown(ways["before"])
    assert (last, list(further)) == (made[100:], ["after"])
    assert shown(ways["after"])[0] == first
    with engine.begin() as connection:
        connection.execute(text("delete from jobs where feature = :feature"), {"feature": feature})


def test_another_tenants_job_is_no_page(app: FastAPI, engine: Engine) -> None:
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=b"x", tenant=uuid4().hex))
    assert asked(app, "GET", f"/jobs/{job}", headers=BROWSER).status_code == 404
    for action in ("retry", "cancel"):
        assert asked(app, "POST", f"/jobs/{job}/{action}", headers=BROWSER).status_code == 404


def test_a_job_is_cancelled_by_its_page(app: FastAPI, engine: Engine) -> None:
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=b"x"))
    done = asked(app, "POST", f"/jobs/{job}/cancel", headers=BROWSER)
    assert (done.status_code, done.headers["location"]) == (303, f"/jobs/{job}")
    again = asked(app, "POST", f"/jobs/{job}/cancel", headers=BROWSER)
    assert again.status_code == 409
    assert "cancelled already" in checked(again.text)


def failed(connection: Connection, feature: str, kind: str, tenant: str = "default") -> int:
    """With a prompt of its own, so that nobody knows what its jobs cost."""
    job = submit(connection, Submission(prompt="receipt", body=b"x", feature=feature, tenant=tenant))
    connection.execute(
        text(
            "update jobs set prompt = feature, state = 'failed', wait = null, finished_at = clock_timestamp(), stage = 'validate',"
            " failure = jsonb_build_object('kind', cast(:kind as text)) where id = :job"
        ),
        {"job": job, "kind": kind},
    )
    return job


def states_of(engine: Engine, ids: list[int]) -> list[str]:
    with engine.connect() as connection:
        rows = connection.execute(text("select state from jobs where id = any(:ids) order by id"), {"ids": ids})
        return [row.state for row in rows]


def the_form(page: str) -> str:
    """Where the page's own form goes that does it."""
    read = Markup()
    read.feed(page)
    (found,) = [
        each["action"] for tag, each in read.tags if tag == "form" and "/jobs/act" in str(each.get("action"))
    ]
    return str(found)


def done_by(app: FastAPI, page: str) -> str:
    """What is shown once the page's form was sent."""
    sent = asked(app, "POST", the_form(page), headers=BROWSER)
    assert sent.status_code == 303, sent.text
    shown = asked(app, "GET", sent.headers["location"], headers=BROWSER)
    assert shown.status_code == 200, shown.text
    return shown.text


def fresh_of(engine: Engine, feature: str) -> int:
    """How many jobs were made afresh."""
    with engine.connect() as connection:
        count = text("select count(*) from jobs where feature = :feature and fresh")
        return int(connection.execute(count, {"feature": feature}).scalar_one())


def test_asked_afresh_all_are_reached_and_none_is_paid_for_twice(
    app: FastAPI, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.pages.bulk.MOST_AT_ONCE", 2)
    feature = uuid4().hex
    with engine.begin() as connection:
        old = [failed(connection, feature, "wrong") for _ in range(5)]
    address, made = f"/jobs/act?action=fresh&feature={feature}", 0
    for jobs in (2, 2, 1):
        shown = asked(app, "GET", address, headers=BROWSER).text
        for _ in range(2):  # a double click
            done = done_by(app, shown)
            assert f"{jobs} new job" in checked(done)
        made += jobs
        assert fresh_of(engine, feature) == made
        with engine.begin() as connection:
            again = text("update jobs set state = 'failed', wait = null where feature = :feature and fresh")
            connection.execute(again, {"feature": feature})
        read = Markup()
        read.feed(done)
        links = [each["href"] for tag, each in read.tags if tag == "a" and "/jobs/act?" in str(each.get("href"))]
        address = str(links[0]) if links else ""
    assert not address, "those that were made of them meanwhile are not meant"
    assert states_of(engine, old) == ["failed"] * 5
    assert asked(app, "POST", f"/jobs/act?action=fresh&feature={feature}", headers=BROWSER).status_code == 422
    anew = asked(app, "GET", f"/jobs/act?action=fresh&id={old[0]}", headers=BROWSER).text
    assert "1 new job" in checked(done_by(app, anew)), "another page is another wish"
    assert fresh_of(engine, feature) == 6


def test_two_who_send_one_form_at_once_make_one_job(engine: Engine) -> None:
    with engine.begin() as connection:
        old = failed(connection, uuid4().hex, "wrong")

    def again() -> int:
        with engine.begin() as connection:
            return submit_fresh(connection, old, idem_key=f"fresh:{old}").id

    with ThreadPoolExecutor(1) as pool, engine.begin() as first:
        made = submit_fresh(first, old, idem_key=f"fresh:{old}").id
        second = pool.submit(again)
        waits = text("select from pg_locks where not granted and locktype = 'transactionid'")
        while first.execute(waits).first() is None:
            assert not second.done()
        first.commit()
        assert second.result() == made


@pytest.mark.parametrize("action", ["retry", "fresh", "cancel"])
def test_nothing_ticked_is_nothing_meant(app: FastAPI, engine: Engine, action: str) -> None:
    with engine.begin() as connection:
        mine = [submit(connection, Submission(prompt="receipt", body=b"x"))]
        mine.append(failed(connection, uuid4().hex, "wrong"))
    before = states_of(engine, mine)
    address = f"/jobs/act?chosen=1&action={action}"
    shown = asked(app, "GET", address, headers=BROWSER).text
    assert "Nothing is chosen" in checked(shown)
    assert "<form" not in shown.partition('<section class="card"')[2]
    sent = asked(app, "POST", f"{address}&nonce={uuid4().hex}", headers=BROWSER)
    assert "made=0" in sent.headers["location"]
    assert states_of(engine, mine) == before
    listed = asked(app, "GET", "/jobs", headers=BROWSER).text
    assert '<form method="get" action="/jobs/act"><input type="hidden" name="chosen" value="1">' in listed


def test_all_of_one_cause_are_retried_once_the_price_was_said(app: FastAPI, engine: Engine) -> None:
    feature = uuid4().hex
    with engine.begin() as connection:
        poison = [failed(connection, feature, "poison") for _ in range(3)]
        others = [
            failed(connection, feature, "unreadable"),
            failed(connection, feature, "poison", tenant=uuid4().hex),
        ]
    address = f"/jobs/act?action=retry&feature={feature}&cause=poison"
    shown = asked(app, "GET", address, headers=BROWSER)
    told = checked(shown.text)
    assert "3 jobs: 3 cost nobody knows how much." in told
    with engine.begin() as connection:
        later = failed(connection, feature, "poison")
    assert "3 jobs on the way again" in checked(done_by(app, shown.text))
    assert states_of(engine, poison) == ["queued"] * 3
    assert states_of(engine, [*others, later]) == ["failed"] * 3, "no others, and none that came since"
    nothing = asked(app, "GET", f"/jobs/act?action=retry&feature={feature}&state=done", headers=BROWSER)
    assert "There is no job that this is for." in checked(nothing.text)


def test_chosen_jobs_are_cancelled_and_another_tenants_are_not(app: FastAPI, engine: Engine) -> None:
    with engine.begin() as connection:
        mine = [submit(connection, Submission(prompt="receipt", body=b"x")) for _ in range(2)]
        theirs = submit(connection, Submission(prompt="receipt", body=b"x", tenant=uuid4().hex))
    chosen = "".join(f"&id={each}" for each in (mine[0], theirs))
    shown = asked(app, "GET", f"/jobs/act?action=cancel{chosen}", headers=BROWSER)
    assert "It costs nothing." in checked(shown.text)
    assert "1 job cancelled" in checked(done_by(app, shown.text))
    assert states_of(engine, [*mine, theirs]) == ["cancelled", "queued", "queued"]
    assert asked(app, "POST", "/jobs/act?action=stop", headers=BROWSER).status_code == 422
    for address in ("/jobs/act", "/jobs/act?action=cancel&id=0", "/jobs/act?action=retry&colour=red"):
        assert asked(app, "GET", address, headers=BROWSER).status_code == 422, address


def test_a_document_is_shown_with_its_jobs_found_by_its_content_and_forgotten(
    app: FastAPI, engine: Engine
) -> None:
    with engine.begin() as connection:
        name, body = f"{uuid4().hex}.txt", uuid4().bytes
        jobs = [submit(connection, Submission(prompt="receipt", body=body, name=name)) for _ in range(2)]
        connection.execute(
            text("update jobs set state = 'done', wait = null, finished_at = now() where id = :id"),
            {"id": jobs[0]},
        )
        document = connection.execute(
            text("select document_id, encode(sha256, 'hex') as sha256 from jobs join documents d on d.id = document_id"
                 " where jobs.id = :id"), {"id": jobs[0]}
        ).one()  # fmt: skip
    listed = asked(app, "GET", "/documents", params={"q": name[:20].upper()}, headers=BROWSER)
    assert f'href="/documents/{document.document_id}"' in listed.text
    found = asked(app, "GET", "/documents", params={"q": document.sha256}, headers=BROWSER)
    assert found.headers["location"] == f"/documents/{document.document_id}"
    shown = asked(app, "GET", f"/documents/{document.document_id}", headers=BROWSER).text
    assert all(f'href="/jobs/{job}"' in shown for job in jobs)
    gone = asked(app, "POST", f"/documents/{document.document_id}/forget", headers=BROWSER)
    assert gone.status_code == 303
    assert asked(app, "GET", f"/documents/{document.document_id}", headers=BROWSER).status_code == 404
    assert "The document was deleted." in asked(app, "GET", f"/jobs/{jobs[0]}", headers=BROWSER).text


def test_a_schedule_is_paused_and_resumed_and_shows_its_slots(app: FastAPI, engine: Engine) -> None:
    name = uuid4().hex
    said = {"prompt": "receipt", "document": "TEA 4.10", "feature": "nightly"}
    with engine.begin() as connection:
        schedules.add(connection, name=name, cron="0 4 * * *", time_zone="UTC", submit=said, catch_up="last")
        ran = schedules.run_now(connection, name, submit_slot)
    assert ran.jobs == 1
    page = asked(app, "GET", "/schedules", headers=BROWSER).text
    told = checked(page)
    assert name in told
    assert "feature nightly" in told
    with engine.connect() as connection:
        run = connection.execute(text("select id from runs where name = :name"), {"name": name}).scalar_one()
    assert f'href="/runs/{run}"' in page
    for action, told in (("pause", "‖ paused"), ("resume", "▸ next")):
        done = asked(app, "POST", "/schedules", data={"name": name, "action": action}, headers=BROWSER)
        assert done.status_code == 303
        section = asked(app, "GET", "/schedules", headers=BROWSER).text.partition(name)[2][:900]
        assert told in section
    with engine.begin() as connection:
        connection.execute(text("update schedules set tenant = 'acme' where name = :name"), {"name": name})
    assert name not in asked(app, "GET", "/schedules", headers=BROWSER).text, "another tenant's"
    theirs = {"name": name, "action": "pause"}
    assert asked(app, "POST", "/schedules", data=theirs, headers=BROWSER).status_code == 404
    unknown = {"name": "none", "action": "pause"}
    assert asked(app, "POST", "/schedules", data=unknown, headers=BROWSER).status_code == 404
    with engine.begin() as connection:
        schedules.remove(connection, name)


def test_a_model_is_held_and_released_and_a_budget_raised(app: FastAPI, engine: Engine) -> None:
    name = "small"
    assert "may be asked" in asked(app, "GET", "/models", headers=BROWSER).text
    assert asked(app, "POST", f"/models/{name}/hold", headers=BROWSER).status_code == 303
    held = checked(asked(app, "GET", "/models", headers=BROWSER).text)
    assert "held by an operator" in held
    assert asked(app, "POST", f"/models/{name}/release", headers=BROWSER).status_code == 303
    assert "held by" not in asked(app, "GET", "/models", headers=BROWSER).text
    wanted = Wanted(cap_usd=Decimal(1), scope="feature", subject=HOSTILE[0], span="month", policy="hold")
    with engine.begin() as connection:
        budget = budget_admin.put(connection, wanted, timezone="UTC")
    checked(asked(app, "GET", "/budgets", headers=BROWSER).text)
    for cap, status in (("2.5", 303), ("2", 422), ("x", 422), ("-1", 422), ("1e400", 422), ("NaN", 422)):
        found = asked(app, "POST", f"/budgets/{budget.id}/raise", headers=BROWSER, data={"cap": cap})
        assert found.status_code == status, (cap, found.text)
    with engine.begin() as connection:
        assert [each.cap_usd for each in budget_admin.listed(connection) if each.id == budget.id] == [
            Decimal("2.5")
        ]
        budget_admin.remove(connection, budget.id)


def test_a_budgets_form_stores_the_name_that_it_checked(app: FastAPI, engine: Engine) -> None:
    tenant = uuid4().hex
    rest = {"span": "day", "policy": "hold", "cap": "1"}
    for scope, subject, status in (
        ("tenant", f" {tenant} ", 303), ("tenant", " ", 422), ("all", tenant, 422), ("prompt", tenant, 422),
    ):  # fmt: skip
        found = asked(app, "POST", "/budgets", headers=BROWSER, data={"scope": scope, "subject": subject, **rest})
        assert found.status_code == status, (scope, found.text)
    with engine.begin() as connection:
        (budget,) = [each for each in budget_admin.listed(connection) if tenant in each.subject]
        assert budget.subject == tenant
        budget_admin.remove(connection, budget.id)


def test_a_run_is_shown_with_its_states_and_causes(app: FastAPI, engine: Engine) -> None:
    with engine.begin() as connection:
        run = runs.begin(connection, tenant="default", name=HOSTILE[1], cause="api", submit={}, expected=3)
        for state in ("done", "failed", "failed"):
            job = submit(connection, Submission(prompt="receipt", body=b"x", name=HOSTILE[0]))
            connection.execute(
                text(
                    "update jobs set run_id = :run, wait = null, state = :state, finished_at = clock_timestamp(),"
                    " failure = cast(:failure as jsonb) where id = :job"
                ),
                {"run": run.id, "state": state, "job": job, "failure": '{"kind": "unreadable", "message": "<b>"}'},
            )
    listed = checked(asked(app, "GET", "/runs", headers=BROWSER).text)
    assert f"{run.id}" in listed
    told = checked(asked(app, "GET", f"/runs/{run.id}", headers=BROWSER).text)
    assert "3 of 3 documents ended" in told
    assert "unreadable" in told
    jobs = asked(app, "GET", f"/jobs?run={run.id}&state=failed", headers=BROWSER)
    assert "2 shown" in checked(jobs.text)
    assert asked(app, "GET", "/runs/999999999", headers=BROWSER).status_code == 404
