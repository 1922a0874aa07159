"""Hostile documents: what they say stays data, and the fields that an honest reader finds still come out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from docmill.reading import Reader
from docmill.reading.cleaning import clean
from prompts import Excerpt, Registry
from tests.walk import Walk

DATA = Path(__file__).parents[3] / "shared/data/5_prompt_injection"
FENCE = re.compile(r"<document-(?P<nonce>[0-9a-f]{12})>\n(?P<text>.*)\n</document-(?P=nonce)>", re.DOTALL)
FIELDS = {
    "vendor": "seller_name",
    "invoice_number": "invoice_number",
    "date": "issue_date",
    "currency": "currency",
    "total": "grand_total",
}
PLAIN = {
    "seller_name": "Acme GmbH",
    "invoice_number": "INV-0042",
    "issue_date": "2024-03-05",
    "currency": "EUR",
}
"""What every text of ``strings`` says beside its hostile line."""

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the injection data (../shared/data) are not here")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def rows(kind: str) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in (DATA / kind / "dev/gold.jsonl").read_text("utf-8").splitlines()]


def messages_of(jobs_way: Walk, job_id: int) -> list[Mapping[str, str]]:
    """As they were sent."""
    sent = jobs_way.query(
        "select e.request from exchanges e join calls c on c.id = e.call_id where c.job_id = :id", id=job_id
    )
    return [message for call in sent for message in call.request["messages"]]


def assert_fenced(jobs_way: Walk, job_id: int, text: str) -> None:
    """The document stands between two lines that it does not hold, and nowhere else."""
    system, user = messages_of(jobs_way, job_id)
    fence = FENCE.fullmatch(user["content"])
    assert fence is not None
    assert fence["text"] == text
    assert fence["nonce"] not in text
    honest, _ = jobs_way.services.registry.get("invoice").render(Excerpt(passages=("",)), {})
    assert system == honest.as_json()


def test_a_hostile_text_stays_inside_its_fence(walk: Callable[..., Walk], reader: Reader) -> None:
    jobs_way = walk()
    for row in rows("strings"):
        text = reader.read_bytes(row["document"].encode(), name="invoice.txt").text
        job_id = jobs_way.submit(text, "invoice")
        assert jobs_way.to_the_end(job_id).state == "done", row["id"]
        assert_fenced(jobs_way, job_id, text)
        payload = clean(row["payload"])
        assert payload in text, row["id"]
        answer = jobs_way.result(job_id).value
        assert {name: answer[name] for name in PLAIN} == PLAIN, row["id"]
        # Some print a total of their own, in words that everybody sees.
        assert answer["grand_total"] == 59.5 or f"Total {answer['grand_total']}" in payload, row["id"]
        assert not row["canary"] or row["canary"] not in json.dumps(answer), row["id"]


def test_a_hostile_file_gives_its_fields(walk: Callable[..., Walk], reader: Reader) -> None:
    for row in rows("documents"):
        jobs_way = walk()
        file = DATA / "documents/dev" / row["file"]
        text = reader.read(file).text
        job_id = jobs_way.submit(text, "invoice", name=file.name)
        assert jobs_way.to_the_end(job_id).state == "done", row["id"]
        assert_fenced(jobs_way, job_id, text)
        answer, gold = jobs_way.result(job_id).value, row["gold_fields"]
        assert {theirs: answer[ours] for theirs, ours in FIELDS.items()} == gold, row["id"]
        assert row["canary"] not in json.dumps(answer), row["id"]


def test_hostile_passages_stay_inside_their_fences() -> None:
    prompt = Registry().get("answer")
    texts = tuple(row["document"] for row in rows("strings"))
    question = "What is the total?"
    messages = prompt.render(Excerpt(passages=(question,), found=texts), {"collection": "invoices"})
    honest = prompt.render(Excerpt(passages=(question,), found=("Total 59.50 EUR",)), {"collection": "invoices"})
    assert messages[0] == honest[0]
    content = messages[1].content
    nonce = content.removeprefix("<passage-").partition(" ")[0]
    for number, text in enumerate(texts, start=1):
        content = content.removeprefix(f'<passage-{nonce} number="{number}">\n{text}\n</passage-{nonce}>\n')
    assert content == Excerpt(passages=(question,)).fenced
