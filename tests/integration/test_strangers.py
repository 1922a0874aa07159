"""Whatever route there is: what belongs to a tenant is to another tenant no such thing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import Engine, text

from db import budget_admin, keys, webhooks
from db.engine import make_engine
from tests.browser.ledger import Ledger, seed
from tests.integration.conftest import another_database
from tests.integration.test_api_edges import app_of, asked
from web.pages.rendering import templates
from workers.stack.servers import EmbeddedServers

THEIRS = "theirs"
MARK = f"secret-{uuid4().hex}"
ALL_BUT_ADMIN = ["submit", "read", "review", "operate", "money"]
OF_ALL = {
    "/models/{name}/{action}": 403,  # models are all tenants': only an admin acts on them
}
OF_ALL_TENANTS = ("/prompts/{name}", "/v1/prompts/{name}")
SENT: dict[str, dict[str, Any]] = {
    "/v1/reviews/{job_id}": {"json": {"decision": "accept"}},
    "/v1/runs/{run_id}/jobs": {"content": b'{"key": "a", "document": "x"}\n'},
    "/v1/collections/{collection}/ask": {"json": {"question": "where?"}},
    "/budgets/{budget_id}/raise": {"data": {"cap": "5"}},
    "/review/{job_id}": {"data": {"decision": "save"}},
    "/schedules": {"data": {"name": "nightly", "action": "pause"}},
}
MAKES_ONES_OWN = ("POST", "/v1/collections/{collection}/documents")
"""A collection of that name, beside theirs."""
ASKED = {"/v1/collections/{collection}/search": "q=tea", "/v1/jobs/{job_id}/rows": "path=lines"}


@pytest.fixture(scope="module")
def engine(servers: EmbeddedServers) -> Iterator[Engine]:
    made = make_engine(another_database(servers, "strangers"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def theirs(engine: Engine) -> Ledger:
    return seed(engine, tenant=THEIRS, names=(MARK,))


@pytest.fixture(scope="module")
def app(engine: Engine) -> FastAPI:
    return app_of(engine, host="0.0.0.0")


def key_of(engine: Engine, tenant: str) -> dict[str, str]:
    with engine.begin() as connection:
        key = keys.add(connection, tenant, name="k", scopes=ALL_BUT_ADMIN)
    return {"authorization": f"Bearer {key}"}


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path, pages and API alike, but for those that come with FastAPI."""
    for route in iter_route_contexts(app.routes):
        path = (route.path or "").replace(":path", "")
        if path.startswith(("/docs", "/openapi", "/static")) or not path:
            continue
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, path


@pytest.fixture(scope="module")
def webhook(engine: Engine, theirs: Ledger) -> int:
    events = ["job.ended"]
    with engine.begin() as connection:
        return webhooks.add(connection, tenant=THEIRS, url="https://x.example", events=events, secret=b"x").id


def placed(path: str, theirs: Ledger, budget: int, webhook: int) -> str:
    where = {
        "job_id": theirs.reviews[0],
        "run_id": theirs.run,
        "document_id": theirs.document,
        "collection": theirs.collection,
        "budget_id": budget,
        "webhook_id": webhook,
        "delivery_id": 1,
        "page": 1,
        "name": "small" if path.startswith("/models") else "receipt",
        "action": "hold" if path.startswith("/models") else "retry",
    }
    return path.format_map(where)


def test_what_is_another_tenants_is_a_404_on_every_route(
    app: FastAPI, engine: Engine, theirs: Ledger, webhook: int
) -> None:
    stranger, owner = key_of(engine, "stranger"), key_of(engine, THEIRS)
    with engine.connect() as connection:
        (budget, *_) = [each.id for each in budget_admin.listed(connection) if each.subject == THEIRS]
    before = counted(engine)
    named = [(method, path) for method, path in routes(app) if "{" in path and path not in OF_ALL_TENANTS]
    named.remove(MAKES_ONES_OWN)
    assert len(named) > 30
    for method, path in named:
        address = placed(path, theirs, budget, webhook) + ("?" + ASKED[path] if path in ASKED else "")
        found = asked(app, method, address, headers=stranger, **(SENT.get(path, {}) if method != "GET" else {}))
        expected = OF_ALL.get(path, 404) if method == "POST" else 404
        assert (found.status_code, method, path) == (expected, method, path), found.text[:300]
        assert MARK not in found.text, path
        if method == "GET" and not path.endswith((".png", "/events")):
            own = asked(app, method, address, headers=owner)
            assert own.status_code != 404, (path, "its owner sees it, so that the 404 says something")
            head = asked(app, "HEAD", address, headers=owner)
            assert (head.status_code, head.headers["content-type"]) == (
                own.status_code,
                own.headers["content-type"],
            )
    assert counted(engine) == before


def test_no_list_or_page_tells_of_another_tenant(app: FastAPI, engine: Engine, theirs: Ledger) -> None:
    stranger, owner = key_of(engine, "stranger"), key_of(engine, THEIRS)
    told = 0
    for method, path in routes(app):
        if method != "GET" or ("{" in path and path not in OF_ALL_TENANTS) or "events" in path:
            continue
        found = asked(app, "GET", placed(path, theirs, 0, 0), headers=stranger)
        assert MARK not in found.text, path
        assert THEIRS not in found.text, path
        told += MARK in asked(app, "GET", placed(path, theirs, 0, 0), headers=owner).text
    assert told > 5, "its owner sees it in some of them"


def test_the_month_ahead_is_that_of_the_page(app: FastAPI, engine: Engine, theirs: Ledger) -> None:
    owner, stranger = key_of(engine, theirs.tenant), key_of(engine, "stranger")
    told = asked(app, "GET", "/v1/forecast", headers=owner).json()
    page = asked(app, "GET", "/forecast", headers=owner).text
    for figure in (told["known_usd"], told["cap_usd"]):
        assert f">{templates.env.filters['usd'](Decimal(figure))}</data></dd>" in page
    assert Decimal(told["end"]["p95"]) >= Decimal(told["end"]["p50"]) >= Decimal(told["known_usd"])
    assert Decimal(told["load"]["month"]["p95"]) > Decimal(told["load"]["month"]["p50"]) > 0
    other = asked(app, "GET", "/v1/forecast", headers=stranger).json()
    assert (other["known_usd"], other["end"], other["load"]) == ("0", None, None)
    assert "nothing to measure" in other["why"]


def test_no_form_without_an_address_of_its_own_acts_on_another_tenant(
    app: FastAPI, engine: Engine, theirs: Ledger
) -> None:
    stranger, before = key_of(engine, "stranger"), counted(engine)
    chosen = "&".join(f"id={job}" for job in (*theirs.reviews, *theirs.failed))
    for address in (f"/jobs/act?action=fresh&{chosen}&nonce={'n' * 16}", "/jobs/act?action=retry", "/review/undo"):
        assert MARK not in asked(app, "POST", address, headers=stranger).text
    budget = {"scope": "tenant", "subject": THEIRS, "span": "day", "policy": "fail", "cap": "0"}
    assert asked(app, "POST", "/budgets", headers=stranger, data=budget).status_code == 403
    put = {**{name: each for name, each in budget.items() if name != "cap"}, "cap_usd": "0"}
    assert asked(app, "PUT", "/v1/budgets", headers=stranger, json=put).status_code == 403
    sent = SENT["/schedules"]
    assert asked(app, "POST", "/schedules", headers=stranger, **sent).status_code == 404
    assert counted(engine) == before


def counted(engine: Engine) -> Any:
    """What there is of theirs, and in which state."""
    with engine.connect() as connection:
        statement = (
            "select (select json_agg(j) from (select id, state, epoch from jobs where tenant = :tenant order by id) j),"
            " (select count(*) from documents where tenant = :tenant), (select count(*) from collection_documents),"
            " (select json_agg(s) from (select name, paused from schedules) s),"
            " (select sum(cap_usd) from budgets), (select count(*) from reviews where tenant = :tenant and decision is not null)"
        )
        return connection.execute(text(statement), {"tenant": THEIRS}).one()
