"""Runs over HTTP: begun, filled line by line, read while they go, tried again and cancelled by cause."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db import keys, runs
from tests.integration.test_api_edges import app_of, asked

WANTED = {"name": "March [red]", "prompt": "receipt", "feature": "f", "expected": 3}


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def begun(app: FastAPI, **changes: Any) -> int:
    found = asked(app, "POST", "/v1/runs", json=WANTED | changes)
    assert found.status_code == 201, found.text
    assert found.headers["location"] == f"/v1/runs/{found.json()['id']}"
    return int(found.json()["id"])


def sent(app: FastAPI, run: int, *lines: Any, **options: Any) -> list[dict[str, Any]]:
    written = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    found = asked(app, "POST", f"/v1/runs/{run}/jobs", content=written, **options)
    assert (found.status_code, found.headers["content-type"]) == (200, "application/x-ndjson"), found.text
    return [json.loads(line) for line in found.text.splitlines()]


def line(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "document": f"TEA {uuid4()}\nTOTAL 1.00", "name": f"in/{key}.txt", **more}


def ends(engine: Engine, job: int, state: str, value: Any = None, kind: str | None = None) -> None:
    with engine.begin() as connection:
        failure = None if kind is None else json.dumps({"kind": kind, "message": "=1+1"})
        connection.execute(
            text(
                "update jobs set state = :state, wait = null, finished_at = now(), failure = cast(:failure as jsonb)"
                " where id = :id"
            ),
            {"id": job, "state": state, "failure": failure},
        )
        if value is not None:
            connection.execute(
                text(
                    "insert into results (job_id, revision, value, author) values (:id, 1, cast(:value as jsonb), 'm')"
                ),
                {"id": job, "value": json.dumps(value)},
            )


def test_lines_become_jobs_and_each_is_one_however_often_it_comes(app: FastAPI, engine: Engine) -> None:
    run = begun(app)
    first = [line("a", metadata={"order": "17"}, params={"currency": "EUR"}), line("b")]
    made = sent(app, run, *first)
    assert [(each["line"], each["key"], each["new"]) for each in made] == [(1, "a", True), (2, "b", True)]
    again = sent(app, run, *first, line("c"))
    assert [each["id"] for each in again][:2] == [each["id"] for each in made]
    assert [each["new"] for each in again] == [False, False, True]
    other = sent(app, run, {**first[0], "document": "other"}, first[1], line("d"), line("d"))
    assert (other[0]["problem"]["status"], other[0]["problem"]["code"]) == (409, "idempotency-conflict")
    assert f"job {made[0]['id']}" in other[0]["problem"]["detail"]
    assert [each.get("new") for each in other[1:]] == [False, True, None], "one key, two documents"
    job = asked(app, "GET", f"/v1/jobs/{made[0]['id']}").json()
    assert (job["run_id"], job["path"], job["feature"], job["metadata"]) == (run, "in/a.txt", "f", {"order": "17"})
    assert [each["id"] for each in asked(app, "GET", f"/v1/jobs?run={run}").json()["jobs"]] == sorted(
        {each["id"] for each in (*again, *other) if "id" in each}, reverse=True
    )


def test_a_line_that_is_wrong_keeps_no_other_from_being_submitted(app: FastAPI) -> None:
    run = begun(app)
    wrong: list[Any] = [
        b"{", b"[]", b"\xff", b"7", {"key": "x"}, line(""), line("k" * 151), line("k", colour="red"),
        line("k", document=""), line("k", params=[]), line("k", deadline=-1), line("k", metadata={"a": 1}),
        line("k", name="a\nb"), line("k\x00"), line("k", document="a\x00b"), b'{"key": "k", "document": "\\ud800"}',
    ]  # fmt: skip
    found = sent(app, run, *wrong, b"", line("good"))
    assert len(found) == len(wrong) + 1
    for each in found[:-1]:
        if each["key"] is None or "problem" in each:
            problem = each["problem"]
            assert (problem["status"], problem["code"] in ("invalid", "submit-refused")) == (422, True), each
            assert problem["type"] == f"/problems/{problem['code']}"
    assert found[-1]["new"]
    assert sum("id" in each for each in found) >= 1


def test_what_is_no_run_is_told(app: FastAPI, engine: Engine) -> None:
    run = begun(app)
    for path, options, status in (
        ("/v1/runs", {"json": {"name": "x"}}, 422),
        ("/v1/runs", {"json": WANTED | {"prompt": "recipt"}}, 422),
        ("/v1/runs", {"json": WANTED | {"name": ""}}, 422),
        ("/v1/runs", {"content": b"\xff[", "headers": {"content-type": "application/json"}}, 422),
        ("/v1/runs", {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 422),
        ("/v1/runs", {"json": WANTED | {"colour": "red"}}, 422),
        (f"/v1/runs/{run}/jobs", {"content": b"\n\n"}, 422),
        (f"/v1/runs/{run}/jobs", {"content": b"{}\n" * 1001}, 422),
        ("/v1/runs/999999999/jobs", {"content": b"{}"}, 404),
        ("/v1/runs/999999999/retry", {}, 404),
        ("/v1/runs/999999999/cancel", {}, 404),
        ("/v1/runs/999999999/close", {}, 404),
    ):
        found = asked(app, "POST", path, **options)
        assert (found.status_code, found.headers["content-type"]) == (status, "application/problem+json"), path
    for rest in ("", "/results.ndjson", "/results.csv", "/events"):
        assert asked(app, "GET", f"/v1/runs/999999999{rest}").status_code == 404
    with engine.begin() as connection:
        connection.execute(text("update runs set closed_at = now() where id = :id"), {"id": run})
    assert asked(app, "POST", f"/v1/runs/{run}/jobs", content=json.dumps(line("a"))).status_code == 409


def test_a_run_that_is_closed_takes_no_more_and_has_ended_with_its_last_job(app: FastAPI, engine: Engine) -> None:
    key = {"idempotency-key": uuid4().hex}
    wanted = WANTED | {"expected": None}

    def shown(method: str = "GET", rest: str = "") -> dict[str, Any]:
        found: dict[str, Any] = asked(app, method, f"/v1/runs/{run}{rest}").json()
        return found

    run = int(asked(app, "POST", "/v1/runs", json=wanted, headers=key).json()["id"])
    assert (shown()["state"], shown()["closed_at"]) == ("running", None), "nothing has come yet"
    (made,) = sent(app, run, line("a"))
    ends(engine, made["id"], "done")
    assert shown()["state"] == "running", "more may come"
    closed = shown("POST", "/close")
    assert (closed["state"], closed["closed_at"] is not None, closed["open"]) == ("ended", True, 0)
    assert shown("POST", "/close")["closed_at"] == closed["closed_at"]
    (listed,) = asked(app, "GET", "/v1/runs?limit=1").json()["runs"]
    assert (listed["id"], listed["state"]) == (run, "ended")
    refused = asked(app, "POST", f"/v1/runs/{run}/jobs", content=json.dumps(line("b")))
    assert (refused.status_code, jobs_of(engine, run)) == (409, 1)
    again = asked(app, "POST", "/v1/runs", json=wanted, headers=key).json()
    assert again["id"] == run, "the request that began it comes again, late"
    asked(app, "POST", f"/v1/runs/{run}/retry?fresh=true&state=done")
    assert shown()["state"] == "running", "what is asked afresh is of the run, which ends once more"


def test_a_run_with_as_many_as_were_expected_needs_no_close(app: FastAPI, engine: Engine) -> None:
    run = begun(app, expected=2)
    for key, state in (("a", "running"), ("b", "ended")):
        (made,) = sent(app, run, line(key))
        ends(engine, made["id"], "failed", kind="poison")
        assert asked(app, "GET", f"/v1/runs/{run}").json()["state"] == state


def test_nothing_comes_to_a_run_after_its_close(app: FastAPI, engine: Engine) -> None:
    """Who submits just then is waited for, or is refused."""
    run = begun(app, expected=None)
    with engine.connect() as filling, ThreadPoolExecutor(1) as pool:
        runs.find(filling, run, fills=True)
        closing = pool.submit(asked, app, "POST", f"/v1/runs/{run}/close")
        with pytest.raises(TimeoutError):
            closing.result(0.3)
        filling.rollback()
        assert closing.result(10).json()["state"] == "ended"


def test_a_key_whose_run_is_closed_just_now_begins_no_other(app: FastAPI, engine: Engine) -> None:
    key = {"idempotency-key": uuid4().hex}
    run = int(asked(app, "POST", "/v1/runs", json=WANTED, headers=key).json()["id"])
    with engine.connect() as closing, ThreadPoolExecutor(1) as pool:
        runs.close(closing, run)
        again = pool.submit(asked, app, "POST", "/v1/runs", json=WANTED, headers=key)
        with pytest.raises(TimeoutError):
            again.result(0.3)
        closing.commit()
        assert again.result(10).json()["id"] == run
    assert asked(app, "GET", "/v1/runs?limit=1").json()["runs"][0]["id"] == run, "there is no later one"


def test_a_runs_events_go_on_until_no_more_of_it_is_known_to_come(
    app: FastAPI, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.runs.FOLLOW_EVERY_S", 0.02)
    run = begun(app, expected=None)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(asked, app, "GET", f"/v1/runs/{run}/events")
        with pytest.raises(TimeoutError):
            following.result(0.3)
        asked(app, "POST", f"/v1/runs/{run}/close")
        told = [json.loads(each.split("data: ")[1])["state"] for each in events_in(following.result(10).text)]
    assert told == ["running", "ended"]


def events_in(written: str) -> list[str]:
    return [each for each in written.split("\n\n") if each.startswith("event: run")]


def test_one_idempotency_key_is_one_run(app: FastAPI) -> None:
    key = {"idempotency-key": uuid4().hex}
    made = [asked(app, "POST", "/v1/runs", json=WANTED, headers=key).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert asked(app, "POST", "/v1/runs", json=WANTED | {"name": "April"}, headers=key).status_code == 409


def test_a_run_tells_how_far_it_is_and_its_results_are_read_while_it_goes(app: FastAPI, engine: Engine) -> None:
    run = begun(app)
    done, failed, waiting = (each["id"] for each in sent(app, run, line("a"), line("b"), line("c")))
    value = {"total": -1.5, "company": "=cmd", "lines": [{"name": "Tea"}]}
    ends(engine, done, "done", value)
    ends(engine, failed, "failed", kind="unreadable")
    shown = asked(app, "GET", f"/v1/runs/{run}").json()
    assert (shown["total"], shown["expected"], shown["open"], shown["ended"]) == (3, 3, 1, 2)
    assert shown["states"] == {"done": 1, "failed": 1, "queued": 1}
    assert shown["reasons"] == {"unreadable": 1}
    assert (shown["cost_usd"], shown["accepted_usd_each"]) == ("0", "0")
    assert shown["per_minute"] > 0
    assert shown["eta_s"] > 0
    assert [(each["id"], each["failure"]["kind"]) for each in shown["first_failures"]] == [(failed, "unreadable")]
    listed = asked(app, "GET", "/v1/runs?limit=1").json()
    assert (listed["runs"][0]["id"], listed["runs"][0]["states"]) == (run, shown["states"])
    assert listed["next"] in (run, None)
    found = asked(app, "GET", f"/v1/runs/{run}/results.ndjson")
    lines = [json.loads(each) for each in found.text.splitlines()]
    assert [(each["id"], each["state"], each["value"]) for each in lines] == [
        (done, "done", value), (failed, "failed", None), (waiting, "queued", None),
    ]  # fmt: skip
    only = asked(app, "GET", f"/v1/runs/{run}/results.ndjson?state=failed").text
    assert json.loads(only)["id"] == failed
    sheet = asked(app, "GET", f"/v1/runs/{run}/results.csv")
    assert "attachment" in sheet.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(sheet.text, newline="")))
    assert [row["id"] for row in rows] == [str(done), str(failed), str(waiting)]
    assert (rows[0]["total"], rows[0]["company"], rows[1]["message"]) == ("-1.5", "'=cmd", "'=1+1")
    assert json.loads(rows[0]["lines"]) == value["lines"]
    ends(engine, waiting, "cancelled")
    events = asked(app, "GET", f"/v1/runs/{run}/events").text
    assert events.startswith("event: run\ndata: ")
    assert json.loads(events.split("data: ")[1])["open"] == 0


def test_a_retry_by_failure_touches_those_alone_and_says_its_price_first(app: FastAPI, engine: Engine) -> None:
    run = begun(app)
    jobs = [each["id"] for each in sent(app, run, *(line(key) for key in "abcd"))]
    for job, kind in zip(jobs, ("poison", "poison", "unreadable"), strict=False):
        ends(engine, job, "failed", kind=kind)
    price = asked(app, "POST", f"/v1/runs/{run}/retry?failure=poison&dry_run=true").json()
    assert (price["jobs"], price["left"], price["price"]["jobs"]) == (0, 2, 2)
    assert price["price"]["unknown"] in (0, 2), "known where something was paid for this prompt already"
    assert asked(app, "GET", f"/v1/runs/{run}").json()["states"] == {"failed": 3, "queued": 1}
    done = asked(app, "POST", f"/v1/runs/{run}/retry?failure=poison").json()
    assert (done["jobs"], done["left"], done["refused"]) == (2, 0, {})
    assert asked(app, "GET", f"/v1/runs/{run}").json()["reasons"] == {"unreadable": 1}
    fresh = asked(app, "POST", f"/v1/runs/{run}/retry?fresh=true").json()
    assert fresh["jobs"] == 1
    assert asked(app, "GET", f"/v1/runs/{run}").json()["total"] == 5, "a new job is of the same run"
    cancelled = asked(app, "POST", f"/v1/runs/{run}/cancel").json()
    assert (cancelled["jobs"], cancelled["price"]) == (4, None)
    assert asked(app, "GET", f"/v1/runs/{run}").json()["states"] == {"cancelled": 4, "failed": 1}


def test_a_runs_jobs_are_asked_afresh_once_each_and_all_of_them(
    app: FastAPI, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.runs.MOST_AT_ONCE", 2)
    run = begun(app)
    old = [each["id"] for each in sent(app, run, *(line(key) for key in "abcde"))]
    for job in old:
        ends(engine, job, "failed", kind="poison")
    made: list[int] = []
    address, once = f"/v1/runs/{run}/retry?fresh=true", {"idempotency-key": uuid4().hex}
    done = asked(app, "POST", address, headers=once).json()
    assert (done["jobs"], done["left"]) == (2, 3)
    assert asked(app, "POST", address, headers=once).json()["jobs"] == 2, "the same two, and no others"
    assert jobs_of(engine, run) == 7
    with engine.begin() as connection:  # what was made meanwhile fails, too, and is not meant
        connection.execute(
            text("update jobs set state = 'failed', wait = null, finished_at = now() where run_id = :run"),
            {"run": run},
        )
    while done["next"] is not None:
        done = asked(app, "POST", f"{address}&cursor={done['next']}", headers=once).json()
        made.append(done["jobs"])
    assert made == [2, 1]
    assert jobs_of(engine, run) == 10
    assert asked(app, "POST", f"{address}&cursor=x").status_code == 422


def jobs_of(engine: Engine, run: int) -> int:
    with engine.connect() as connection:
        found = connection.execute(text("select count(*) from jobs where run_id = :run"), {"run": run})
        return int(found.scalar_one())


def test_another_tenants_run_is_unknown(app: FastAPI, engine: Engine) -> None:
    run = begun(app)
    with engine.begin() as connection:
        made = keys.add(connection, f"t-{uuid4()}")
    held = {"authorization": f"Bearer {getattr(made, 'key', made)}"}
    for method, rest in (
        ("GET", ""), ("GET", "/results.ndjson"), ("GET", "/results.csv"), ("GET", "/events"), ("POST", "/retry"),
        ("POST", "/cancel"), ("POST", "/close"),
    ):  # fmt: skip
        assert asked(app, method, f"/v1/runs/{run}{rest}", headers=held).status_code == 404, rest
    assert (
        asked(app, "POST", f"/v1/runs/{run}/jobs", content=json.dumps(line("a")), headers=held).status_code == 404
    )
    assert asked(app, "GET", "/v1/runs", headers=held).json()["runs"] == []
