"""Each answer has an id, which its problem and the log have too; each problem says which one it is."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from db import keys
from db.database import Database
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tests.integration.test_api_edges import app_of, asked


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def test_an_answer_has_an_id_of_its_own_or_the_callers(app: FastAPI) -> None:
    first, second = (asked(app, "GET", "/v1/jobs").headers["request-id"] for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    for header in ("X-Request-Id", "Request-Id"):
        assert asked(app, "GET", "/v1/jobs", headers={header: "order-17.a"}).headers["request-id"] == "order-17.a"
    for odd in ("", "a b", "x" * 101, 'a"<b>', "é"):
        given = asked(app, "GET", "/v1/jobs", headers={"X-Request-Id": odd.encode()})
        assert re.fullmatch(r"[0-9a-f]{32}", given.headers["request-id"])


def test_a_problem_says_which_it_is_and_of_which_request(app: FastAPI) -> None:
    key, name = {"Idempotency-Key": uuid4().hex}, {"X-Request-Id": "r-1"}
    body = {"prompt": "receipt", "document": "TOTAL 1"}
    asked(app, "POST", "/v1/jobs", json=body, headers=key)
    found = {
        "idempotency-conflict": asked(
            app, "POST", "/v1/jobs", json={**body, "feature": "x"}, headers={**key, **name}
        ),
        "job-unknown": asked(app, "GET", "/v1/jobs/9007199254740991", headers=name),
        "prompt-unknown": asked(app, "POST", "/v1/jobs", json={**body, "prompt": "receit"}, headers=name),
        "invalid": asked(app, "GET", "/v1/jobs?colour=red", headers=name),
        "not-found": asked(app, "GET", "/v1/nothing", headers=name),
        "method-not-allowed": asked(app, "PATCH", "/v1/jobs", headers=name),
    }
    for code, answer in found.items():
        told = answer.json()
        assert (told["code"], told["type"], told["request_id"]) == (code, f"/problems/{code}", "r-1")
        assert answer.headers["request-id"] == "r-1"


def test_a_script_of_a_site_that_the_operator_names_may_ask_with_its_key(engine: Engine) -> None:
    services = Services(
        settings=Settings(cors_origins="https://app.example:443, http://127.0.0.1:5173"), database=Database(engine),
        registry=Registry(), publish=lambda _: None, owner="api",
    )  # fmt: skip
    app = app_of(engine, host="0.0.0.0", services=services)
    with engine.begin() as connection:
        key = keys.add(connection, "default")
    theirs = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    sent = "authorization,cache-control,content-type,idempotency-key,last-event-id,request-id,x-request-id"
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": sent}
    before = asked(app, "OPTIONS", "/v1/jobs", headers={**theirs, **wanted})
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, "https://app.example")
    found = asked(app, "GET", "/v1/jobs", headers={**theirs, "Authorization": f"Bearer {key}"})
    assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert "access-control-allow-credentials" not in found.headers
    assert asked(app, "GET", "/v1/jobs", headers=theirs).status_code == 401
    assert "access-control-allow-origin" not in asked(app, "GET", "/jobs", headers=theirs).headers
    other = {**theirs, **wanted, "Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in asked(app, "OPTIONS", "/v1/jobs", headers=other).headers

    @app.get("/v1/broken")
    def broken() -> None:
        raise ZeroDivisionError

    for origin, told in (("https://app.example", "https://app.example"), ("https://evil.example", None)):
        found = asked(app, "GET", "/v1/broken", headers={"Origin": origin})
        assert (found.status_code, found.headers.get("access-control-allow-origin")) == (500, told)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("https://a.example:443", "https://a.example"), ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"), ("https://a.example:80", "https://a.example:80"),
        ("https://[::1]:443", "https://[::1]"), ("https://a.example:4443", "https://a.example:4443"),
    ],
)  # fmt: skip
def test_a_site_is_meant_as_browsers_name_it(said: str, meant: str) -> None:
    assert Settings(cors_origins=said).origins == (meant,)


@pytest.mark.parametrize(
    "odd", ["*", "app.example", "https://app.example/", "https://a.example https://b.example"]
)
def test_what_is_no_site_is_no_origin(odd: str) -> None:
    with pytest.raises(ValueError, match="is no origin of a web site"):
        Settings(cors_origins=odd)


def test_a_defect_is_found_in_the_log_by_its_id(app: FastAPI) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    with capture_logs(processors=[merge_contextvars]) as logs:
        found = asked(app, "GET", "/broken", headers={"X-Request-Id": "r-2"})
    assert found.status_code == 500
    assert found.headers["request-id"] == found.json()["request_id"] == "r-2"
    assert [each["request_id"] for each in logs if each["event"] == "request_broke"] == ["r-2"]
