"""Pages shown to models as pictures, through every stage: what is sent, kept, paid, and held against OCR's words."""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import Engine, Row, text

from cli.estimate import _count
from db import budget_admin, transitions
from db.budget_admin import Wanted
from db.database import Database
from db.submit import Submission, submit
from docmill.llm.loop import LoopThread
from docmill.llm.tokens import counter_for
from docmill.llm.transport import HttpTransport
from docmill.reading import Limits, Reader
from docmill.reading.drawn import DrawnPages
from docmill.reading.engines import installed
from docmill.settings import load_settings
from docmill.settings.models import ModelTable
from docmill.simulator import Settings as Simulated
from docmill.simulator import Simulator
from docmill.simulator.eyes import Eyes
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.calls.room import Room
from tasks.services import Caller, Services
from tasks.stages.validate import validate
from tests.documents import pdf
from tests.integration.test_simulated_eyes import LINES, receipt
from tests.integration.test_simulator import get
from tests.walk import Walk, ignore

pytestmark = pytest.mark.skipif(not installed(), reason="scans are read by RapidOCR: docmill[app]")


class Seen(Walk):
    """A walk that begins with a file."""

    url: str

    def submit_file(self, body: bytes, prompt: str, name: str = "scan.png", **fields: Any) -> int:
        with self.engine.begin() as connection:
            submission = Submission(prompt=prompt, body=body, name=name, tenant=self.tenant, params={}, **fields)
            return submit(connection, submission)

    def step(self, job_id: int) -> bool:
        row = self.job(job_id)
        if row.stage != "validate":
            return super().step(job_id)
        if row.wait is None:
            return False
        with self.engine.begin() as connection:
            connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job_id})
            job = transitions.claim(connection, job_id, row.epoch, "validate", owner="test", lease_s=60)
        assert job is not None
        validate(self.services, job)
        return True

    def run(self, body: bytes, prompt: str, name: str = "scan.png") -> Row[Any]:
        return self.to_the_end(self.submit_file(body, prompt, name))

    def bill(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in get(f"{self.url}/bill").splitlines()]

    def requests(self, job_id: int) -> list[dict[str, Any]]:
        rows = self.query(
            "select request from exchanges e join calls c on c.id = e.call_id where job_id = :id order by started_at",
            id=job_id,
        )
        return [row.request for row in rows]


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, Any]]:
    """What takes long to start: engines of OCR, for docmill and for the simulator."""
    with Reader(Limits(ocr=True)) as reader, Reader() as blind:
        eyes = Eyes()
        yield {"reader": reader, "blind": blind, "eyes": eyes, "pages": DrawnPages(blind)}
        eyes.close()


@pytest.fixture
def seeing(engine: Engine, tmp_path: Path, tools: dict[str, Any]) -> Iterator[Callable[..., Seen]]:
    """``seeing("pages", faults={…})``: prompts ``see_pages`` and so on, before a simulator with those settings."""
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread())
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))

        def make(
            config: str = "",
            *,
            ocr: bool = True,
            ladder: Sequence[str] = ("small", "large"),
            unchecked: str = "review",
            **settings: Any,
        ) -> Seen:
            simulator = Simulator(Simulated(**settings), eyes=tools["eyes"])
            loop.run(simulator.__aenter__())
            stack.callback(lambda: loop.run(simulator.__aexit__(None, None, None)))
            (tmp_path / "docmill.toml").write_text(config.replace("URL", simulator.url), encoding="utf-8")
            prompts = prompts_in(tmp_path / f"prompts-{time.monotonic_ns()}", ladder, unchecked)
            services = Services(
                settings=load_settings(
                    llm_url=simulator.url,
                    config=tmp_path / "docmill.toml",
                    call_deadline_s=60,
                    ocr="on" if ocr else "off",
                ),
                database=Database(engine),
                registry=Registry([BUILT_IN, prompts]),
                publish=ignore,
                owner="test",
                reader=tools["reader" if ocr else "blind"],
                pages=tools["pages"],
                caller=Caller(loop=loop, transport=transport),
            )
            walk = Seen(engine, services)
            walk.url = simulator.url
            return walk

        yield make


def prompts_in(folder: Path, ladder: Sequence[str], unchecked: str) -> Path:
    """The receipt's prompt, one for each way to see."""
    for see in ("auto", "text", "pages", "both"):
        version = folder / f"see_{see}" / "v1"
        shutil.copytree(BUILT_IN / "receipt" / "v2", version, ignore=shutil.ignore_patterns("__pycache__"))
        (version / "prompt.toml").write_text(
            f'description = "a receipt"\nladder = {json.dumps(list(ladder))}\n[limits]\nmax_output_tokens = 512\n'
            f'[input]\nsee = "{see}"\nunchecked = "{unchecked}"\n'
        )
    return folder


def scanned(*pages: bytes) -> bytes:
    """A PDF of pictures."""
    first, *others = (Image.open(io.BytesIO(page)) for page in pages)
    written = io.BytesIO()
    first.save(written, "PDF", save_all=True, append_images=others, resolution=100)
    return written.getvalue()


RIGHT = {"company": "EXAMPLE TEA HOUSE", "date": "2018-03-09", "total": 12.5}


def right(row: Row[Any], walk: Seen) -> None:
    assert (row.state, row.failure) == ("done", None)
    answer = walk.result(row.id).value
    assert {name: answer[name] for name in RIGHT} == RIGHT


def test_a_scan_is_seen_and_its_answer_held_against_ocr(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    row = walk.run(receipt(), "see_pages")
    right(row, walk)
    (request,) = walk.requests(row.id)
    (shown,) = request["messages"][1]["pictures"]
    assert (shown["page"], shown["document_id"]) == (1, row.document_id)
    assert "TOTAL" not in request["messages"][1]["content"]
    (call,), (line,) = walk.calls(row.id), walk.bill()
    assert call.cost_usd == Decimal(line["cost_usd"])
    assert call.input_tokens == line["input_tokens"] > shown["width"] * shown["height"] / 900
    assert row.context["tokens"] == pytest.approx(call.input_tokens, rel=0.02)
    assert call.reserved_usd is None or call.reserved_usd >= call.cost_usd
    evidence = walk.result(row.id).evidence
    assert {"company", "date", "total"} <= evidence.keys()


def test_nothing_of_a_picture_is_kept_but_what_names_it(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    row = walk.run(receipt(), "see_both")
    right(row, walk)
    picture = row.context["pictures"][0]
    drawn = walk.services.pages.page(  # type: ignore[union-attr] # it was given
        (walk.tenant, row.document_id),
        1,
        dots_an_inch=picture["dots_an_inch"],
        fetch=lambda: (receipt(), None, None),
    )
    assert (drawn.sha256, len(drawn.content)) == (picture["sha256"], picture["size"]), "the very picture again"
    piece = base64.b64encode(drawn.content).decode()[100:160]
    kept = walk.query(
        "select to_jsonb(j)::text as kept from jobs j where tenant = :tenant"
        " union all select to_jsonb(c)::text from calls c where tenant = :tenant"
        " union all select to_jsonb(e)::text from exchanges e join calls c on c.id = e.call_id"
        " where tenant = :tenant",
        tenant=walk.tenant,
    )
    assert len(kept) == 3
    assert not [row for row in kept if piece in row.kept or drawn.content.hex()[200:260] in row.kept]


def test_auto_shows_a_text_as_text_and_a_scan_as_its_picture(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    plain = walk.run(pdf(*[" ".join(LINES)]), "see_auto", "plain.pdf")
    (request,) = walk.requests(plain.id)
    assert "pictures" not in request["messages"][1]
    assert "Pages of the document" not in request["messages"][1]["content"]
    seen = walk.run(scanned(receipt()), "see_auto", "scan.pdf")
    right(seen, walk)
    (request,) = walk.requests(seen.id)
    assert [each["page"] for each in request["messages"][1]["pictures"]] == [1]
    assert "TOTAL" in request["messages"][1]["content"], "OCR's text stands beside the picture"


def test_a_text_has_no_pages_and_is_shown_as_text(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    row = walk.run("\n".join(LINES).encode(), "see_pages", "receipt.txt")
    right(row, walk)
    assert "pictures" not in walk.requests(row.id)[0]["messages"][1]


def test_the_key_of_the_work_covers_the_picture(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    one, other = walk.run(receipt(), "see_pages"), walk.run(receipt((*LINES, "Thank you")), "see_pages")
    assert one.flight_key != other.flight_key
    again = walk.run(receipt(), "see_pages", "again.png")
    assert again.flight_key == one.flight_key
    assert [call.state for call in walk.calls(again.id)] == ["cached"]
    assert len(walk.bill()) == 2


def test_a_digit_that_was_misread_is_caught(seeing: Callable[..., Seen]) -> None:
    walk = seeing(faults={"misread": 1.0}, ladder=("small",))
    row = walk.run(receipt(), "see_pages")
    assert row.state == "needs_review"
    assert row.failure["kind"] == "wrong"


def test_a_better_model_is_shown_the_pages_as_it_sees_them(seeing: Callable[..., Seen]) -> None:
    config = (
        '[models.small]\nmodel = "sim-small"\nprovider = "simulator"\nbase_url = "URL"\n'
        '[models.large]\nmodel = "sim-large"\nprovider = "anthropic"\nbase_url = "URL"\n'
    )
    walk = seeing(config, faults={"misread": 1.0}, seed=3)
    row = walk.run(receipt(), "see_pages")
    asked = [call.model for call in walk.calls(row.id)]
    assert asked == ["sim-small", "sim-large"]
    assert all(request["messages"][1]["pictures"] for request in walk.requests(row.id))
    assert sum(call.cost_usd for call in walk.calls(row.id)) == sum(
        Decimal(line["cost_usd"]) for line in walk.bill()
    )


def test_who_does_not_look_at_the_picture_gets_nothing_past_the_text(seeing: Callable[..., Seen]) -> None:
    walk = seeing(faults={"blind": 1.0}, ladder=("small",))
    row = walk.run(receipt(("SOME OTHER SHOP", "Date: 01/02/2020", "TOTAL 99.00")), "see_pages")
    assert row.state in ("needs_review", "failed")


def test_without_ocr_nothing_is_there_to_hold_an_answer_against_and_a_person_looks(
    seeing: Callable[..., Seen],
) -> None:
    walk = seeing(ocr=False)
    row = walk.run(receipt(), "see_pages")
    assert (row.state, row.failure["kind"], row.context["unread"]) == ("needs_review", "wrong", [1])
    assert "date: read from a picture (page 1)" in row.failure["message"]
    found, unchecked = walk.result(row.id), {"found": False, "unchecked": True}
    assert {name: found.value[name] for name in RIGHT} == RIGHT
    assert {name: found.evidence[name] for name in RIGHT} == dict.fromkeys(RIGHT, unchecked)
    assert len(walk.calls(row.id)) == 1, "a stronger model could be checked no better"
    again = walk.run(receipt(), "see_pages", "again.png")
    assert again.state == "needs_review", "what nobody has checked is no answer for others"


def test_a_prompt_may_accept_what_nobody_can_check_and_evidence_says_so(seeing: Callable[..., Seen]) -> None:
    walk = seeing(ocr=False, unchecked="accept")
    row = walk.run(receipt(), "see_auto")
    right(row, walk)
    assert walk.result(row.id).evidence["total"] == {"found": False, "unchecked": True}


def test_a_scan_that_was_seen_without_ocr_is_no_text_for_others(seeing: Callable[..., Seen]) -> None:
    walk = seeing(ocr=False)
    body = scanned(receipt())  # it holds the time at which it was made
    seen = walk.run(body, "see_pages", "scan.pdf")
    assert seen.state == "needs_review"
    read = walk.run(body, "see_text", "scan.pdf")
    assert (read.state, read.failure["kind"], read.document_id) == ("failed", "unreadable", seen.document_id)


def test_a_budget_is_never_passed_by_pictures(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    wanted = Wanted(scope="tenant", subject=walk.tenant, span="total", cap_usd=Decimal("0.0006"), policy="fail")
    with walk.engine.begin() as connection:
        budget_admin.put(connection, wanted, timezone="UTC")
    rows = [walk.run(receipt((*LINES, f"No. {number}")), "see_both", f"{number}.png") for number in range(3)]
    states = [row.state for row in rows]
    assert {"done", "failed"} == set(states), "some fit, and not all"
    assert all(row.failure["kind"] == "budget" for row in rows if row.state == "failed")
    spent = walk.query("select spent_usd, reserved_usd from budgets where subject = :tenant", tenant=walk.tenant)[
        0
    ]
    assert spent.spent_usd == sum(Decimal(line["cost_usd"]) for line in walk.bill()) <= wanted.cap_usd
    assert spent.reserved_usd == 0


def test_a_ladder_skips_models_without_eyes(seeing: Callable[..., Seen]) -> None:
    walk = seeing(ladder=("sim-text", "large"))
    row = walk.run(receipt(), "see_pages")
    right(row, walk)
    assert [call.model for call in walk.calls(row.id)] == ["sim-large"]
    text_alone = walk.run("\n".join(LINES).encode(), "see_auto", "receipt.txt")
    assert [call.model for call in walk.calls(text_alone.id)] == ["sim-text"]


def test_where_no_model_sees_it_is_said_before_anything_is_paid(seeing: Callable[..., Seen]) -> None:
    walk = seeing(ladder=("sim-text",))
    row = walk.run(receipt(), "see_pages")
    assert (row.state, row.failure["kind"]) == ("failed", "bad_request")
    assert "images = true" in row.failure["message"]
    auto = walk.run(receipt(), "see_auto")
    right(auto, walk)
    assert walk.requests(auto.id)[0]["messages"][1].keys() == {"role", "content"}


def test_a_model_that_turns_out_to_be_blind_is_remembered(seeing: Callable[..., Seen]) -> None:
    config = (
        '[models.small]\nmodel = "sim-text"\nprovider = "simulator"\nbase_url = "URL"\nimages = true\n'
        f'account = "{time.monotonic_ns()}"\n[models.large]\nmodel = "sim-large"\nbase_url = "URL"\n'
    )
    walk = seeing(config)
    row = walk.run(receipt(), "see_pages")
    right(row, walk)
    assert [(call.model, call.failure_kind) for call in walk.calls(row.id)] == [
        ("sim-text", "bad_request"),
        ("sim-large", None),
    ]
    again = walk.run(receipt((*LINES, "Thank you")), "see_pages")
    assert [call.model for call in walk.calls(again.id)] == ["sim-large"]


def test_a_blind_model_alone_is_shown_the_text_where_there_is_one(seeing: Callable[..., Seen]) -> None:
    config = (
        '[models.small]\nmodel = "sim-text"\nprovider = "simulator"\nbase_url = "URL"\nimages = true\n'
        f'account = "{time.monotonic_ns()}"\n'
    )
    walk = seeing(config, ladder=("small",))
    row = walk.run(receipt(), "see_auto")
    right(row, walk)
    assert [call.failure_kind for call in walk.calls(row.id)] == ["bad_request", None]
    pages = walk.run(receipt((*LINES, "Thank you")), "see_pages")
    assert (pages.state, len(walk.calls(pages.id))) == ("failed", 0)


def test_more_pages_than_a_request_holds_are_refused_with_the_reason(seeing: Callable[..., Seen]) -> None:
    walk = seeing(ocr=False)
    small = receipt(("TOTAL 1.00",), size=(200, 100))
    row = walk.run(scanned(*[small] * 21), "see_pages", "long.pdf")
    assert (row.state, row.failure["kind"]) == ("failed", "context_overflow")
    assert "21 pages" in row.failure["message"]


def test_a_call_waits_for_room_for_its_bytes(seeing: Callable[..., Seen]) -> None:
    walk = seeing()
    walk.services = replace(walk.services, room=Room(10))
    job_id = walk.submit_file(receipt(), "see_pages")
    while walk.job(job_id).stage != "complete":
        walk.step(job_id)
    with walk.services.room.of(10, within_s=0):
        walk.step(job_id)
        assert walk.job(job_id).wait in ("countdown", "rate")
        assert walk.calls(job_id) == []
    with walk.engine.begin() as connection:
        connection.execute(text("update jobs set wait = 'unsent' where id = :id"), {"id": job_id})
    right(walk.to_the_end(job_id), walk)
    assert walk.services.room.taken == 0


def test_an_estimate_counts_the_pictures_of_a_scan(seeing: Callable[..., Seen], tmp_path: Path) -> None:
    walk = seeing(ocr=False, unchecked="accept")
    (tmp_path / "scan.png").write_bytes(receipt())
    prompt = walk.services.registry.get("see_auto")
    counted = _count(
        [tmp_path / "scan.png"], prompt, ModelTable(model="sim-small"), counter_for("sim-small"), Limits()
    )
    assert (counted.unreadable, len(counted.calls)) == (0, 1)
    row = walk.run(receipt(), "see_auto")
    assert counted.calls[0][0] == pytest.approx(walk.calls(row.id)[0].input_tokens, rel=0.02)
    plain = walk.services.registry.get("see_text")
    assert (
        _count(
            [tmp_path / "scan.png"], plain, ModelTable(model="sim-small"), counter_for("sim-small"), Limits()
        ).unreadable
        == 1
    )
