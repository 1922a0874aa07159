"""Sessions of browsers, and what a key may do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db import budget_admin, keys
from db.budget_admin import Wanted
from docmill.errors import Misconfigured
from docmill.settings import Settings
from tests.integration.test_api_edges import app_of, asked

SITE = "https://docmill.example"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OWN = {**BROWSER, "sec-fetch-site": "same-origin", "origin": SITE}
PROBLEM = "application/problem+json"


def made(engine: Engine, *, tenant: str = "", **options: object) -> str:
    with engine.begin() as connection:
        return keys.add(connection, tenant or f"t-{uuid4().hex}", **options)  # type: ignore[arg-type] # what the test gives


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine, host="0.0.0.0")


def signed_in(app: FastAPI, key: str, *, base: str = SITE, **form: str) -> httpx.Response:
    own = {**OWN, "origin": base}
    return asked(app, "POST", "/sign-in", base=base, headers=own, data={"key": key, **form})


def cookie_in(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_key_that_is_shown_once_opens_pages_from_then_on(engine: Engine, app: FastAPI) -> None:
    key = made(engine, name="anna")
    answer = signed_in(app, f" {key}\n", next="/costs?days=7")
    assert (answer.status_code, answer.headers["location"]) == (303, "/costs?days=7")
    said = {part.strip() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert answer.headers["set-cookie"].startswith("__Host-docmill=")
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= said
    assert key not in answer.headers["set-cookie"]
    shown = asked(app, "GET", "/costs", base=SITE, headers={**BROWSER, "cookie": cookie_in(answer)})
    assert shown.status_code == 200
    assert "anna" in shown.text
    assert "'unsafe" not in shown.headers["content-security-policy"]
    with engine.begin() as connection:
        connection.execute(text("update sessions set expires_at = clock_timestamp()"))
    over = asked(app, "GET", "/costs", base=SITE, headers={**BROWSER, "cookie": cookie_in(answer)})
    assert over.status_code == 401
    assert "Max-Age=0" in over.headers["set-cookie"]


@pytest.mark.parametrize("ends", ["sign out", "revoke", "expire"])
def test_a_session_ends_with_its_key(engine: Engine, app: FastAPI, ends: str) -> None:
    key = made(engine, expires_at=datetime.now(UTC) + timedelta(hours=1))
    headers = {**OWN, "cookie": cookie_in(signed_in(app, key))}
    assert asked(app, "GET", "/costs", base=SITE, headers=headers).status_code == 200
    key_id = key.split("_")[1]
    if ends == "sign out":
        assert asked(app, "POST", "/sign-out", base=SITE, headers=headers).status_code == 303
    with engine.begin() as connection:
        if ends == "revoke":
            keys.revoke(connection, key_id)
        if ends == "expire":
            connection.execute(
                text("update api_keys set expires_at = clock_timestamp() where id = :id"), {"id": key_id}
            )
    assert asked(app, "GET", "/costs", base=SITE, headers=headers).status_code == 401
    assert asked(app, "GET", "/v1/jobs", headers={"authorization": f"Bearer {key}"}).status_code == (
        200 if ends == "sign out" else 401
    )


FOREIGN: tuple[dict[str, str], ...] = (
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://docmill.example"},
    {},
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_form_of_another_site_acts_with_a_session(
    engine: Engine, app: FastAPI, headers: dict[str, str]
) -> None:
    cookie = {"cookie": cookie_in(signed_in(app, made(engine)))}
    for path in ("/v1/jobs/1/cancel", "/sign-out", "/v1/jobs"):
        found = asked(app, "POST", path, base=SITE, headers={**cookie, **headers})
        assert found.status_code in (401, 403), path
    assert asked(app, "POST", "/sign-in", base=SITE, headers=headers, data={"key": "x"}).status_code in (401, 403)
    own = {**cookie, "sec-fetch-site": "same-origin"}
    assert asked(app, "POST", "/v1/jobs/1/cancel", base=SITE, headers=own).status_code == 404
    older = {**cookie, "origin": SITE}
    assert asked(app, "POST", "/v1/jobs/1/cancel", base=SITE, headers=older).status_code == 404


def test_another_sites_reading_gets_nothing_by_a_session(engine: Engine, app: FastAPI) -> None:
    cookie = {"cookie": cookie_in(signed_in(app, made(engine)))}
    foreign = {**cookie, "sec-fetch-site": "cross-site"}
    assert asked(app, "GET", "/v1/jobs", base=SITE, headers=foreign).status_code == 401
    assert asked(app, "GET", "/costs", base=SITE, headers={**BROWSER, **foreign}).status_code == 200, "a link"


def test_without_tls_only_this_machine_signs_in(engine: Engine, app: FastAPI) -> None:
    key = made(engine)
    far = signed_in(app, key, base="http://docmill.example")
    assert far.status_code == 403
    assert "set-cookie" not in far.headers
    assert "needs TLS" in far.text
    near = signed_in(app, key, base="http://127.0.0.1:8080")
    assert near.headers["set-cookie"].startswith("docmill-8080=")
    assert "Secure" not in near.headers["set-cookie"]
    forwarded = asked(
        app,
        "POST",
        "/sign-in",
        base="http://127.0.0.1:8080",
        headers={**OWN, "origin": "http://127.0.0.1:8080", "x-forwarded-for": "203.0.113.9"},
        data={"key": key},
    )
    assert forwarded.status_code == 403


def test_a_proxy_is_believed_where_it_is_named(engine: Engine) -> None:
    key = made(engine)
    forwarded = {**OWN, "x-forwarded-proto": "https", "x-forwarded-host": "docmill.example"}

    def tried(proxies: str) -> httpx.Response:
        app = app_of(engine, host="0.0.0.0")
        app.state.settings = Settings(trusted_proxies=proxies)
        return asked(app, "POST", "/sign-in", base="http://10.0.0.7:80", headers=forwarded, data={"key": key})

    assert tried("").status_code in (401, 403)
    assert tried("10.0.0.0/8").status_code in (401, 403), "it is the address of the other side that counts"
    assert tried("127.0.0.0/8, ::1").headers["set-cookie"].startswith("__Host-docmill=")


def test_a_proxy_before_a_machine_without_keys_lets_nobody_in(engine: Engine) -> None:
    app = app_of(engine)
    app.state.settings = Settings(trusted_proxies="127.0.0.1")
    for host in ("127.0.0.1", "docmill.example"):
        forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": host}
        assert asked(app, "GET", "/v1/jobs", headers=forwarded).status_code == 401
        assert asked(app, "GET", "/costs", headers=forwarded).status_code == 401


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "",
        "/a\nb",
        "evil",
        "//[",
        "\\/",
    ],
)
def test_signing_in_leads_to_pages_of_its_own_alone(engine: Engine, app: FastAPI, wanted: str) -> None:
    assert signed_in(app, made(engine), next=wanted).headers["location"] == "/"


def test_a_browser_reads_errors_as_pages(engine: Engine, app: FastAPI) -> None:
    asks = asked(app, "GET", "/costs?days=7", base=SITE, headers=BROWSER)
    assert (asks.status_code, asks.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "www-authenticate" not in asks.headers, "or the browser asks in a window of its own"
    assert 'value="/costs?days=7"' in asks.text
    assert "http-equiv" not in asks.text
    link = asked(app, "GET", "/costs", base=SITE, headers={**BROWSER, "sec-fetch-site": "cross-site"})
    assert 'http-equiv="refresh"' in link.text, (
        "a link on another site brings no session: the page asks itself again"
    )
    wrong = signed_in(app, "dm_a_<script>")
    assert wrong.status_code == 401
    assert "not valid" in wrong.text
    assert "<script" not in wrong.text
    cookie = {"cookie": cookie_in(signed_in(app, made(engine)))}
    for path, status in (("/nowhere", 404), ("/costs?days=x", 422), ("/costs?%3Cb%3Ehi=1", 422)):
        found = asked(app, "GET", path, base=SITE, headers={**BROWSER, **cookie})
        assert (found.status_code, found.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert "<b>" not in found.text
    for path in ("/nowhere", "/v1/jobs/9999999999"):
        found = asked(app, "GET", path, base=SITE, headers=cookie)
        assert (found.status_code, found.headers["content-type"]) == (404, PROBLEM)


def test_a_key_does_what_its_scopes_say(engine: Engine, app: FastAPI) -> None:
    asks = (
        ("GET", "/v1/jobs", "read"),
        ("GET", "/v1/costs", "read"),
        ("GET", "/costs", "read"),
        ("POST", "/v1/jobs", "submit"),
        ("POST", "/v1/jobs/1/cancel", "operate"),
        ("POST", "/v1/jobs/1/retry", "operate"),
        ("DELETE", "/v1/collections/none/documents/1", "operate"),
        ("POST", "/models/nameless/hold", "admin"),
        ("POST", "/models/nameless/release", "admin"),
    )
    for scope in keys.SCOPES:
        headers = {"authorization": f"Bearer {made(engine, scopes=[scope])}"}
        for method, path, wanted in asks:
            found = asked(app, method, path, headers=headers)
            assert (found.status_code == 403) == (scope not in (wanted, "admin")), (
                scope,
                method,
                path,
                found.text,
            )
            if found.status_code == 403:
                assert wanted in found.json()["detail"]


def test_a_tenant_changes_its_own_budgets_alone(engine: Engine, app: FastAPI) -> None:
    wanted = Wanted(cap_usd=Decimal(1), scope="tenant", subject=f"t-{uuid4()}", span="month", policy="hold")
    with engine.begin() as connection:
        budget = budget_admin.put(connection, wanted, timezone="UTC")
    scopes = ["read", "money"]
    stranger, owner = made(engine, scopes=scopes), made(engine, tenant=str(wanted.subject), scopes=scopes)
    for key, status in ((stranger, 404), (owner, 303)):
        headers = {"authorization": f"Bearer {key}"}
        path = f"/budgets/{budget.id}/raise"
        assert asked(app, "POST", path, headers=headers, data={"cap": "2"}).status_code == status
        assert (f"/budgets/{budget.id}/raise" in asked(app, "GET", "/budgets", headers=headers).text) == (
            status == 303
        )
    with engine.begin() as connection:
        budget_admin.remove(connection, budget.id)


def test_a_link_of_another_site_takes_no_answer_from_the_desk(engine: Engine) -> None:
    here = app_of(engine)
    assert asked(here, "GET", "/review/next", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert asked(here, "GET", "/review/next", headers={"sec-fetch-site": "same-origin"}).status_code < 400


def test_keys_of_older_versions_submit_read_and_operate(engine: Engine) -> None:
    key = made(engine)
    with engine.begin() as connection:
        connection.execute(text("update api_keys set scopes = '{jobs}' where id = :id"), {"id": key.split("_")[1]})
    with engine.begin() as connection:
        holder = keys.holder_of(connection, key)
        found = {each.id: each for each in keys.listed(connection)}[key.split("_")[1]]
    assert holder is not None
    assert holder.scopes == {"submit", "read", "operate"}
    assert holder.name == f"key {holder.key_id}"
    assert found.used_at is not None


@pytest.mark.parametrize("scopes", [[], ["jobs"], ["read", "everything"]], ids=str)
def test_a_scope_that_there_is_not_is_refused(engine: Engine, scopes: list[str]) -> None:
    with pytest.raises(Misconfigured, match="submit, read, review"):
        made(engine, scopes=scopes)
