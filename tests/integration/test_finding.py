"""The search of the header: an id, a key or a hash leads straight to what has it, and no further than the tenant."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from db import collections, finding, runs
from db.submit import Submission, submit
from tests.fuzz.hostile import texts
from tests.integration.test_api_edges import app_of, asked

BROWSER = {"accept": "text/html"}
CALL = """
insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, input_hash, provider, account, model,
  request_id)
values (gen_random_uuid(), :job, 'first', 0, 1, 'answered', 'default', 'f', '', 'receipt', '', 'openai', 'default', 'm', :id)
"""


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def submitted(connection: Connection, *, tenant: str = "default", **more: Any) -> int:
    wanted = Submission(prompt="receipt", body=uuid4().bytes, tenant=tenant, feature="f", **more)
    return submit(connection, wanted)


def led_to(app: FastAPI, words: str) -> str:
    found = asked(app, "GET", "/search", params={"q": words}, headers=BROWSER)
    assert found.status_code == 303, found.text
    return found.headers["location"]


def test_what_is_called_so_is_shown_at_once(app: FastAPI, engine: Engine, owner: Engine) -> None:
    key, request, name = uuid4().hex, f"req_{uuid4().hex}", uuid4().hex
    with owner.begin() as connection:  # ids that no other table has
        for sequence in ("jobs_id_seq", "documents_id_seq", "runs_id_seq"):
            connection.execute(text("select setval(:name, :to)"), {"name": sequence, "to": uuid4().int % 2**40})
    with engine.begin() as connection:
        job = submitted(connection, idem_key=key)
        document = connection.execute(
            text("select d.id, encode(d.sha256, 'hex') as hash from jobs join documents d on d.id = document_id"
                 " where jobs.id = :id"), {"id": job}
        ).one()  # fmt: skip
        run = runs.begin(connection, tenant="default", name=name, cause="api", submit={}, expected=None)
        connection.execute(text(CALL), {"job": job, "id": request})
        collections.ensure(connection, "default", f"c{name}", "offline")
    assert led_to(app, f" {job} ") == f"/jobs/{job}"
    assert led_to(app, str(document.id)) == led_to(app, document.hash.upper()) == f"/documents/{document.id}"
    assert led_to(app, str(run.id)) == f"/runs/{run.id}"
    assert led_to(app, key) == led_to(app, request) == f"/jobs/{job}"
    assert led_to(app, f"c{name}") == f"/collections/c{name}"
    assert led_to(app, "receipt") == "/prompts/receipt"
    assert led_to(app, "hull 7.pdf") == "/jobs?name=hull+7.pdf"
    assert led_to(app, "   ") == "/jobs"


def test_of_several_there_is_a_choice(app: FastAPI, engine: Engine) -> None:
    with engine.begin() as connection:
        first = submitted(connection, name="<b>one</b>")
        other = submitted(connection, idem_key=str(first))
    page = asked(app, "GET", "/search", params={"q": str(first)}, headers=BROWSER)
    assert page.status_code == 200
    assert f'href="/jobs/{first}"' in page.text
    assert f'href="/jobs/{other}"' in page.text
    assert "<b>one" not in page.text


def test_another_tenants_things_are_not_found(app: FastAPI, engine: Engine) -> None:
    key = uuid4().hex
    with engine.begin() as connection:
        job = submitted(connection, tenant="stranger", idem_key=key)
    assert led_to(app, key) == f"/jobs?name={key}"
    with engine.connect() as connection:
        assert not [each for each in finding.find(connection, "default", str(job)) if each.kind == "job"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.one_of(
        texts().map(lambda text: text[:2000]),
        st.integers(0, 10**25).map(str),
        st.from_regex(r"[0-9a-f]{63,65}", fullmatch=True),
    )
)
def test_whatever_is_looked_for_is_found_or_refused(app: FastAPI, words: str) -> None:
    words = words.encode("utf-8", "replace").decode()
    found = asked(app, "GET", "/search", params={"q": words}, headers=BROWSER)
    assert found.status_code in (200, 303, 422), found.text
