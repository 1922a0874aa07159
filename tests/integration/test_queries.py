"""A query that is not understood is refused: a list of everything would look like an answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db.submit import Submission, submit
from tests.command import Command
from tests.integration.test_api_edges import app_of, asked
from workers.stack.servers import EmbeddedServers

ANY = {"job_id": "1", "collection": "c", "document_id": "1", "page": "1"}


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    described = app.openapi()["paths"]
    return [
        ("GET", "/costs"),
        *((method, path.format_map(ANY)) for path in described for method in described[path]),
    ]


def test_no_route_takes_a_parameter_that_it_does_not_know(app: FastAPI) -> None:
    routes = routes_of(app)
    assert len(routes) > 15
    for method, path in routes:
        found = asked(app, method, f"{path}?colour=red", json={})
        assert (found.status_code, found.headers["content-type"]) == (422, "application/problem+json"), path
        assert {"field": "colour"}.items() <= found.json()["errors"][0].items(), path


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("prompts=invoice", "prompts: there is no such parameter"),
        ("stat=failed", "stat: there is no such parameter: did you mean state?"),
        ("ids=1,2,3", "ids: there is no such parameter: it takes cause, cursor,"),
        ("q=hull", "q: "),
        ("stat=failed&since=2026-01-01", "stat: "),
        ("feature=1&feature=2", "feature: it is given more than once"),
        ("limit=1&limit=2", "limit: it is given more than once"),
        ("limit=", "limit"),
        ("=x", ": there is no such parameter"),
        ("state=nonsense", "state"),
        ("state=", "state"),
        ("state=DONE", "state"),
        ("cursor=0", "cursor"),
        ("cursor=9223372036854775808", "cursor"),
        ("cursor=" + "9" * 5000, "cursor"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=1e2", "limit"),
        ("limit=%00", "limit"),
        ("feature=%00", "feature"),
        ("user=a%0Ab", "user"),
        ("user=" + "x" * 201, "user"),
        ("%00=1", "there is no such parameter"),
        ("a" * 5000 + "=1", "there is no such parameter"),
    ],
)
def test_a_list_of_jobs_says_what_is_wrong_with_what_was_asked(app: FastAPI, query: str, told: str) -> None:
    found = asked(app, "GET", f"/v1/jobs?{query}")
    assert (found.status_code, found.headers["content-type"]) == (422, "application/problem+json")
    assert told in found.json()["detail"]
    assert len(found.content) < 2000


@pytest.mark.parametrize(
    "job", ["0", "-1", "9223372036854775808", "1e3", "x", "1%00", "%00", "²", "9" * 5000, "1.5", "0x1"]
)
def test_an_id_that_no_job_has_is_refused_or_not_found(app: FastAPI, job: str) -> None:
    for method, rest in (("GET", ""), ("GET", "/events"), ("POST", "/retry"), ("POST", "/cancel")):
        found = asked(app, method, f"/v1/jobs/{job}{rest}")
        assert found.status_code in (404, 422)
        assert found.headers["content-type"] == "application/problem+json"
    assert asked(app, "GET", "/v1/jobs/9223372036854775807").status_code == 404


def test_jobs_are_found_by_what_is_said_of_them_alike_over_http_and_by_the_command(
    app: FastAPI, engine: Engine, servers: EmbeddedServers, docmill: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid4().hex
    with engine.begin() as connection:
        made = [
            submit(
                connection,
                Submission(prompt=prompt, body=uuid4().bytes, name=f"In/{name}", feature=mark, usr=user),
            )
            for prompt, name, user in (
                ("receipt", "Tea.txt", "a"),
                ("nda", "tea.PDF", "b"),
                ("receipt", "x%_.txt", "b"),
            )
        ]
        connection.execute(
            text(
                "update jobs set state = 'failed', wait = null, created_at = now() - interval '3 days',"
                ' failure = \'{"kind": "unreadable", "message": ""}\' where id = :id'
            ),
            {"id": made[0]},
        )
    tea, pdf, odd = made
    asked_for: tuple[tuple[dict[str, Any], list[int]], ...] = (
        ({}, [odd, pdf, tea]),
        ({"state": "failed"}, [tea]),
        ({"state": ["failed", "queued"]}, [odd, pdf, tea]),
        ({"state": "done"}, []),
        ({"prompt": "receipt"}, [odd, tea]),
        ({"user": "b"}, [odd, pdf]),
        ({"name": "TEA."}, [pdf, tea]),
        ({"name": "in/tea"}, [pdf, tea]),
        ({"name": "%_"}, [odd]),
        ({"cause": "unreadable"}, [tea]),
        ({"cause": "budget"}, []),
        ({"since": (datetime.now(UTC) - timedelta(days=1)).isoformat()}, [odd, pdf]),
        ({"prompt": "receipt", "user": "b"}, [odd]),
    )
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    for wanted, jobs in asked_for:
        shown = asked(app, "GET", "/v1/jobs", params={"feature": mark, **wanted})
        assert [job["id"] for job in shown.json()["jobs"]] == jobs, wanted
        options = [
            [f"--{name}", each]
            for name, given in wanted.items()
            for each in (given if isinstance(given, list) else [given])
        ]
        told = docmill("jobs", "--feature", mark, *(part for option in options for part in option), "--json")
        assert [json.loads(line)["id"] for line in told.stdout.splitlines()] == jobs, wanted
    for option, value in (("--state", "faild"), ("--cause", "unredable"), ("--since", "soon")):
        told = docmill("jobs", option, value)
        assert (told.returncode, told.stdout) == (1, "")
        assert value in told.stderr
    for query in ("state=faild", "cause=nonsense", "since=soon", "since=7"):
        assert asked(app, "GET", f"/v1/jobs?{query}").status_code == 422
