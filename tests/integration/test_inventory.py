"""Prompts, budgets and schedules over HTTP: what stands ready, for whom it does."""

from __future__ import annotations

from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from db import budget_admin, keys, schedules
from prompts import Registry
from tests.integration.test_api_edges import app_of, asked


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def test_prompts_are_listed_and_shown_with_the_schemas_of_their_answers(app: FastAPI) -> None:
    listed = {each["name"]: each for each in asked(app, "GET", "/v1/prompts").json()["prompts"]}
    registry = Registry()
    assert sorted(listed) == registry.names()
    assert listed["receipt"]["version"] == registry.get("receipt").version
    shown = asked(app, "GET", "/v1/prompts/receipt").json()
    assert [each["version"] for each in shown["versions"]] == registry.versions("receipt")
    assert shown["versions"][-1]["answer"] == registry.get("receipt", shown["versions"][-1]["version"]).schema
    missing = asked(app, "GET", "/v1/prompts/receit")
    assert (missing.status_code, missing.json()["code"]) == (404, "prompt-unknown")


def test_a_budget_is_set_and_seen_by_whose_it_is(app: FastAPI, engine: Engine) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    behind = app_of(engine, host="0.0.0.0")
    with engine.begin() as connection:
        money, reading = (
            {"authorization": f"Bearer {keys.add(connection, tenant, scopes=scopes)}"}
            for scopes in (["read", "money"], ["read"])
        )
    budget = {"scope": "tenant", "subject": tenant, "span": "day", "policy": "hold", "cap_usd": "2.5"}
    assert asked(behind, "PUT", "/v1/budgets", json=budget, headers=reading).status_code == 403
    made = asked(behind, "PUT", "/v1/budgets", json=budget, headers=money).json()
    assert (made["cap_usd"], made["spent_usd"], made["waiting"]) == ("2.5", "0", 0)
    again = asked(behind, "PUT", "/v1/budgets", json={**budget, "cap_usd": "3"}, headers=money).json()
    assert (again["id"], again["cap_usd"]) == (made["id"], "3")
    assert asked(behind, "GET", "/v1/budgets", headers=reading).json()["budgets"] == [again]
    assert (
        asked(behind, "PUT", "/v1/budgets", json={**budget, "subject": "other"}, headers=money).status_code == 403
    )
    for wrong in ({"cap_usd": "-1"}, {"cap_usd": "NaN"}, {"span": "week"}, {"more": 1}):
        assert asked(behind, "PUT", "/v1/budgets", json={**budget, **wrong}, headers=money).status_code == 422
    with engine.begin() as connection:
        budget_admin.remove(connection, made["id"])


def test_schedules_are_the_tenants(app: FastAPI, engine: Engine) -> None:
    names = {tenant: uuid4().hex for tenant in ("default", "acme")}
    with engine.begin() as connection:
        for tenant, name in names.items():
            said = {"prompt": "receipt", "document": "TEA 4.10"}
            timing = {"cron": "0 4 * * *", "time_zone": "UTC"}
            schedules.add(connection, name=name, submit=said, catch_up="last", tenant=tenant, **timing)
    listed = {each["name"]: each for each in asked(app, "GET", "/v1/schedules").json()["schedules"]}
    assert listed[names["default"]]["submit"]["prompt"] == "receipt"
    assert listed[names["default"]]["last"] is None
    assert names["acme"] not in listed
    with engine.begin() as connection:
        for name in names.values():
            schedules.remove(connection, name)
