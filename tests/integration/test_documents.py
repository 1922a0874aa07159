"""Documents over HTTP: each tenant's own alone, and nothing of a stranger's file ever runs."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import Engine, text

from db.database import Database
from db.submit import Submission, submit
from docmill.reading import Reader
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tests.documents import pdf
from tests.integration.test_api_edges import app_of, asked


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture
def app(engine: Engine, reader: Reader) -> FastAPI:
    made = Services(
        settings=Settings(),
        database=Database(engine),
        registry=Registry(),
        publish=lambda _: None,
        owner="api",
        reader=reader,
    )
    return app_of(engine, services=made)


def submitted(engine: Engine, body: bytes, **options: Any) -> int:
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=body, **options))
        found: int = connection.execute(
            text("select document_id from jobs where id = :job"), {"job": job}
        ).scalar_one()
    return found


def marked(*pages: str) -> bytes:
    """A PDF that nobody submitted yet."""
    return pdf(*pages) + f"\n% {uuid4()}".encode()


def test_a_document_tells_what_is_known_of_it(app: FastAPI, engine: Engine) -> None:
    document = submitted(engine, marked("one", "two"), name="in/a.pdf", media_type="application/pdf")
    before = asked(app, "GET", f"/v1/documents/{document}").json()
    assert (before["name"], before["chars"], before["pages"]) == ("a.pdf", None, [])
    assert asked(app, "GET", f"/v1/documents/{document}/text").status_code == 404
    with engine.begin() as connection:
        connection.execute(
            text("update documents set text = 'öne' || chr(10) || 'two', pages = '[0, 4]' where id = :id"),
            {"id": document},
        )
    after = asked(app, "GET", f"/v1/documents/{document}").json()
    assert [(page["page"], page["start"], page["end"]) for page in after["pages"]] == [(1, 0, 4), (2, 4, 7)]
    read = asked(app, "GET", f"/v1/documents/{document}/text")
    assert (read.text, read.headers["content-type"]) == ("öne\ntwo", "text/plain; charset=utf-8")


def test_a_strangers_file_goes_out_as_an_attachment_under_a_policy_that_runs_nothing(
    app: FastAPI, engine: Engine
) -> None:
    body = f"<script>steal('{uuid4()}')</script>".encode()
    document = submitted(engine, body, name='x/"; aé.html', media_type="text/html")
    found = asked(app, "GET", f"/v1/documents/{document}/original")
    assert found.content == body
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''%22%3B%20a%C3%A9.html"
    assert found.headers["x-content-type-options"] == "nosniff"
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow" not in policy


def test_a_media_type_that_is_none_is_not_handed_on(app: FastAPI, engine: Engine) -> None:
    document = submitted(engine, uuid4().bytes, media_type="text/html\u00e9, text/plain; x")
    found = asked(app, "GET", f"/v1/documents/{document}/original")
    assert found.headers["content-type"] == "application/octet-stream"


def test_a_page_is_drawn_as_large_as_is_asked_and_once(
    app: FastAPI, engine: Engine, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"/v1/documents/{submitted(engine, marked('one', 'two'))}/pages/2.png"
    found = asked(app, "GET", f"{page}?dpi=72")
    assert found.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(found.content)).size == (600, 800)
    monkeypatch.setattr(reader, "render", lambda *_, **__: pytest.fail("drawn again"))
    assert asked(app, "GET", f"{page}?dpi=72").content == found.content
    again = asked(app, "GET", f"{page}?dpi=72", headers={"if-none-match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_cannot_be_shown_is_not_found_and_says_why(app: FastAPI, engine: Engine) -> None:
    two = submitted(engine, marked("one", "two"))
    words = submitted(engine, uuid4().hex.encode(), name="a.txt", media_type="text/plain")
    broken = submitted(engine, b"%PDF-1.7 " + uuid4().bytes)
    for document, told in ((two, "it has 2"), (words, "no pages to be shown"), (broken, "broken")):
        found = asked(app, "GET", f"/v1/documents/{document}/pages/3.png")
        assert (found.status_code, told in found.json()["detail"]) == (404, True)
    for page in ("pages/0.png", "pages/1.png?dpi=5", "pages/1.png?dpi=1e9", "pages/x.png"):
        assert asked(app, "GET", f"/v1/documents/{two}/{page}").status_code == 422


def test_a_page_of_a_picture_is_the_picture_upright(app: FastAPI, engine: Engine) -> None:
    written = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (400, 200), (200, 30, uuid4().bytes[0])).save(written, "JPEG", exif=turned)
    document = submitted(engine, written.getvalue(), name="photo.jpg")
    found = asked(app, "GET", f"/v1/documents/{document}/pages/1.png?dpi=100")
    assert Image.open(io.BytesIO(found.content)).size == (100, 200)


def test_another_tenants_document_is_none_and_an_erased_one_says_so(app: FastAPI, engine: Engine) -> None:
    own = submitted(engine, marked("mine"))
    foreign = submitted(engine, marked("theirs"), tenant=f"t-{uuid4()}")
    for rest in ("", "/original", "/text", "/pages/1.png"):
        for document in (foreign, 9_223_372_036_854_775_807):
            assert asked(app, "GET", f"/v1/documents/{document}{rest}").status_code == 404, rest
    with engine.begin() as connection:
        connection.execute(text("update documents set body = null where id = :id"), {"id": own})
    assert asked(app, "GET", f"/v1/documents/{own}").json()["bytes"] is None
    for rest in ("/original", "/pages/1.png"):
        assert asked(app, "GET", f"/v1/documents/{own}{rest}").status_code == 410


def test_without_a_key_beyond_loopback_nobody_sees_a_document(engine: Engine) -> None:
    document = submitted(engine, marked("mine"))
    app = app_of(engine, host="0.0.0.0")
    for rest in ("", "/original", "/text", "/pages/1.png"):
        assert asked(app, "GET", f"/v1/documents/{document}{rest}").status_code == 401


def test_a_jobs_evidence_has_the_page_and_the_box_of_each_value(up: Path) -> None:
    """From the file to the answer, through the whole chain."""
    body = marked("TEA HOUSE", "TEA HOUSE, 12 Harbour Road, Date: 2026-03-14, TOTAL 10.70")
    with httpx.Client(base_url=json.loads((up / "ready.json").read_text())["api"], timeout=30) as api:
        accepted = api.post("/v1/jobs", files={"file": ("tea.pdf", body)}, data={"prompt": "receipt"}).json()
        give_up_at = time.monotonic() + 60
        while (job := api.get(f"/v1/jobs/{accepted['id']}").json())["wait"] is not None:
            assert time.monotonic() < give_up_at, job
            time.sleep(0.05)
        assert job["state"] == "done", job
        total = job["evidence"]["total"]
        assert (total["found"], total["page"], total["quote"], total["by"]) == (True, 2, "10.70", "text")
        ((left, top, right, bottom),) = total["boxes"]
        assert 50 / 600 < left < right < 1
        assert 0.1 < top < bottom < 0.15
        document = api.get(f"/v1/documents/{job['document_id']}").json()
        assert [(page["width"], page["height"], page["by"]) for page in document["pages"]] == [
            (600, 800, "text")
        ] * 2
        assert document["warnings"] == []
        text = api.get(f"/v1/documents/{job['document_id']}/text").text
        assert text[total["start"] : total["end"]] == "10.70"
