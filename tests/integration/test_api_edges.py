"""What the API refuses, and what it does while something that it needs is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from celery import Celery
from fastapi import FastAPI
from sqlalchemy import Engine, text

from bench.collection import filled
from db import keys, reports, transitions
from db.database import Database
from db.engine import make_engine
from db.fleet import see_worker
from db.submit import Submission, submit
from docmill.settings import Settings
from prompts import Registry
from tasks.celery import broker
from tasks.chain import publish
from tasks.services import Services
from tasks.upkeep.tick import start_waiting
from web import jobs
from web.app import make_app
from web.fleet import Fleet
from web.limits import FORM_BYTES, MOST_BYTES, Bounds
from workers.stack.servers import EmbeddedServers

IDLE = Fleet(start=lambda: None, check=lambda: None)
NOWHERE = "postgresql://me:sesame@127.0.0.1:1/none"
JSON = {"content-type": "application/json"}


def app_of(
    engine: Engine,
    *,
    host: str = "127.0.0.1",
    fleet: Fleet = IDLE,
    services: Services | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
) -> FastAPI:
    made = services or Services(
        settings=Settings(), database=Database(engine), registry=Registry(), publish=lambda _: None, owner="api"
    )
    return make_app(made, host=host, fleet=fleet, bounds=bounds)


def asked(
    app: FastAPI, method: str, path: str, *, base: str = "http://127.0.0.1", **options: Any
) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask())


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


def receipt(**changes: object) -> dict[str, object]:
    return {"prompt": "receipt", "document": f"TEA {uuid4().hex}\nTOTAL 4.10", **changes}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body: Invalid JSON"),
        (b"\xff\xfe", "the body: Invalid JSON"),
        (b"[" * 100_000, "the body: Invalid JSON"),
        (b"[]", "the body: Input should be an object"),
        (b'{"prompt": "receipt"}', "document: Field required"),
        (b'{"prompt": "receipt", "document": ""}', "document: String should have at least 1 character"),
        (b'{"prompt": "receipt", "document": 7}', "document: Input should be a valid string"),
        (b'{"prompt": "receipt", "document": "x", "documnet": "y"}', "documnet: Extra inputs"),
        (b'{"prompt": "recipt", "document": "x"}', "did you mean receipt"),
        (b'{"prompt": "../receipt", "document": "x"}', "there is no prompt"),
        (b'{"prompt": "receipt", "version": "v99", "document": "x"}', "has no version 'v99'"),
        (b'{"prompt": "receipt", "document": "x", "lane": "fast"}', "lane: Input should be 'interactive' or 'bulk'"),
        (b'{"prompt": "receipt", "document": "x", "feature": "a\\u0000b"}', "feature: String should match"),
        (b'{"prompt": "receipt", "document": "x", "user": "\\ud800"}', "the body: Invalid JSON"),
        (b'{"prompt": "receipt", "document": "x", "deadline": -1}', "deadline"),
        (b'{"prompt": "receipt", "document": "x", "deadline": 1e300}', "deadline"),
        (b'{"prompt": "receipt", "document": "x", "deadline": "soon"}', "deadline"),
        (b'{"prompt": "receipt", "document": "x", "deadline": "9999-12-31T23:00:00-14:00"}', "deadline"),
        (b'{"prompt": "receipt", "document": "x", "params": {"a": "\\u0000"}}', "params: Value error, no NUL"),
        (b'{"prompt": "receipt", "document": "x", "params": {"a": NaN}}', "params: Value error, finite numbers"),
        (b'{"prompt": "receipt", "document": "x", "params": []}', "params: Input should be an object"),
        (b'{"prompt": "receipt", "document": "x", "params": {"a": "%s"}}' % (b"y" * 100_001), "at most 100 KB"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_submit_is_refused_with_what_is_wrong(app: FastAPI, body: bytes, told: str) -> None:
    found = asked(app, "POST", "/v1/jobs", content=body, headers=JSON)
    assert (found.status_code, found.headers["content-type"]) == (422, "application/problem+json")
    assert told in found.json()["detail"]
    assert b"yyyy" not in found.content, "no value is quoted"


def test_a_form_is_checked_like_json(app: FastAPI) -> None:
    def sent(status: int, told: str, **options: Any) -> None:
        found = asked(app, "POST", "/v1/jobs", **options)
        assert found.status_code == status
        assert told in found.json()["detail"]

    file = {"file": ("a.txt", b"TOTAL 4.10")}
    sent(422, "file: Field required, as an upload", data={"prompt": "receipt"}, files={"other": b"x"})
    sent(422, "prompt: Field required", files=file)
    sent(422, "colour: Extra inputs", data={"prompt": "receipt", "colour": "red"}, files=file)
    sent(422, "params: JSON, as a text", data={"prompt": "receipt", "params": "{"}, files=file)
    sent(422, "params: JSON, as a text", data={"prompt": "receipt", "params": '{"a": NaN}'}, files=file)
    sent(422, "deadline", data={"prompt": "receipt", "deadline": "inf"}, files=file)
    sent(400, "Too many files", data={"prompt": "receipt"}, files=[("file", b"x"), ("file", b"y")])
    sent(400, "boundary", content=b"x", headers={"content-type": "multipart/form-data"})
    sent(415, "application/json", content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"})


def test_an_upload_is_kept_by_the_last_part_of_its_name_and_a_media_type_that_is_one(
    app: FastAPI, engine: Engine
) -> None:
    file = ("../../etc/\x07pass\nwd\u202e.txt", uuid4().bytes, "text/<script>; charset=\x07")
    found = asked(app, "POST", "/v1/jobs", data={"prompt": "receipt"}, files={"file": file}).json()
    assert found["name"].endswith(".txt")
    assert found["name"].isprintable()
    assert not set("/\\") & set(found["name"])
    with engine.connect() as connection:
        media_type = connection.execute(
            text("select media_type from documents d join jobs j on j.document_id = d.id where j.id = :id"), found
        ).scalar_one()
    assert media_type == "application/octet-stream"


def test_what_is_too_large_is_refused_whatever_it_says_of_itself(app: FastAPI) -> None:
    taken = 0

    async def endless() -> object:
        nonlocal taken
        while True:
            taken += 2**20
            yield b" " * 2**20

    for path, most in (("/v1/jobs", MOST_BYTES + FORM_BYTES), ("/v1/forecast", FORM_BYTES)):
        taken = 0
        found = asked(app, "POST", path, content=endless(), headers=JSON)
        assert (found.status_code, found.headers["content-type"]) == (413, "application/problem+json")
        assert taken <= most + 2 * 2**20
    said = asked(app, "POST", "/v1/jobs", content=b"{}", headers={**JSON, "content-length": "99999999999"})
    assert said.status_code == 413


def test_keys_are_needed_beyond_loopback_and_from_foreign_pages(engine: Engine) -> None:
    hosts = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.5")
    found = [asked(app_of(engine, host=host), "GET", "/v1/jobs").status_code for host in hosts]
    assert found == [200, 200, 200, 401, 401]
    app = app_of(engine)
    assert asked(app, "GET", "/v1/jobs", base="http://rebound.example").status_code == 401
    foreign = {"sec-fetch-site": "cross-site"}
    assert asked(app, "POST", "/v1/jobs", json=receipt(), headers=foreign).status_code == 401
    assert asked(app, "GET", "/costs", headers=foreign).status_code == 200, "a link to the page is harmless"


@pytest.fixture
def key(engine: Engine) -> str:
    with engine.begin() as connection:
        return keys.add(connection, f"tenant-{uuid4().hex}")


def test_a_wrong_or_revoked_key_is_told_and_a_browser_may_give_it_as_a_password(engine: Engine, key: str) -> None:
    app = app_of(engine, host="0.0.0.0")
    for wrong in ("Bearer", "Bearer dm_no_key", f"Basic {key}", f"Bearer {key}x", "Bearer \xff", "Digest x"):
        found = asked(app, "GET", "/v1/jobs", headers={"authorization": wrong.encode("latin-1")})
        assert (found.status_code, found.headers["content-type"]) == (401, "application/problem+json")
        assert found.headers["www-authenticate"].startswith("Bearer")
    assert asked(app, "GET", "/costs", auth=("", key)).status_code == 200
    assert asked(app, "POST", "/v1/jobs", json=receipt(), auth=("", key)).status_code == 401, "no form may use it"
    assert (
        asked(app, "POST", "/v1/jobs", json=receipt(), headers={"authorization": f"Bearer {key}"}).status_code
        == 202
    )
    with engine.begin() as connection:
        keys.revoke(connection, key.split("_")[1])
    assert asked(app, "GET", "/v1/jobs", headers={"authorization": f"Bearer {key}"}).status_code == 401


def under(key: str) -> dict[str, str]:
    return {"idempotency-key": key}


def test_a_submit_says_where_its_job_is_and_whether_it_is_told_again(app: FastAPI) -> None:
    wanted, key = receipt(), under(uuid4().hex)
    first, again = (asked(app, "POST", "/v1/jobs", json=wanted, headers=key) for _ in range(2))
    assert first.headers["location"] == again.headers["location"] == f"/v1/jobs/{first.json()['id']}"
    assert (first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed")) == (None, "true")
    assert "idempotent-replayed" not in asked(app, "POST", "/v1/jobs", json=receipt()).headers


def test_what_is_asked_afresh_is_bought_once_under_a_key(app: FastAPI, engine: Engine) -> None:
    wanted, submitted = receipt(), under(uuid4().hex)
    old, other = (
        asked(app, "POST", "/v1/jobs", json=each, headers=headers).json()["id"]
        for each, headers in ((wanted, submitted), (receipt(), {}))
    )

    def afresh(job: int, headers: dict[str, str]) -> httpx.Response:
        return asked(app, "POST", f"/v1/jobs/{job}/retry?fresh=true", headers=headers)

    key = under(uuid4().hex)
    first, again = afresh(old, key), afresh(old, key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert old != first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"] == f"/v1/jobs/{first.json()['id']}"
    assert (first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed")) == (None, "true")
    assert first.json()["idempotency_key"] == key["idempotency-key"]
    for conflict in (
        afresh(other, key),
        afresh(old, submitted),
        asked(app, "POST", "/v1/jobs", json=wanted, headers=key),
    ):
        assert (conflict.status_code, "new" in conflict.json()["detail"]) == (409, True), conflict.text
    assert len({afresh(old, each).json()["id"] for each in ({}, {}, under(uuid4().hex))}) == 3, "other wishes"
    with engine.connect() as connection:
        made = text("select count(*) from jobs where afresh_of = :id")
        assert connection.execute(made, {"id": old}).scalar_one() == 4


def test_another_tenants_job_is_a_404_whatever_is_asked_of_it(app: FastAPI, key: str) -> None:
    job = asked(app, "POST", "/v1/jobs", json=receipt()).json()["id"]
    foreign = {"authorization": f"Bearer {key}"}
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/retry"), ("POST", "/retry?fresh=1"), ("POST", "/cancel")):  # fmt: skip
        found = asked(app, method, f"/v1/jobs/{job}{path}", headers=foreign)
        assert (found.status_code, found.json()["detail"]) == (
            404,
            f"there is no job {job}: `docmill jobs` lists them",
        )
    assert asked(app, "GET", "/v1/jobs", headers=foreign).json()["jobs"] == []
    assert asked(app, "GET", "/v1/costs", headers=foreign).json()["rows"] == []


def test_another_tenants_collection_is_a_404_whatever_is_asked_of_it(
    app: FastAPI, engine: Engine, key: str
) -> None:
    name, foreign = f"c-{uuid4()}", {"authorization": f"Bearer {key}"}
    with engine.begin() as connection:
        ours = filled(connection, name, [("tide", "The gate closes at high tide.")])
        connection.execute(text("update collections set tenant = 'default' where id = :id"), {"id": ours.id})
    assert asked(app, "GET", f"/v1/collections/{name}/search?q=gate").status_code == 200
    for method, path, body in (
        ("GET", "/search?q=gate", None),
        ("POST", "/ask", {"question": "gate?"}),
        ("DELETE", "/documents/1", None),
    ):
        found = asked(app, method, f"/v1/collections/{name}{path}", headers=foreign, json=body)
        assert (found.status_code, "there is no collection" in found.json()["detail"]) == (404, True)
    listed = asked(app, "GET", "/v1/collections", headers=foreign).json()
    assert listed == {"collections": []}


def test_a_key_makes_a_submit_safe_to_repeat_and_another_body_a_conflict(app: FastAPI) -> None:
    headers, body = {"idempotency-key": uuid4().hex}, receipt()
    first, again = (asked(app, "POST", "/v1/jobs", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    for other in (receipt(), {**body, "feature": "other"}, {**body, "params": {"a": 1}}):
        found = asked(app, "POST", "/v1/jobs", json=other, headers=headers)
        assert (found.status_code, found.headers["content-type"]) == (409, "application/problem+json")
        assert "was used for another submit" in found.json()["detail"]
    assert asked(app, "POST", "/v1/jobs", json=body, headers={"idempotency-key": ""}).status_code == 422


def test_a_method_that_a_path_does_not_take_names_those_that_it_takes(app: FastAPI) -> None:
    found = asked(app, "DELETE", "/v1/jobs")
    assert (found.status_code, found.headers["content-type"]) == (405, "application/problem+json")
    assert sorted(found.headers["allow"].split(", ")) == ["GET", "HEAD", "POST"]
    assert asked(app, "DELETE", "/v1/jobs/7").headers["allow"] == "GET, HEAD"


def test_a_job_tells_whose_it_is_and_in_which_lane(app: FastAPI) -> None:
    made = asked(app, "POST", "/v1/jobs", json=receipt(lane="interactive")).json()
    (listed,) = asked(app, "GET", "/v1/jobs?limit=1").json()["jobs"]
    for shown in (made, listed, asked(app, "GET", f"/v1/jobs/{made['id']}").json()):
        assert (shown["id"], shown["tenant"], shown["lane"]) == (made["id"], "default", "interactive")


def test_heads_are_told_of_what_has_no_end_and_of_what_is_not_there(app: FastAPI) -> None:
    job = asked(app, "POST", "/v1/jobs", json=receipt()).json()["id"]
    app.state.followed.most = 1  # a place is free again at once
    for _ in range(2):
        found = asked(app, "HEAD", f"/v1/jobs/{job}/events")
        assert (found.status_code, found.headers["content-type"][:17]) == (200, "text/event-stream")
    assert asked(app, "HEAD", "/v1/jobs/9999999").status_code == 404
    assert asked(app, "HEAD", f"/v1/jobs/{job}/cancel").status_code == 405


@pytest.fixture
def celery(servers: EmbeddedServers) -> Iterator[Celery]:
    connected = broker.connect(Settings(broker_url=servers.broker_url))
    yield connected
    connected.close()


def test_a_submit_starts_its_job_without_waiting_for_upkeep(
    engine: Engine, servers: EmbeddedServers, celery: Celery
) -> None:
    services = Services(
        settings=Settings(), database=Database(engine), registry=Registry(), publish=publish, owner="api"
    )
    fleet = Fleet(start=partial(start_waiting, services), check=partial(broker.check, celery))
    with engine.begin() as connection:
        connection.execute(text("update jobs set wait = null, state = 'cancelled' where wait is not null"))
        for queue in ("io", "cpu"):
            see_worker(connection, f"{queue}@test", queue, 4)
    job = asked(app_of(engine, fleet=fleet), "POST", "/v1/jobs", json=receipt(lane="interactive")).json()
    assert (job["state"], job["wait"]) == ("queued", "unsent"), "the answer does not wait for the broker"
    shown = asked(app_of(engine), "GET", f"/v1/jobs/{job['id']}").json()
    assert (shown["wait"], [stage["cause"] for stage in shown["stages"]]) == ("sent", ["start"])
    with celery.connection_for_write() as connection_to_broker:
        message = connection_to_broker.SimpleQueue("short.interactive").get(timeout=5)
    assert message.payload[0] == [job["id"], 1]
    message.ack()


def test_readiness_says_what_is_away(engine: Engine, celery: Celery) -> None:
    check = partial(broker.check, celery)
    nothing = Celery("away", broker="redis://:sesame@127.0.0.1:1/0", set_as_current=False)
    away = make_engine(NOWHERE, probe=False)
    for database, broker_check, status, told in (
        (engine, check, 200, ("answers", "answers")),
        (away, check, 503, ("away", "answers")),
        (engine, partial(broker.check, nothing), 503, ("answers", "away")),
        (away, partial(broker.check, nothing), 503, ("away", "away")),
    ):
        fleet = Fleet(start=lambda: None, check=broker_check)
        found = asked(app_of(database, fleet=fleet), "GET", "/readyz")
        shown = found.json()
        assert (found.status_code, (shown["database"], shown["broker"])) == (status, told)
        assert "sesame" not in found.text
        for name in ("database", "broker"):
            assert (shown[name] == "away") == (f"the {name} does not answer" in shown.get("detail", ""))


def test_while_the_database_is_away_a_submit_is_a_503_to_try_again() -> None:
    app = app_of(make_engine(NOWHERE, probe=False))
    for method, path in (("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("GET", "/costs"), ("GET", "/metrics")):
        found = asked(app, method, path, json=receipt() if method == "POST" else None)
        assert (found.status_code, found.headers["retry-after"]) == (503, "5")
        assert found.headers["content-type"] == "application/problem+json"
        assert "sesame" not in found.text
    assert asked(app, "GET", "/healthz").status_code == 200


def test_a_defect_is_a_problem_without_its_words(engine: Engine) -> None:
    app = app_of(engine)

    @app.get("/defect")
    def defect() -> None:
        raise RuntimeError("TEA HOUSE")

    found = asked(app, "GET", "/defect")
    assert (found.status_code, found.headers["content-type"]) == (500, "application/problem+json")
    assert "TEA HOUSE" not in found.text


def followed_by_one(app: FastAPI, waiting: int, ended: int) -> list[int]:
    """The statuses of a second follower: while a first one is there, and when it has gone."""

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            first = asyncio.create_task(client.get(f"/v1/jobs/{waiting}/events"))
            while not app.state.followed._now:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            found = [(await client.get(f"/v1/jobs/{ended}/events")).status_code]
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            return [*found, (await client.get(f"/v1/jobs/{ended}/events")).status_code]

    return asyncio.run(ask())


def test_who_was_cut_off_is_told_what_is_new_alone(app: FastAPI, engine: Engine) -> None:
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes))
        report = reports.job_report(connection, job)

    async def told() -> list[str]:
        request: Any = SimpleNamespace(app=app)
        database, tenant = app.state.database, "default"
        first = await anext(jobs.follow_job(request, database, tenant, report, last_told="of long ago"))
        with engine.begin() as connection:
            transitions.cancel(connection, job)
        following = jobs.follow_job(request, database, tenant, report, last_told=first.id or "")
        return [json.loads(each.raw_data or "")["state"] async for each in following]

    assert asyncio.run(told()) == ["cancelled"]


def test_so_many_jobs_are_followed_and_no_more_until_somebody_goes(engine: Engine) -> None:
    app = app_of(engine)
    app.state.followed.most = 1
    with engine.begin() as connection:
        waiting, ended = (submit(connection, Submission(prompt="receipt", body=uuid4().bytes)) for _ in range(2))
        connection.execute(text("update jobs set wait = null, state = 'failed' where id = :id"), {"id": ended})
    assert asked(app, "GET", "/v1/jobs/999999999/events").status_code == 404
    assert followed_by_one(app, waiting, ended) == [503, 200]
    told = asked(app, "GET", f"/v1/jobs/{ended}/events")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert told.text.startswith("event: job\ndata: {")
    end = told.text.splitlines()
    assert (end[2][:4], end[3:]) == ("id: ", ["retry: 2000", ""])
    again = asked(app, "GET", f"/v1/jobs/{ended}/events", headers={"last-event-id": end[2][4:]})
    assert again.text == told.text, "who may have missed that this is the end is told it again"
    with engine.begin() as connection:
        transitions.cancel(connection, waiting)
