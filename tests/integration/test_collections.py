"""Collections as a user has them: indexed, searched with filters, given another model, and taken apart."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db import collections
from db.submit import Indexing, submit_index
from db.transitions import retry
from tests.command import Command

NOTES = {
    "harbour.txt": "The harbour gate closes when the tide is above four metres.",
    "bread.txt": "Bake the bread for forty minutes, and let it cool before you cut it.",
}


def told(docmill: Command, up: Path, *arguments: str) -> list[dict[str, Any]]:
    found = docmill(*arguments, "--data", str(up), "--json")
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def written(folder: Path) -> list[str]:
    for name, body in NOTES.items():
        (folder / name).write_text(body)
    return [str(folder / name) for name in NOTES]


def test_documents_are_found_by_words_meaning_and_filter(up: Path, docmill: Command, tmp_path: Path) -> None:
    harbour, bread = written(tmp_path)
    name = f"c-{uuid4()}"
    (job,) = told(docmill, up, "index", harbour, "--collection", name, "--meta", "shelf=7", "--wait")
    assert (job["state"], job["value"]) == ("done", {"collection": name, "chunks": 1, "language": "english"})
    told(docmill, up, "index", bread, "--collection", name, "--meta", "shelf=8", "--meta", "by=Ann", "--wait")

    (first, second) = told(docmill, up, "search", "when does the gate close?", "--collection", name)
    assert (first["document"], second["document"]) == ("harbour.txt", "bread.txt")
    assert first["text"] == NOTES["harbour.txt"]
    question = ("search", "when does the gate close?", "--collection", name)
    assert [
        hit["document"] for hit in told(docmill, up, *question, "--filter", "shelf=8", "--filter", "by=Ann")
    ] == ["bread.txt"]
    assert told(docmill, up, *question, "--filter", "shelf=9") == []
    assert [hit["document"] for hit in told(docmill, up, *question, "--mode", "text")] == ["harbour.txt"]

    documents = told(docmill, up, "collections", "show", name)
    assert [(row["name"], row["meta"]) for row in documents] == [
        ("harbour.txt", {"shelf": 7}),
        ("bread.txt", {"shelf": 8, "by": "Ann"}),
    ]
    assert documents[0]["id"] == first["document_id"]
    removed = docmill("collections", "remove", name, str(first["document_id"]), "--everywhere", "--data", str(up))
    assert removed.returncode == 0, removed.stderr
    assert [hit["document"] for hit in told(docmill, up, *question)] == ["bread.txt"]


def test_another_model_takes_over_without_a_gap(up: Path, docmill: Command, tmp_path: Path) -> None:
    name = f"c-{uuid4()}"
    told(docmill, up, "index", *written(tmp_path), "--collection", name, "--wait")
    refused = docmill("index", str(tmp_path), "--collection", name, "--model", "sim-embed", "--data", str(up))
    assert refused.returncode == 1
    assert f"`docmill index --collection {name} --reindex --model sim-embed` changes that" in refused.stderr

    jobs = told(docmill, up, "index", "--reindex", "--collection", name, "--model", "sim-embed")
    assert {Path(job["path"]).name for job in jobs} == set(NOTES)
    give_up_at = time.monotonic() + 60
    while True:
        hits = told(docmill, up, "search", NOTES["bread.txt"], "--collection", name, "--mode", "vector")
        assert hits[0]["document"] == "bread.txt", "found at any moment, by the old model or by the new"
        row = next(row for row in told(docmill, up, "collections") if row["name"] == name)
        if row["model"] == "sim-embed":
            break
        assert time.monotonic() < give_up_at
    assert (row["next_model"], row["documents"], row["chunks"]) == (None, 2, 2)
    assert told(docmill, up, "search", NOTES["bread.txt"], "--collection", name)[0]["cosine"] == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "x", "--collection", "no-such"), "there is no collection 'no-such'"),
        (("search", " ", "--collection", "no-such"), "there is nothing to look for"),
        (("search", "x", "--collection", "c", "--mode", "magic"), "--mode is one of hybrid, vector, text"),
        (("search", "x", "--collection", "c", "--filter", "shelf"), "--meta and --filter are NAME=VALUE"),
        (("index", "--collection", "c"), "nothing to index"),
        (("index", "/no/such", "--collection", "c"), "there is no /no/such"),
        (("index", __file__, "--collection", "a b"), "a collection's name is letters"),
        (("index", __file__, "--collection", "c", "--model", "nobody"), "model nobody is not configured"),
        (("index", __file__, "--collection", "c", "--language", "klingon"), "--language is one of arabic,"),
        (("index", __file__, "--collection", "c", "--reindex"), "--reindex takes the documents"),
        (("index", "--collection", "no-such", "--reindex"), "there is no collection 'no-such'"),
        (("collections", "remove", "no-such", "1"), "there is no collection 'no-such'"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    up: Path, docmill: Command, arguments: tuple[str, ...], message: str
) -> None:
    found = docmill(*arguments, "--data", str(up))
    assert found.returncode == 1
    assert found.stderr.startswith(f"docmill: {message}"), found.stderr
    assert "Traceback" not in found.stderr


def test_a_failed_index_job_goes_on_where_it_failed(engine: Engine) -> None:
    with engine.begin() as connection:
        collections.ensure(connection, "default", "retried", "sim-embed")
        job = submit_index(connection, Indexing(collection="retried", body=uuid4().bytes, name="a.txt"))
        connection.execute(
            text(
                "update jobs set state = 'failed', wait = null, stage = 'embed', finished_at = now(),"
                ' failure = \'{"kind": "auth", "message": "the key is wrong"}\' where id = :id'
            ),
            {"id": job},
        )
        before = connection.execute(text("select attempt from jobs where id = :id"), {"id": job}).scalar_one()
        retry(connection, job)
        row = connection.execute(text("select * from jobs where id = :id"), {"id": job}).one()
        assert (row.state, row.wait, row.stage, row.attempt) == ("queued", "unsent", "embed", before)
        connection.rollback()


def test_a_question_is_answered_with_its_place_or_not_at_all(up: Path, docmill: Command, tmp_path: Path) -> None:
    name = f"c-{uuid4()}"
    told(docmill, up, "index", *written(tmp_path), "--collection", name, "--wait")
    (found,) = told(docmill, up, "ask", "When does the harbour gate close?", "--collection", name)
    assert (found["state"], found["value"]["answered"]) == ("done", True)
    (place,) = found["citations"]
    body = NOTES["harbour.txt"]
    assert (place["document"], place["quote"]) == ("harbour.txt", body[place["start"] : place["end"]])

    shown = docmill("ask", "When does the harbour gate close?", "--collection", name, "--data", str(up))
    assert shown.returncode == 0
    assert body in shown.stdout
    assert f"harbour.txt, characters 0–{len(body)}" in shown.stdout

    (refused,) = told(docmill, up, "ask", "Who won the chess championship in Reykjavik?", "--collection", name)
    assert (refused["state"], refused["value"]["answered"], refused["citations"]) == ("done", False, [])


def test_a_question_that_cannot_be_asked_says_why(up: Path, docmill: Command, tmp_path: Path) -> None:
    for arguments, why in (
        (("When?", "--collection", "nowhere"), "there is no collection 'nowhere'"),
        (
            ("When?", "--collection", "nowhere", "--prompt", "receipt"),
            "prompt receipt/v3 looks into no collection",
        ),
        (("  ", "--collection", "nowhere"), "there is nothing to answer"),
    ):
        refused = docmill("ask", *arguments, "--data", str(up))
        assert refused.returncode == 1
        assert why in refused.stderr
