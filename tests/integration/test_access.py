"""Who may ask: whoever reaches the machine without being on it, and other people's web sites, need a key."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine

from db import keys
from db.database import Database
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tests.integration.test_api_edges import app_of, asked
from tests.unit.web.test_answer_schemas import references
from web.answer_schemas import COMPONENTS

PROBLEM = "application/problem+json"
SPENDING = (
    ("GET", "/v1/collections/none/search?q=gate"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/collections/none/ask"),
)
READING = (("GET", "/v1/jobs"), ("GET", "/v1/costs"), ("GET", "/costs"), ("GET", "/metrics"))
FOREIGN = (
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1@evil.example"},
    {"origin": "http://[::1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "nonsense"},
    {"x-forwarded-for": "203.0.113.9"},
    {"x-forwarded-host": "docmill.example"},
    {"x-forwarded-proto": "https"},
    {"forwarded": "for=203.0.113.9"},
    {"x-real-ip": "203.0.113.9"},
    {"via": "1.1 proxy"},
    {"host": "evil.example"},
    {"host": "evil.example:8080"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "localhost@evil.example"},
    {"host": ""},
    {"host": "[::1"},
)
OWN: tuple[dict[str, str], ...] = (
    {},
    {"origin": "http://127.0.0.1"},
    {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1"},
    {"sec-fetch-site": "none"},
    {"host": "localhost:8080", "origin": "http://localhost:8080"},
    {"host": "[::1]:8080"},
)


@pytest.fixture
def key(engine: Engine) -> str:
    with engine.begin() as connection:
        return keys.add(connection, f"tenant-{uuid4().hex}")


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_without_a_key_nobody_else_makes_this_machine_ask(
    engine: Engine, key: str, headers: dict[str, str]
) -> None:
    app = app_of(engine)
    for method, path in (*SPENDING, *READING):
        if path == "/costs" and "sec-fetch-site" in headers:
            continue  # a link to a page
        body = {"prompt": "receipt", "document": "x", "question": "x"} if method == "POST" else None
        found = asked(app, method, path, headers=headers, json=body)
        assert (found.status_code, found.headers["content-type"]) == (401, PROBLEM), (path, found.text)
        assert "key" in found.json()["detail"]
    allowed = asked(app, "GET", "/v1/jobs", headers={**headers, "authorization": f"Bearer {key}"})
    assert allowed.status_code == 200, "who has a key was meant to ask"


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_what_this_machine_asks_for_itself_needs_none(engine: Engine, headers: dict[str, str]) -> None:
    app = app_of(engine)
    for method, path in READING:
        assert asked(app, method, path, headers=headers).status_code == 200
    assert asked(app, *SPENDING[0], headers=headers).status_code == 404, "there is no such collection"


def test_a_link_from_anywhere_opens_a_page_and_nothing_else(engine: Engine) -> None:
    app = app_of(engine)
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert asked(app, "GET", "/costs", headers=link).status_code == 200
    assert asked(app, "GET", "/v1/jobs", headers=link).status_code == 401, "no page, and some of these spend"


def test_a_password_that_a_browser_sends_by_itself_is_not_used_by_other_sites(engine: Engine, key: str) -> None:
    app = app_of(engine, host="0.0.0.0")
    for headers, status in (
        ({}, 404),
        ({"sec-fetch-site": "cross-site"}, 401),
        ({"origin": "https://evil.example"}, 401),
    ):
        found = asked(app, *SPENDING[0], headers=headers, auth=("", key))
        assert found.status_code == status, headers


def test_no_answer_is_shared_with_another_site(engine: Engine) -> None:
    app = app_of(engine)
    asking = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for method, path in (
        ("OPTIONS", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/healthz"),
        ("GET", "/openapi.json"),
    ):
        found = asked(app, method, path, headers=asking)
        assert not [name for name in found.headers if name.startswith("access-control")]


def test_figures_of_the_fleet_need_an_operators_key_beyond_loopback(engine: Engine, key: str) -> None:
    app = app_of(engine, host="0.0.0.0")
    found = asked(app, "GET", "/metrics")
    assert (found.status_code, found.headers["content-type"]) == (401, PROBLEM)
    with engine.begin() as connection:
        operators = keys.add(connection, "default", scopes=["admin"])
    for shown, status in ((key, 403), (operators, 200)):
        for headers in ({"authorization": f"Bearer {shown}"}, {"authorization": _basic(shown)}):
            assert asked(app, "GET", "/metrics", headers=headers).status_code == status
    assert asked(app, "GET", "/healthz").status_code == 200
    assert asked(app, "GET", "/readyz").status_code == 200


@pytest.mark.parametrize(
    "key",
    [
        "\0",
        "dm_\0_x",
        "dm_a_\0",
        "\0" * 5000,
        "dm_" + "x" * 100_000,
        "\ud800",
        "dm__",
        "dm_é_ü",
        "\u202e",
        "dm_a_b\n",
    ],
    ids=repr,
)
def test_a_key_that_is_none_is_a_401_whatever_it_is_made_of(engine: Engine, key: str) -> None:
    app = app_of(engine, host="0.0.0.0")
    for written in (_basic(key), f"Bearer {key}"):
        header = written.encode("utf-8", "surrogatepass")
        found = asked(app, "GET", "/v1/jobs", headers={"authorization": header})
        assert (found.status_code, found.headers["content-type"]) == (401, PROBLEM)


def _basic(key: str) -> str:
    return "Basic " + base64.b64encode(b"anybody:" + key.encode("utf-8", "surrogatepass")).decode()


def test_what_prompts_there_are_is_told_to_who_has_a_key(engine: Engine, key: str) -> None:
    app = app_of(engine, host="0.0.0.0")
    plain = asked(app, "GET", "/openapi.json")
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json")
    schemas = plain.json()["components"]["schemas"]
    assert "Answers" not in schemas, "of answers it says nothing"
    assert schemas["Prompt"] == {"type": "string"}
    assert "invoice" not in plain.text
    assert {each for each in references(plain.json()) if each.removeprefix(COMPONENTS) not in schemas} == set()
    for held in (f"Bearer {key}", _basic(key)):
        whole = asked(app, "GET", "/openapi.json", headers={"authorization": held})
        assert "invoice" in whole.json()["components"]["schemas"]["Answers"]["properties"]
    assert asked(app, "GET", "/openapi.json", headers={"authorization": "Bearer none"}).status_code == 401
    assert "Answers" in asked(app_of(engine), "GET", "/openapi.json").json()["components"]["schemas"]


def test_the_openapi_is_sent_once_to_who_has_it(engine: Engine) -> None:
    app = app_of(engine)
    first = asked(app, "GET", "/openapi.json")
    again = asked(app, "GET", "/openapi.json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert first.json() == json.loads(json.dumps(app.openapi()))
    assert asked(app, "HEAD", "/openapi.json").headers["etag"] == first.headers["etag"]


class Slow(Registry):
    """One that takes until somebody else was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.answered = threading.Event(), threading.Event()
        self.waited = False

    def names(self) -> list[str]:
        self.begun.set()
        self.waited |= self.answered.wait(5)
        return super().names()


def test_while_the_openapi_is_made_others_are_answered(engine: Engine) -> None:
    registry = Slow()
    services = Services(
        settings=Settings(), database=Database(engine), registry=registry, publish=lambda _: None, owner="api"
    )
    app = app_of(engine, services=services)

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            making = asyncio.create_task(client.get("/openapi.json"))
            assert await asyncio.to_thread(registry.begun.wait, 10)
            other = await client.patch("/v1/jobs")
            registry.answered.set()
            return await making, other

    made, other = asyncio.run(ask())
    assert (made.status_code, other.status_code) == (200, 405)
    assert registry.waited
