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

ANY = {
    "job_id": "1",
    "name": "receipt",
    "run_id": "1",
    "collection": "c",
    "document_id": "1",
    "page": "1",
    "webhook_id": "1",
    "delivery_id": "1",
}


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
        ("ids=1,2,3", "ids: there is no such parameter: it takes cause, created_after,"),
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
        ("include=everything", "include"),
        ("run=0", "run"),
        ("document=x", "document"),
        ("cause=budget&failure=deadline", "cause: it is the same as failure, which says something else"),
        ("finished_after=7", "finished_after"),
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
                ' failure = \'{"kind": "unreadable", "message": ""}\','
                " finished_at = now() - interval '2 days' where id = :id"
            ),
            {"id": made[0]},
        )
        document, run = connection.execute(
            text(
                "with made as (insert into runs (tenant, name, cause) values ('default', 'in', 'submit') returning id)"
                " update jobs set version = 'v7', run_id = made.id from made where jobs.id = :id"
                " returning document_id, run_id"
            ),
            {"id": made[1]},
        ).one()
        connection.execute(
            text(
                "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider,"
                " account, model) values (gen_random_uuid(), :id, 'first', 0, 1, 'answered', 'default', '', '', '', 'p',"
                " 'a', 'm-7')"
            ),
            {"id": made[2]},
        )
    tea, pdf, odd = made
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
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
        ({"failure": "unreadable"}, [tea]),
        ({"created-after": "1d"}, [odd, pdf]),
        ({"created-before": tomorrow}, [odd, pdf, tea]),
        ({"finished-after": "3d"}, [tea]),
        ({"finished-after": "1d"}, []),
        ({"finished-before": tomorrow}, [tea]),
        ({"version": "v7"}, [pdf]),
        ({"run": str(run)}, [pdf]),
        ({"document": str(document)}, [pdf]),
        ({"model": "m-7"}, [odd]),
    )
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    for wanted, jobs in asked_for:
        params = {name.replace("-", "_"): _at(value) for name, value in wanted.items()}
        shown = asked(app, "GET", "/v1/jobs", params={"feature": mark, **params})
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
    counted = asked(app, "GET", f"/v1/jobs?feature={mark}&include=counts&limit=1").json()["counts"]
    assert counted == {"total": 3, "states": {"failed": 1, "queued": 2}, "reasons": {"unreadable": 1}}
    assert json.loads(docmill("jobs", "--feature", mark, "--counts", "--json").stdout) == counted
    first = docmill("jobs", "--feature", mark, "--limit", "2", "--json")
    assert f"--before {pdf}" in first.stderr
    rest = docmill("jobs", "--feature", mark, "--limit", "2", "--before", str(pdf), "--json")
    assert [json.loads(line)["id"] for line in rest.stdout.splitlines()] == [tea]
    told = docmill("jobs", "--state", "faild", "--json")
    assert (told.returncode, told.stdout, json.loads(told.stderr)["error"]["kind"]) == (1, "", "Misconfigured")
    for query in ("state=faild", "cause=nonsense", "since=soon", "since=7"):
        assert asked(app, "GET", f"/v1/jobs?{query}").status_code == 422


def _at(given: Any) -> Any:
    """A span back as the command takes it, as a time."""
    spans = {f"{days}d": timedelta(days=days) for days in (1, 3)}
    return (datetime.now(UTC) - spans[given]).isoformat() if isinstance(given, str) and given in spans else given


def test_a_list_holds_answers_only_where_they_are_asked_for(
    app: FastAPI, engine: Engine, docmill: Command, servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid4().hex
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", version="v2", body=uuid4().bytes, feature=mark))
        connection.execute(
            text(
                "insert into results (job_id, revision, value, evidence, author)"
                " values (:id, 1, cast(:value as jsonb), '{}', 'model')"
            ),
            {"id": job, "value": json.dumps({"total": 1, "company": "T"})},
        )
    bare = asked(app, "GET", f"/v1/jobs?feature={mark}").json()["jobs"][0]
    assert not {"value", "evidence"} & bare.keys()
    whole = asked(app, "GET", f"/v1/jobs?feature={mark}&include=value").json()["jobs"][0]
    assert list(whole["value"]) == ["company", "total"], "in the order of the schema"
    alone = asked(app, "GET", f"/v1/jobs/{job}").json()
    assert alone | whole == alone
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    assert "value" not in json.loads(docmill("jobs", "--feature", mark, "--json").stdout)
    assert json.loads(docmill("jobs", "--feature", mark, "--values", "--json").stdout)["value"]["total"] == 1


@pytest.mark.parametrize(
    ("wait", "waits_for", "has_end"),
    [("budget", "budget", True), ("rate", "provider", True), ("flight", "same_work", False)],
)
def test_why_a_job_waits_is_no_failure(
    app: FastAPI, engine: Engine, wait: str, waits_for: str, has_end: bool
) -> None:
    mark = uuid4().hex
    with engine.begin() as connection:
        job = submit(
            connection, Submission(prompt="receipt", body=uuid4().bytes, feature=mark, metadata={"order": "17"})
        )
        connection.execute(
            text(
                "update jobs set state = 'held', wait = :wait, since = now(), wake_at = now() + interval '1 hour',"
                " failure = cast(:failure as jsonb) where id = :id"
            ),
            {"id": job, "wait": wait, "failure": json.dumps({"kind": "budget", "message": "it is spent"})},
        )
    for path in (f"/v1/jobs?feature={mark}", f"/v1/jobs/{job}"):
        found = asked(app, "GET", path).json()
        shown = found["jobs"][0] if "jobs" in found else found
        assert shown["failure"] is None
        assert (shown["held"]["for"], shown["held"]["message"]) == (waits_for, "it is spent")
        assert (shown["held"]["until"] is not None) == has_end
        assert shown["held"]["since"] is not None
        assert shown["metadata"] == {"order": "17"}
    assert asked(app, "GET", f"/v1/jobs?feature={mark}&cause=budget").json()["jobs"] == []
    counts = asked(app, "GET", f"/v1/jobs?feature={mark}&include=counts").json()["counts"]
    assert (counts["states"], counts["reasons"]) == ({"held": 1}, {waits_for: 1})


@pytest.mark.parametrize(
    "metadata",
    [7, [], {"a": 1}, {"": "x"}, {"a": "x" * 501}, {"a\n": "x"}, {"x" * 201: ""}, {str(n): "" for n in range(17)}],
    ids=lambda each: repr(each)[:20],
)
def test_what_is_no_metadata_is_refused(app: FastAPI, metadata: Any) -> None:
    wanted = {"prompt": "receipt", "document": "x", "metadata": metadata}
    found = asked(app, "POST", "/v1/jobs", json=wanted)
    assert found.status_code == 422
    assert "metadata" in found.json()["detail"]
