"""Collections over HTTP: indexed, searched, asked and taken apart, each tenant by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.documents import pdf

BODY = "The harbour gate closes when the tide is above four metres."
QUESTION = "When does the harbour gate close?"


@pytest.fixture
def api(up: Path) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=json.loads((up / "ready.json").read_text())["api"], timeout=30) as client:
        yield client


@pytest.fixture
def collection() -> str:
    return f"c-{uuid4()}"


def ended(api: httpx.Client, answer: httpx.Response) -> Any:
    assert answer.status_code == 202, answer.text
    give_up_at = time.monotonic() + 60
    while True:
        job = api.get(f"/v1/jobs/{answer.json()['id']}").json()
        if job["wait"] is None:
            return job
        assert time.monotonic() < give_up_at, job
        time.sleep(0.05)


def indexed(api: httpx.Client, collection: str) -> None:
    documents = f"/v1/collections/{collection}/documents"
    text = {"document": BODY, "name": "harbour.txt", "meta": {"shelf": 7}, "language": "english"}
    assert ended(api, api.post(documents, json=text))["value"]["chunks"] == 1
    file = {"file": ("bread.md", b"# Bread\n\nBake the bread for forty minutes.")}
    assert ended(api, api.post(documents, files=file, data={"meta": '{"shelf": 8}'}))["state"] == "done"


def found(api: httpx.Client, collection: str, **options: Any) -> list[str]:
    answer = api.get(f"/v1/collections/{collection}/search", params={"q": QUESTION, **options})
    assert answer.status_code == 200, answer.text
    return [hit["document"] for hit in answer.json()["hits"]]


def test_documents_are_found_asked_and_gone_everywhere_once_deleted(api: httpx.Client, collection: str) -> None:
    other = f"{collection}-2"
    indexed(api, collection)
    indexed(api, other)
    (shown,) = (row for row in api.get("/v1/collections").json()["collections"] if row["name"] == collection)
    assert (shown["documents"], shown["chunks"]) == (2, 2)
    page = api.get(f"/v1/collections/{collection}/documents", params={"limit": 1}).json()
    rest = api.get(f"/v1/collections/{collection}/documents", params={"cursor": page["next"]}).json()
    assert [row["name"] for row in (*page["documents"], *rest["documents"])] == ["harbour.txt", "bread.md"]
    assert (page["documents"][0]["meta"], rest["next"]) == ({"shelf": 7}, None)
    assert found(api, collection)[0] == "harbour.txt"
    assert found(api, collection, mode="text") == ["harbour.txt"]
    assert found(api, collection, filter='{"shelf": 8}') == ["bread.md"]

    job = ended(api, api.post(f"/v1/collections/{collection}/ask", json={"question": QUESTION}))
    assert (job["value"]["answered"], job["value"]["answer"]) == (True, BODY)
    place = job["evidence"]["citations.0.quote"]
    assert BODY[place["start"] : place["end"]] == BODY

    document = f"/v1/collections/{collection}/documents/{place['document_id']}"
    assert api.delete(document, params={"everywhere": True}).status_code == 204
    assert found(api, collection) == found(api, other) == ["bread.md"]
    assert api.delete(document).status_code == 404
    again = ended(api, api.post(f"/v1/collections/{other}/ask", json={"question": QUESTION}))
    assert again["value"]["answered"] is False


def test_a_citation_has_its_page_and_place(api: httpx.Client, collection: str) -> None:
    documents = f"/v1/collections/{collection}/documents"
    body = pdf("A page about bread.", BODY.replace("(", "").replace(")", ""))
    file = {"file": ("harbour.pdf", body)}
    assert ended(api, api.post(documents, files=file))["state"] == "done"
    job = ended(api, api.post(f"/v1/collections/{collection}/ask", json={"question": QUESTION}))
    place = job["evidence"]["citations.0.quote"]
    text = api.get(f"/v1/documents/{place['document_id']}/text").text
    assert place["quote"] == text[place["start"] : place["end"]]
    assert (place["found"], place["page"], place["by"]) == (True, 2, "text")
    (box,) = place["boxes"]
    assert 0 < box[0] < box[2] <= 1
    assert box[1] < 1 - 700 / 800 < box[3], "around the line on which it was drawn"


def test_a_question_is_one_job_however_often_it_is_sent(api: httpx.Client, collection: str) -> None:
    indexed(api, collection)
    asked, key = {"question": QUESTION, "user": "u-17"}, {"idempotency-key": uuid4().hex}
    ask = f"/v1/collections/{collection}/ask"
    first, second = (api.post(ask, json=asked, headers=key).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert (first["prompt"], first["user"]) == ("answer", "u-17")
    assert api.post(ask, json={"question": "Why?"}, headers=key).status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "told"),
    [
        ("GET", "/search", {"params": {"q": "x"}}, 404, "there is no collection"),
        ("POST", "/ask", {"json": {"question": "x"}}, 404, "there is no collection"),
        ("DELETE", "/documents/1", {}, 404, "there is no collection"),
        ("GET", "/documents", {}, 404, "there is no collection"),
        ("GET", "/search", {"params": {"q": "  "}}, 422, "q:"),
        ("GET", "/search", {"params": {"q": "x", "mode": "best"}}, 422, "mode:"),
        ("GET", "/search", {"params": {"q": "x", "filter": "shelf=7"}}, 422, "filter: JSON"),
        ("GET", "/search", {"params": {"q": "x", "filter": "[]"}}, 422, "filter:"),
        ("POST", "/ask", {"json": {"question": " "}}, 422, "question:"),
        ("POST", "/ask", {"json": {"question": "x", "prompt": "receipt"}}, 422, "looks into no collection"),
        ("POST", "/ask", {"json": {"question": "x", "prompt": "anser"}}, 422, "did you mean answer"),
        ("POST", "/documents", {"json": {"document": ""}}, 422, "document:"),
        ("POST", "/documents", {"json": {"document": "x", "language": "klingon"}}, 422, "language:"),
        ("POST", "/documents", {"files": {"file": b"x"}, "data": {"meta": "{"}}, 422, "meta: JSON"),
        ("POST", "/documents", {"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "send JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_problem(  # noqa: PLR0917 - a table's columns
    api: httpx.Client, collection: str, method: str, path: str, options: Any, status: int, told: str
) -> None:
    answer = api.request(method, f"/v1/collections/{collection}{path}", **options)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
        answer.text
    )
    assert told in answer.json()["detail"]


def test_a_collections_name_is_one(api: httpx.Client) -> None:
    for name in ("a b", "-x", "x" * 101, "%00"):
        assert api.post(f"/v1/collections/{name}/documents", json={"document": "x"}).status_code == 422
