"""The HTTP API, its client, and Flower, on a running stack."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from db.engine import make_engine
from docmill.client import AsyncDocmill, Docmill, JobFailed
from docmill.errors import JobNotFit, JobUnknown, ServiceAway, SubmitRefused


@pytest.fixture
def addresses(up: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((up / "ready.json").read_text())
    return found


@pytest.fixture
def docmill(addresses: dict[str, str]) -> Iterator[Docmill]:
    with Docmill(addresses["api"]) as client:
        yield client


def receipt() -> str:
    return f"TEA HOUSE {uuid4().hex[:6]}\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n"


def test_a_document_goes_in_and_its_answer_comes_out(docmill: Docmill) -> None:
    job = docmill.submit(receipt(), prompt="receipt", feature="till", user="u1", deadline=600)
    assert (job.state, job.version, job.feature, job.user) == ("queued", "v3", "till", "u1")
    done = docmill.wait(job.id, timeout=60)
    assert done.state == "done"
    assert docmill.result(job.id)["total"] == 4.1
    assert done.cost_usd is not None


@pytest.fixture
def long_list(addresses: dict[str, str], docmill: Docmill) -> Iterator[int]:
    """A job whose answer has a list of 5,000 rows of 400 characters, all with their places."""
    job = docmill.wait(docmill.submit(receipt(), prompt="receipt").id, timeout=60)
    rows = [{"total": at, "company": f"{at} {'tea ' * 95}"} for at in range(5000)]
    places = {f"tables.1.rows.{at}.total": {"found": True, "start": at} for at in range(5000)}
    value = {"tables": [{"rows": []}, {"rows": rows}], "total": 4.1}
    value["by_floor"] = {"-1": {"01": [{"total": 1}]}}
    places["by_floor.-1.01.0.total"] = {"found": True}
    engine = make_engine(addresses["database_url"])
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into results (job_id, revision, author, value, evidence)"
                " values (:job, 2, 'a person', cast(:value as jsonb), cast(:places as jsonb))"
            ),
            {
                "job": job.id,
                "value": json.dumps(value),
                "places": json.dumps(places | {"total": {"found": False}}),
            },
        )
    yield job.id
    with engine.begin() as connection:  # no prompt's answer looks like this, and OpenAPI says how they look
        connection.execute(
            text("delete from results where job_id = :job and author = 'a person'"), {"job": job.id}
        )
    engine.dispose()


def test_a_long_list_comes_page_by_page(
    long_list: int, up: Path, addresses: dict[str, str], docmill: Docmill
) -> None:
    rows = list(docmill.rows(long_list, "tables.1.rows", a_page=900))
    assert [row.at for row in rows] == [row.value["total"] for row in rows] == list(range(5000))
    assert [row.evidence for row in rows] == [{"total": {"found": True, "start": at}} for at in range(5000)]
    assert [*docmill.rows(long_list, "tables.0.rows")] == []
    page = httpx.get(f"{addresses['api']}/v1/jobs/{long_list}/rows?path=tables.1.rows&cursor=4990&limit=20").json()
    assert (page["total"], page["next"], len(page["rows"])) == (5000, None, 10)
    assert [row.evidence for row in docmill.rows(long_list, "by_floor.-1.01")] == [{"total": {"found": True}}]
    assert len(docmill.result(long_list)["tables"][1]["rows"]) == 5000
    command = [sys.executable, "-m", "docmill", "result", str(long_list), "--rows", "tables.1.rows"]
    told = subprocess.run([*command, "--data", str(up)], stdout=subprocess.PIPE, check=True).stdout.splitlines()
    assert len(told) == 5000
    assert json.loads(told[17]) == rows[17].model_dump()
    other_names = ("tables.-1.rows", "tables.01.rows", "tables.+1.rows", "tables. 1.rows")
    for nothing in ("total", "tables.2.rows", "tables.x.rows", "none", *other_names):
        with pytest.raises(JobNotFit, match="has no list at"):
            next(iter(docmill.rows(long_list, nothing)))
    with pytest.raises(JobUnknown):
        next(iter(docmill.rows(2**40, "rows")))

    async def last() -> int:
        async with AsyncDocmill(addresses["api"]) as client:
            return [row.at async for row in client.rows(long_list, "tables.1.rows", a_page=1000)][-1]

    assert asyncio.run(last()) == 4999


def test_a_file_goes_in_as_an_upload(docmill: Docmill, tmp_path: Path) -> None:
    path = tmp_path / "tea.txt"
    path.write_text(receipt())
    job = docmill.submit(path, prompt="receipt")
    assert docmill.wait(job.id, timeout=60).state == "done"
    empty = docmill.submit(b"", prompt="receipt")
    assert docmill.wait(empty.id, timeout=60).failure is not None
    with pytest.raises(JobFailed, match="no bytes"):
        docmill.result(empty.id)


def test_a_document_is_named_by_its_address_or_given(docmill: Docmill) -> None:
    with pytest.raises(SubmitRefused, match="without https"):
        docmill.submit(url="http://127.0.0.1:9/receipt.txt", prompt="receipt")
    for document, url in ((None, None), (receipt(), "https://example.com/receipt.txt")):
        with pytest.raises(SubmitRefused, match="and not both"):
            docmill.submit(document, url=url, prompt="receipt")


def test_the_async_client_does_the_same(addresses: dict[str, str]) -> None:
    async def once() -> str:
        async with AsyncDocmill(addresses["api"]) as docmill:
            job = await docmill.submit(receipt(), prompt="receipt")
            return (await docmill.wait(job.id, timeout=60)).state

    assert asyncio.run(once()) == "done"


def test_a_key_makes_a_submit_safe_to_repeat_and_another_body_a_conflict(docmill: Docmill) -> None:
    text, key = receipt(), uuid4().hex
    first = docmill.submit(text, prompt="receipt", idempotency_key=key)
    assert docmill.submit(text, prompt="receipt", idempotency_key=key).id == first.id
    with pytest.raises(SubmitRefused, match="was used for another submit"):
        docmill.submit(receipt(), prompt="receipt", idempotency_key=key)


def test_what_cannot_be_is_told_with_its_status(addresses: dict[str, str], docmill: Docmill) -> None:
    with pytest.raises(SubmitRefused, match="did you mean receipt"):
        docmill.submit("x", prompt="recipt")
    with pytest.raises(JobUnknown):
        docmill.job(999_999_999)
    job = docmill.wait(docmill.submit(receipt(), prompt="receipt").id, timeout=60)
    with pytest.raises(JobNotFit, match="nothing to cancel"):
        docmill.cancel(job.id)
    with pytest.raises(JobNotFit, match="fresh"):
        docmill.retry(job.id)
    assert docmill.retry(job.id, fresh=True).id != job.id
    api = addresses["api"]
    for answer, status in (
        (httpx.post(f"{api}/v1/jobs", content=b"{"), 422),
        (httpx.post(f"{api}/v1/jobs", json={"prompt": "receipt"}), 422),
        (httpx.post(f"{api}/v1/jobs", json={"prompt": "receipt", "document": "x", "lane": "fast"}), 422),
        (httpx.post(f"{api}/v1/jobs", headers={"content-length": "99000000"}, content=b"x" * 99_000_000), 413),
        (httpx.get(f"{api}/v1/jobs", headers={"authorization": "Bearer dm_no_key"}), 401),
        (httpx.get(f"{api}/v1/costs?by=shoes"), 422),
        (httpx.get(f"{api}/nowhere"), 404),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= set(answer.json())


def test_a_job_is_shown_with_its_stages_calls_and_cost(addresses: dict[str, str], docmill: Docmill) -> None:
    job = docmill.wait(docmill.submit(receipt(), prompt="receipt").id, timeout=60)
    shown = httpx.get(f"{addresses['api']}/v1/jobs/{job.id}").json()
    # A fleet's first look at its broker finds one that it has never seen, and may send again what is under way.
    first, *others = (stage["cause"] for stage in shown["stages"])
    assert (first, set(others) - {"broker began anew"}) == ("start", set())
    assert [(call["state"], call["model"]) for call in shown["attempts"]] == [("answered", "sim-small")]
    assert shown["attempts"][0]["cost_usd"] == shown["cost_usd"]


def test_a_job_is_followed_to_its_end(docmill: Docmill) -> None:
    job = docmill.submit(receipt(), prompt="receipt")
    followed = list(docmill.stream(job.id))
    assert followed[-1].state == "done"
    assert {each.id for each in followed} == {job.id}
    with pytest.raises(JobUnknown):
        next(docmill.stream(999_999_999))


def test_a_load_is_forecast(addresses: dict[str, str]) -> None:
    load = {"requests_per_day": 1000, "input_tokens": 2000, "output_tokens": 200}
    prices = {"input_price": "0.15", "output_price": "0.60"}
    found = httpx.post(f"{addresses['api']}/v1/forecast", json=load | prices).json()
    assert float(found["day"]["p50"]) == pytest.approx(0.42)
    assert float(found["month"]["p95"]) >= float(found["month"]["p50"]) == pytest.approx(12.6)
    assert httpx.post(f"{addresses['api']}/v1/forecast", json=load).status_code == 422


def test_jobs_come_a_page_at_a_time(addresses: dict[str, str], docmill: Docmill) -> None:
    feature = uuid4().hex
    ids = [docmill.submit(receipt(), prompt="receipt", feature=feature).id for _ in range(3)]
    url = f"{addresses['api']}/v1/jobs?limit=2&feature={feature}"
    first = httpx.get(url).json()
    second = httpx.get(f"{url}&cursor={first['next']}").json()
    assert [job["id"] for job in (*first["jobs"], *second["jobs"])] == ids[::-1]
    assert second["next"] is None


def test_another_tenants_job_is_unknown(up: Path, addresses: dict[str, str], docmill: Docmill) -> None:
    job = docmill.submit(receipt(), prompt="receipt")
    made = subprocess.run(
        [sys.executable, "-m", "docmill", "keys", "add", "other", "--data", str(up), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    with Docmill(addresses["api"], json.loads(made.stdout)["key"]) as other:
        with pytest.raises(JobUnknown):
            other.job(job.id)
        own = other.submit(receipt(), prompt="receipt")
        assert other.wait(own.id, timeout=60).state == "done"
    with pytest.raises(JobUnknown):
        docmill.job(own.id)


def test_the_pages_and_health_answer(addresses: dict[str, str]) -> None:
    api = addresses["api"]
    page = httpx.get(f"{api}/costs")
    assert page.status_code == 200
    assert "rules, not a language model" in page.text
    assert "//kozea" not in page.text, "nothing is fetched from elsewhere"
    assert httpx.get(f"{api}/readyz").status_code == httpx.get(f"{api}/healthz").status_code == 200
    assert 'docmill_worker_slots{queue="io"} 200.0' in httpx.get(f"{api}/metrics").text
    assert "/v1/jobs" in httpx.get(f"{api}/openapi.json").json()["paths"]


def test_flower_asks_for_its_password_and_shows_stages_without_documents(
    up: Path, addresses: dict[str, str], docmill: Docmill
) -> None:
    docmill.wait(docmill.submit(receipt(), prompt="receipt").id, timeout=60)
    assert httpx.get(f"{addresses['flower']}/api/tasks").status_code == 401
    password = (up / "flower-password").read_text()
    tasks = httpx.get(f"{addresses['flower']}/api/tasks", auth=("docmill", password)).json().values()
    stages = ("validate", "context", "complete", "parse", "store")
    assert {task["name"] for task in tasks} >= {f"docmill.{stage}" for stage in stages}
    assert "TEA HOUSE" not in json.dumps(list(tasks))


def test_a_server_that_is_away_is_named() -> None:
    with (
        Docmill("http://127.0.0.1:9", timeout_s=1, tries=2) as client,
        pytest.raises(ServiceAway, match="is it up"),
    ):
        client.job(1)
