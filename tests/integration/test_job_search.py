"""Searching jobs: whatever is asked for, those that fit are found, in their order, and none else."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, event, select, text

from db import collections, job_search, keys
from db.engine import make_engine
from db.submit import Indexing, index_again, submit_fresh, submit_index
from db.tables import jobs
from db.wanted import Days, Wanted
from tests.integration.test_api_edges import app_of, asked
from workers.stack.servers import EmbeddedServers

BEGAN = datetime(2026, 10, 1, tzinfo=UTC)
JOBS = 400
FIRST = 10_000_000
"""Their ids: those of other tests' jobs are smaller."""
MADE = text(
    """
insert into jobs (id, tenant, feature, usr, lane, prompt, version, state, wait, stage, failure, created_at, finished_at,
  name, path) overriding system value
values (:id, :tenant, :feature, :usr, :lane, :prompt, :version, :state, :wait, 'validate', cast(:failure as jsonb),
  :created_at, :finished_at, :path, :path)
"""
)
ENDS = ("done", "needs_review", "failed", "cancelled")
WAITS = {"queued": ("unsent", "sent"), "running": ("running",), "held": ("budget", "flight")}


def made(dice: random.Random, number: int, job_id: int) -> dict[str, object]:
    state = dice.choice(("done", "done", "done", *ENDS, *WAITS))
    kind = dice.choice(("wrong", "unreadable"))
    created_at = BEGAN + timedelta(hours=number)
    return {
        "id": job_id,
        "tenant": dice.choice(("searched", "searched", "another")),
        "feature": dice.choice(("old", "till")) if number < 100 else "till",
        "usr": f"u{dice.randrange(5)}",
        "lane": dice.choice(("interactive", "bulk")),
        "prompt": dice.choice(("receipt", "invoice")),
        "version": f"v{1 + number // 200}",
        "state": state,
        "wait": dice.choice(WAITS[state]) if state in WAITS else None,
        "failure": f'{{"kind": "{kind}"}}' if state in ("failed", "held") else None,
        "created_at": created_at,
        "finished_at": None if state in WAITS else created_at + timedelta(hours=dice.randrange(40)),
        "path": dice.choice((None, f"Inbox/Müller_{number}%.PDF", f"b/hull-{number % 7}.txt")),
    }


@pytest.fixture(scope="module")
def rows(servers: EmbeddedServers) -> Iterator[Connection]:
    dice = random.Random(7)
    ids = sorted(dice.sample(range(FIRST, FIRST + 300_000), JOBS))
    engine = make_engine(servers.database_url)
    with engine.connect() as connection, connection.begin() as all_of_it:
        connection.execute(MADE, [made(dice, number, job_id) for number, job_id in enumerate(ids)])
        yield connection
        all_of_it.rollback()
    engine.dispose()


WANTED = [
    Wanted(),
    *(Wanted(states=(state,)) for state in (*ENDS, *WAITS)),
    Wanted(states=("failed", "held")),
    Wanted(states=("cancelled", "needs_review"), prompt="receipt"),
    Wanted(prompt="receipt"),
    Wanted(prompt="none"),
    Wanted(feature="old"),
    Wanted(feature="old", user="u3"),
    Wanted(version="v1"),
    Wanted(cause="wrong"),
    Wanted(cause="wrong", states=("failed",), user="u1"),
    Wanted(cause="auth"),
    Wanted(name="müller_1"),
    Wanted(name="%.pdf"),
    Wanted(name="_"),
    Wanted(name="hull-3"),
    Wanted(name="x/"),
    Wanted(name="nothing like it"),
    Wanted(model="none"),
    Wanted(run=77),
    Wanted(since=BEGAN + timedelta(hours=390)),
    Wanted(since=BEGAN + timedelta(days=900)),
    Wanted(created_before=BEGAN + timedelta(hours=20)),
    Wanted(finished_before=BEGAN + timedelta(hours=20), user="u2"),
    Wanted(finished_after=BEGAN + timedelta(hours=420)),
    Wanted(finished_after=BEGAN + timedelta(days=900)),
    Wanted(called=Days(until=(BEGAN + timedelta(days=3)).date(), timezone="UTC")),
]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("few", [2, 3_000])
@pytest.mark.parametrize("place", [(None, None), (FIRST + 150_000, None), (None, FIRST + 100_000)])
def test_whatever_is_asked_for_is_found_page_by_page(
    rows: Connection,
    monkeypatch: pytest.MonkeyPatch,
    wanted: Wanted,
    few: int,
    place: tuple[int | None, int | None],
) -> None:
    bounds = {"A_LOOK": 10, "FURTHEST": 100, "FEW": few, "FEW_ENDED": few, "NEAR": 10}
    for name, value in {**bounds, "MOST_NEIGHBOURHOODS": 3, "FEW_NEIGHBOURHOODS": few % 4}.items():
        monkeypatch.setattr(job_search, name, value)
    wanted = replace(wanted, tenant="searched", before=place[0], after=place[1])
    order = jobs.c.id if wanted.after is not None else jobs.c.id.desc()
    every = list(rows.execute(select(jobs.c.id).where(*wanted.conditions()).order_by(order)).scalars())
    found: list[int] = []
    going = wanted
    for _ in range(JOBS):
        page = job_search.latest(rows, going, limit=40)
        found += page.ids
        edge = page.looked_to if len(page.ids) < 40 else page.ids[-1]
        if edge is None:
            break
        going = replace(going, after=edge) if wanted.after is not None else replace(going, before=edge)
    assert found == every


@contextmanager
def moving(engine: Engine, ids: Sequence[int]) -> Iterator[None]:
    """Before each statement of the engine every one of the jobs begins, or waits again."""
    other = make_engine(engine.url.render_as_string(hide_password=False))

    def move(*_: object) -> None:
        with other.begin() as connection:
            connection.execute(MOVED, {"ids": list(ids)})

    event.listen(engine, "before_cursor_execute", move)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", move)
        other.dispose()


OF_TENANT = """
insert into jobs (tenant, feature, lane, prompt, version, state, wait, turn, finished_at)
select :tenant, :feature, 'bulk', 'receipt', 'v3', :state, :wait, 'begun', case when :state = 'done' then now() end
from generate_series(1, :number) returning id
"""
MOVED = text(
    """
update jobs set state = case state when 'queued' then 'running' else 'queued' end,
  wait = case state when 'queued' then 'running' else 'unsent' end
where id = any(:ids)
"""
)


def some_jobs(engine: Engine, tenant: str, feature: str, number: int, *, state: str = "done") -> list[int]:
    wait = {"queued": "unsent", "running": "running"}.get(state)
    values = {"tenant": tenant, "feature": feature, "number": number, "state": state, "wait": wait}
    with engine.begin() as connection:
        return list(connection.execute(text(OF_TENANT), values).scalars())


def test_jobs_that_move_while_they_are_listed_are_all_listed_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "A_LOOK", 10)
    tenant, app = f"moving-{uuid4().hex[:8]}", app_of(engine, host="0.0.0.0")
    with engine.begin() as connection:
        key = {"authorization": f"Bearer {keys.add(connection, tenant, scopes=['read'])}"}
    waiting = some_jobs(engine, tenant, "wanted", 9, state="queued")
    begun = some_jobs(engine, tenant, "wanted", 9, state="running")
    some_jobs(engine, tenant, "another", 12)
    found: list[int] = []
    cursor: str | None = ""
    with moving(engine, [*waiting, *begun]):
        while cursor is not None:
            page = asked(app, "GET", f"/v1/jobs?feature=wanted&limit=5{cursor}", headers=key).json()
            found += [job["id"] for job in page["jobs"]]
            cursor = page["next"] and f"&cursor={page['next']}"
        pages = [asked(app, "GET", f"{path}?feature=wanted", headers=key).text for path in ("/jobs", "/costs")]
    assert found == sorted([*waiting, *begun], reverse=True)
    for path, page in zip(("/jobs", "/costs"), pages, strict=True):
        assert all(f'href="/jobs/{job_id}"' in page for job_id in found[:10]), path


ENDS_OF_TIME = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00%2B14:00",
    "0001-01-01",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-12:00",
)
TIMES_OF_LISTS = (
    *(f"/v1/jobs?{each}=" for each in ("created_after", "created_before", "finished_after", "finished_before")),
    "/v1/jobs?include=counts&since=",
    "/jobs?since=",
    "/jobs/act?action=retry&since=",
)
DAYS_OF_LISTS = ("/costs?day=", "/v1/costs?since=", "/v1/costs?until=")


def test_lists_take_times_up_to_the_ends_of_the_calendar(engine: Engine) -> None:
    app = app_of(engine)
    asked_for = [f"{path}{end}" for path in TIMES_OF_LISTS for end in ENDS_OF_TIME]
    asked_for += [f"{path}{day}" for path in DAYS_OF_LISTS for day in ("0001-01-01", "9999-12-31")]
    told = {path: asked(app, "GET", path).status_code for path in asked_for}
    assert {path: status for path, status in told.items() if status not in (200, 422)} == {}
    assert [told[f"/v1/jobs?created_before={ENDS_OF_TIME[3]}"], told["/costs?day=9999-12-31"]] == [200, 200]


ASKED_ONCE = """
insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version, input_hash, provider,
  account, model, cost_usd, finished_at, input_tokens, output_tokens)
values (gen_random_uuid(), :job, 'first', 0, 1, 'answered', :tenant, 'default', '', 'receipt', 'v3', '', 'p', 'a',
  'rare-model', 5, now(), 1, 1)
"""


def test_the_costs_lead_to_a_job_that_is_far_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_search, "A_LOOK", 10)
    monkeypatch.setattr(job_search, "FURTHEST", 20)
    tenant, app = f"dear-{uuid4().hex[:8]}", app_of(engine, host="0.0.0.0")
    (dear,) = some_jobs(engine, tenant, "rare", 1)
    some_jobs(engine, tenant, "another", 70)
    with engine.begin() as connection:
        key = {"authorization": f"Bearer {keys.add(connection, tenant, scopes=['read'])}"}
        connection.execute(text(ASKED_ONCE), {"job": dear, "tenant": tenant})
    path, pages = "/costs?model=rare-model", 0
    while f'href="/jobs/{dear}"' not in (page := asked(app, "GET", path, headers=key).text):
        assert "No jobs here." not in page
        assert "there may be more that fit" in page
        (older,) = re.findall(r'href="([^"#]*)[^"]*">Older<', page)
        path, pages = html.unescape(older), pages + 1
    assert pages == 2


def index_unnamed(connection: Connection, tenant: str) -> list[int]:
    """Jobs without a path, each submitted in a way of its own, of a document with a name."""
    into = collections.ensure(connection, tenant, "wharf", "sim-embed")
    body = uuid4().bytes
    named = submit_index(connection, Indexing(tenant=tenant, collection="wharf", body=body, name="Hammers.pdf"))
    document = connection.execute(select(jobs.c.document_id).where(jobs.c.id == named)).scalar_one()
    connection.execute(text(INDEXED), {"collection": into.id, "document": document})
    unnamed = submit_index(connection, Indexing(tenant=tenant, collection="wharf", body=body))
    (again,) = index_again(connection, tenant, "wharf", [document])
    # As code of an older version left one.
    connection.execute(text("update jobs set path = null where id = :id"), {"id": named})
    return [unnamed, again, submit_fresh(connection, named).id]


INDEXED = """
insert into collection_documents (collection_id, document_id, language) values (:collection, :document, 'english')
"""
ENDED = (
    "update jobs set state = 'done', wait = null, finished_at = now() where tenant = :tenant and wait is not null"
)


def test_jobs_without_a_path_are_found_by_their_documents_name(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "A_LOOK", 10)
    tenant, app = f"unnamed-{uuid4().hex[:8]}", app_of(engine, host="0.0.0.0")
    with engine.begin() as connection:
        key = {"authorization": f"Bearer {keys.add(connection, tenant, scopes=['read'])}"}
        made = index_unnamed(connection, tenant)
        connection.execute(text(ENDED), {"tenant": tenant})
    some_jobs(engine, tenant, "later", 12)
    page = asked(app, "GET", "/v1/jobs?name=hammers", headers=key).json()
    assert [job["id"] for job in page["jobs"]] == sorted(made, reverse=True)
