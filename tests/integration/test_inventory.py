"""Prompts, budgets and schedules over HTTP: what stands ready, for whom it does."""

from __future__ import annotations

from uuid import uuid4

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine

from db import budget_admin, keys, model_state, schedules
from db.database import Database
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
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
    everybodys = {**budget, "scope": "feature"}  # by the tenant's own name
    theirs = asked(app, "PUT", "/v1/budgets", json=everybodys).json()
    assert asked(behind, "GET", "/v1/budgets", headers=reading).json()["budgets"] == [again]
    with engine.begin() as connection:
        for each in (made, theirs):
            budget_admin.remove(connection, each["id"])


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


def test_models_tell_their_holds_and_limits(engine: Engine) -> None:
    settings = Settings(llm_url="http://127.0.0.1:9", llm_api_key=SecretStr("secret"))
    services = Services(
        settings=settings, database=Database(engine), registry=Registry(), publish=lambda _: None, owner="api"
    )
    app = app_of(engine, services=services)
    model = app.state.settings.models.get("small")

    def stands() -> tuple[str, str | None, bool]:
        (found,) = (each for each in asked(app, "GET", "/v1/models").json()["models"] if each["name"] == "small")
        assert found["account"] == model.account
        return found["state"], found["cause"], found["held_s"] > 0

    assert stands() == ("free", None, False)
    app.state.database.run(model_state.hold, model, for_s=60, cause="quota_exhausted")
    try:
        assert stands() == ("held", "quota_exhausted", True)
    finally:
        app.state.database.run(model_state.release, model)
    assert stands() == ("free", None, False)


def test_keys_are_listed_without_the_keys_for_who_looks_after_all(engine: Engine) -> None:
    behind, name = app_of(engine, host="0.0.0.0"), f"web-{uuid4().hex[:8]}"
    with engine.begin() as connection:
        admin, reading = (
            keys.add(connection, "acme", name=name, scopes=scopes) for scopes in (["admin"], ["read", "money"])
        )
    found = asked(behind, "GET", "/v1/keys", headers={"authorization": f"Bearer {admin}"})
    mine = {tuple(each["scopes"]): each for each in found.json()["keys"] if each["name"] == name}
    assert sorted(mine) == [("admin",), ("read", "money")]
    assert (mine["admin",]["tenant"], mine["admin",]["expires_at"]) == ("acme", None)
    assert mine["admin",]["used_at"] is not None
    assert mine["read", "money"]["used_at"] is None
    assert not any(key.split("_", 2)[2] in found.text for key in (admin, reading))
    assert asked(behind, "GET", "/v1/keys", headers={"authorization": f"Bearer {reading}"}).status_code == 403
