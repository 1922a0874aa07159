"""What a job went through, and what the models saw of it: the same by HTTP, by the command and by the queries."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from db import inspection
from docmill.errors import JobUnknown
from tests.command import Command
from tests.integration.test_api_edges import app_of, asked
from tests.walk import RECEIPT, Walk
from workers.stack.servers import EmbeddedServers

HOSTILE = "EXAMPLE [red]TEA[/x] \x1b[31mHOUSE\nDate: 09/03/2018\nTea 12.50\nTOTAL 12.50"


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


@pytest.fixture
def walked(
    engine: Engine, walk: Callable[..., Walk], monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers
) -> Walk:
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    made = walk(faults={"schema": 1.0})
    made.tenant = "default"
    return made


def seen(engine: Engine, job: int) -> inspection.Inspection:
    with engine.connect() as connection:
        return inspection.inspect(connection, job)


def test_each_call_has_what_was_said_and_each_place_the_words_around_it(
    engine: Engine, walk: Callable[..., Walk]
) -> None:
    walked = walk()
    job = walked.submit(name="In/tea.txt")
    assert walked.to_the_end(job).state == "done"
    found = seen(engine, job)
    assert [(stage.stage, stage.state) for stage in found.stages] == [
        (name, "done") for name in ("validate", "context", "complete", "parse", "store")
    ]
    (call,) = found.calls
    assert [message.role for message in call.messages] == ["system", "user"]
    assert RECEIPT in call.messages[1].content
    assert call.reply is not None
    assert json.loads(call.reply.text)["total"] == 12.5
    assert (call.number, call.state, call.model, call.erased) == (1, "answered", "sim-small", False)
    assert call.settings["max_output_tokens"] > 0
    assert call.cost_usd == found.job.cost_usd
    places = {place.path: place for place in found.places}
    total = places["total"]
    assert (total.value, total.quote, total.page) == (12.5, "12.50", None)
    assert f"{total.before}{total.quote}{total.after}" in RECEIPT
    assert found.shown is not None
    assert (found.shown.passages, found.shown.left_out_chars) == (((0, len(RECEIPT)),), 0)


def test_what_was_wrong_is_told_with_what_was_done(engine: Engine, walked: Walk) -> None:
    job = walked.submit()
    walked.to_the_end(job)
    found = seen(engine, job)
    assert [call.purpose for call in found.calls][:2] == ["first", "correction"]
    assert found.checks[0].kind == "invalid"
    assert found.checks[0].remedy == "correct"
    corrected = found.calls[1].messages
    first = found.calls[0].reply
    assert first is not None
    assert any(first.text in message.content for message in corrected)


def test_it_is_the_same_over_http_and_by_the_command(
    engine: Engine, walked: Walk, app: FastAPI, docmill: Command
) -> None:
    job = walked.submit(HOSTILE, name="[red]x[/x].txt")
    walked.to_the_end(job)
    over_http = asked(app, "GET", f"/v1/jobs/{job}/calls")
    assert over_http.status_code == 200, over_http.text
    told = docmill("jobs", "show", str(job), "--json")
    assert told.returncode == 0, told.stderr
    shown = json.loads(told.stdout.splitlines()[-1])
    for part in ("checks", "places", "shown"):
        assert over_http.json()[part] == shown[part]
    for here, there in zip(over_http.json()["calls"], shown["calls"], strict=True):
        for name in ("id", "messages", "reply", "cost_usd", "settings"):
            assert here[name] == there[name]
    printed = docmill("jobs", str(job))
    assert printed.returncode == 0, printed.stderr
    assert "\x1b[31mHOUSE" not in printed.stdout
    assert "\\x1b[31mHOUSE" in printed.stdout
    assert "EXAMPLE [red]TEA[/x]" in printed.stdout
    assert "EXAMPLE" not in docmill("jobs", "show", str(job), "--no-messages").stdout.partition("Answer")[0]


def test_what_was_erased_is_told_and_another_tenants_job_is_unknown(
    engine: Engine, walk: Callable[..., Walk]
) -> None:
    walked = walk()
    job = walked.submit()
    walked.to_the_end(job)
    with engine.begin() as connection:
        connection.execute(
            text("delete from exchanges where call_id in (select id from calls where job_id = :id)"), {"id": job}
        )
        connection.execute(
            text("update documents set text = null where id = (select document_id from jobs where id = :id)"),
            {"id": job},
        )
        with pytest.raises(JobUnknown):
            inspection.inspect(connection, job, tenant="another")
    found = seen(engine, job)
    assert (found.calls[0].messages, found.calls[0].reply, found.calls[0].erased) == ((), None, True)
    assert {place.quote for place in found.places} == {None}
    assert asked(app_of(engine), "GET", f"/v1/jobs/{job}/calls").status_code == 404


ODD: tuple[Any, ...] = (
    [],
    {},
    "x",
    7,
    None,
    [1],
    [[1]],
    [[2, 1]],
    {"a": {"start": "x"}},
    {"messages": [1, {"role": 1}]},
)


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_what_makes_no_sense_in_a_row_breaks_nothing(
    engine: Engine, app: FastAPI, walk: Callable[..., Walk], odd: Any
) -> None:
    walked = walk()
    walked.tenant = "default"
    job = walked.submit()
    written = {"odd": json.dumps(odd), "id": job}
    with engine.begin() as connection:
        connection.execute(
            text(
                "update jobs set history = cast(:odd as jsonb), context = jsonb_build_object('left_out', cast(:odd as jsonb), 'passages', cast(:odd as jsonb)) where id = :id"
            ),
            written,
        )
        connection.execute(
            text(
                "insert into results (job_id, revision, value, evidence, author) values (:id, 1, '{}', cast(:odd as jsonb), 'a')"
            ),
            written,
        )
        connection.execute(
            text(
                "update documents set pages = cast(:odd as jsonb) where id = (select document_id from jobs where id = :id)"
            ),
            written,
        )
        connection.execute(
            text(
                "with made as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account, model)"
                " values (gen_random_uuid(), :id, 'first', 0, 1, 'failed', 't', 'f', '', '', 'p', 'a', 'm') returning id)"
                " insert into exchanges (call_id, request, reply) select id, cast(:odd as jsonb), cast(:odd as jsonb) from made"
            ),
            written,
        )
    assert asked(app, "GET", f"/v1/jobs/{job}/calls").status_code == 200
