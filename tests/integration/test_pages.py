"""Pages over rows with names that nobody should give: nothing of them is markup, and no row breaks a page."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Connection, Engine, text

from db import budget_admin, runs
from db.budget_admin import Wanted
from db.database import Database
from db.submit import Submission, submit
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
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
    ):  # fmt: skip
        connection.execute(text(statement), values)
    return job


def test_no_name_becomes_markup(app: FastAPI, jobs: list[int]) -> None:
    pages = ["/", "/costs", "/jobs", "/jobs?state=needs_review", "/review", "/models", "/budgets", "/runs"]
    pages += [f"/{page}/{job}" for page in ("jobs", "review") for job in jobs]
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
