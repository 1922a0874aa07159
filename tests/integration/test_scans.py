"""Scans: read page by page in slices, each page once, whatever dies in between."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pypdfium2
import pytest
from PIL import Image, ImageDraw, ImageFont
from sqlalchemy import Engine, Row, text

from cli.overlay import write_overlay
from db import dispatch, reports, transitions
from db.database import Database
from db.fleet import room, see_worker
from db.jobs import Job
from db.submit import Submission, submit
from docmill.errors import JobNotFit
from docmill.reading import Reader
from docmill.reading.reader import ReaderKilled
from docmill.reading.values import Scan
from docmill.settings import load_settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.chain import signatures_of
from tasks.services import Services
from tasks.stages import ocr as stage
from tasks.stages.ocr import ocr
from tasks.stages.step import Again, Onward, Step, Stop
from tasks.stages.validate import validate
from tests.command import Command
from tests.walk import RECEIPT, Walk
from workers.stack.servers import EmbeddedServers


class Counting(Reader):
    """Tells which pages it was asked for."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.asked: list[int] = []

    def read_scan(self, body: bytes, page: int, *options: Any, **more: Any) -> Scan:
        self.asked.append(page)
        return super().read_scan(body, page, *options, **more)


@pytest.fixture(scope="module")
def reader() -> Iterator[Counting]:
    with Counting(load_settings(ocr="on").reading_limits) as made:
        yield made


class Way:
    """Takes a job from stage to stage."""

    def __init__(self, engine: Engine, reader: Counting, **settings: Any) -> None:
        self.engine, self.reader = engine, reader
        self.tenant = f"t-{uuid4()}"
        self.services = Services(
            settings=load_settings(ocr="on", **settings),
            database=Database(engine),
            registry=Registry(),
            publish=lambda _: None,
            owner="test",
            reader=reader,
        )
        reader.asked.clear()

    def submit(self, body: bytes, prompt: str = "invoice", version: str = "v1") -> int:
        wanted = Submission(prompt=prompt, version=version, body=body, name="a.pdf", tenant=self.tenant)
        with self.engine.begin() as connection:
            return submit(connection, wanted)

    def claimed(self, job_id: int) -> Job:
        row = self.row(job_id)
        with self.engine.begin() as connection:
            connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job_id})
            found = transitions.claim(connection, job_id, row.epoch, row.stage, owner="test", lease_s=60)
        assert found is not None
        return found

    def step(self, job_id: int) -> Step:
        job = self.claimed(job_id)
        return {"validate": validate, "ocr": ocr}[job.stage](self.services, job)

    def row(self, job_id: int) -> Row[Any]:
        with self.engine.connect() as connection:
            return connection.execute(text("select * from jobs where id = :id"), {"id": job_id}).one()

    def document(self, job_id: int) -> Row[Any]:
        with self.engine.connect() as connection:
            found = text("select d.* from documents d join jobs j on j.document_id = d.id where j.id = :id")
            return connection.execute(found, {"id": job_id}).one()


def scanned(*pages: str) -> bytes:
    """A PDF of pictures."""
    font = ImageFont.load_default(40)
    made = []
    for words in pages:
        picture = Image.new("RGB", (900, 300), "white")
        ImageDraw.Draw(picture).text((60, 100), words, fill="black", font=font)
        made.append(picture)
    file = io.BytesIO()
    made[0].save(file, "PDF", save_all=True, append_images=made[1:])
    return file.getvalue() + f"\n% {uuid4()}".encode()


def test_two_jobs_of_one_scan_put_its_text_together_once(engine: Engine, reader: Counting) -> None:
    way = Way(engine, reader)
    body = scanned("TOTAL 12.50")
    first, second = way.submit(body), way.submit(body)
    for job in (first, second):
        assert way.step(job) == Stop("waits for OCR")
    late = way.claimed(second)  # with the document as it was
    assert way.step(first) == Onward()
    whole = way.document(first).text
    assert way.step(second) == Onward()
    assert way.row(second).stage == "context"
    assert ocr(way.services, late) == Stop("stale")
    assert way.document(first).text == whole


def test_a_reading_that_came_late_does_not_undo_what_ocr_found(engine: Engine, reader: Counting) -> None:
    way = Way(engine, reader)
    body = scanned("TOTAL 12.50")
    first, second = way.submit(body), way.submit(body)
    late = way.claimed(second)  # before anything is known of the document
    assert way.step(first) == Stop("waits for OCR")
    assert way.step(first) == Onward()
    whole = way.document(first).text
    assert validate(way.services, late) == Stop("waits for OCR")
    found = way.document(first)
    assert (found.text, found.scans, [each["kind"] for each in found.warnings]) == (whole, [], ["ocr_guessed"])
    assert way.step(second) == Onward()
    assert way.row(second).stage == "context"
    assert reader.asked == [0]


def test_a_scan_is_read_page_by_page_each_once_and_others_have_their_turn(
    engine: Engine, reader: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SLICE_S", 0.0)
    way = Way(engine, reader)
    body = scanned("TOTAL 12.50", "Invoice 4711", "Thank you")
    job = way.submit(body)
    assert way.step(job) == Stop("waits for OCR")
    assert (way.row(job).stage, way.row(job).wait, way.document(job).scans) == ("ocr", "unsent", [0, 1, 2])
    # Page by page; a worker that is killed while it reads the second one has lost that page alone.
    assert way.step(job) == Stop("next slice")
    with engine.connect() as connection:
        assert reports.job_report(connection, job).progress == "page 1 of 3"
    monkeypatch.setattr(reader, "read_scan", killed)
    with pytest.raises(KeyboardInterrupt):
        way.step(job)
    monkeypatch.undo()
    monkeypatch.setattr(stage, "SLICE_S", 0.0)
    with engine.begin() as connection:
        connection.execute(text("update jobs set wait = 'unsent' where id = :id"), {"id": job})
    assert way.step(job) == Stop("next slice")
    assert way.step(job) == Onward()
    assert reader.asked == [0, 1, 2]
    found = way.document(job)
    assert (way.row(job).stage, found.scans) == ("context", [])
    read = [found.text[start:].split("\n")[0] for start in found.pages]
    assert read == ["TOTAL 12.50", "Invoice 4711", "Thank you"]
    assert [(each["kind"], each["count"]) for each in found.warnings] == [("ocr_guessed", 3)]
    # The same tenant's next job with it reads nothing again.
    again = way.submit(body)
    assert way.step(again) == Onward()
    assert (way.row(again).stage, reader.asked) == ("context", [0, 1, 2])


def killed(*_: object, **__: object) -> Scan:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("crashes", "end"), [(0, None), (2, "it is a scan")])
def test_a_reader_that_somebody_kills_is_a_crash_until_the_job_is_apart(
    engine: Engine, reader: Counting, monkeypatch: pytest.MonkeyPatch, crashes: int, end: str | None
) -> None:
    def kill(*_: object, **__: object) -> Scan:
        raise ReaderKilled("too_large", "it is a scan")

    way = Way(engine, reader)
    job = way.submit(scanned("TOTAL 12.50"))
    way.step(job)
    with engine.begin() as connection:
        connection.execute(
            text("update jobs set crashes = :crashes where id = :id"), {"id": job, "crashes": crashes}
        )
    monkeypatch.setattr(reader, "read_scan", kill)
    if end is not None:
        assert way.step(job) == Stop("failed: unreadable")
        assert end in way.row(job).failure["message"]
        return
    with pytest.raises(ReaderKilled):
        way.step(job)
    monkeypatch.undo()
    assert way.step(job) == Onward()  # the page is nobody's


def test_pages_read_before_the_time_is_over_are_kept_and_the_rest_is_told(
    engine: Engine, reader: Counting
) -> None:
    way = Way(engine, reader, ocr_within_s=0.001)
    job = way.submit(scanned("TOTAL 12.50", "Invoice 4711"))
    way.step(job)
    assert way.step(job) == Onward()
    found = way.document(job)
    assert found.text.strip() == "TOTAL 12.50"
    assert [(each["kind"], each["where"]) for each in found.warnings] == [
        ("ocr_guessed", ["page 1"]),
        ("ocr_unfinished", ["page 2"]),
    ]


def test_a_scan_without_a_word_fails_and_a_retry_reads_it_again(engine: Engine, reader: Counting) -> None:
    way = Way(engine, reader)
    job = way.submit(scanned(""))
    way.step(job)
    assert way.step(job) == Stop("failed: unreadable")
    assert "OCR finds no text" in way.row(job).failure["message"]


def scribbled() -> bytes:
    """Handwriting that no engine reads."""
    picture = Image.new("RGB", (1200, 1000), "white")
    loops = [(300 + at + 40 * math.sin(at / 9), 500 + 90 * math.sin(at / 13)) for at in range(0, 600, 3)]
    ImageDraw.Draw(picture).line(loops, fill="black", width=5)
    file = io.BytesIO()
    picture.save(file, "PDF")
    return file.getvalue() + f"\n% {uuid4()}".encode()


def test_what_only_a_model_may_read_goes_to_one_that_sees_and_a_blank_page_to_none(
    engine: Engine, reader: Counting
) -> None:
    way = Way(engine, reader)
    handwriting = scribbled()
    seen, blank = way.submit(handwriting, "receipt", "v3"), way.submit(scanned(""), "receipt", "v3")
    unseen, late = way.submit(handwriting), way.submit(handwriting)
    for job in (seen, blank, unseen, late):
        assert way.step(job) == Stop("waits for OCR")
    assert way.step(blank) == Stop("failed: unreadable")
    assert way.row(blank).failure["detail"] == "empty"
    assert way.step(unseen) == Stop("failed: unreadable")
    assert way.step(seen) == Onward()
    assert (way.row(seen).stage, way.document(seen).text.strip()) == ("context", "")
    # Who waited meanwhile, or comes later, finds a text without a word: nothing to ask a model about that sees none.
    later = way.submit(handwriting)
    assert way.step(later) == Stop("waits for OCR")
    for job in (late, later):
        assert way.step(job) == Stop("failed: unreadable")
        assert way.row(job).failure["detail"] == "empty"


def test_a_page_that_another_job_reads_just_now_is_waited_for(engine: Engine, reader: Counting) -> None:
    way = Way(engine, reader)
    job = way.submit(scanned("TOTAL 12.50"))
    way.step(job)
    with engine.begin() as connection:
        connection.execute(
            text("insert into scanned_pages values (:id, 0, clock_timestamp() + interval '1 minute')"),
            {"id": way.document(job).id},
        )
    assert isinstance(way.step(job), Again)
    assert way.row(job).wait == "countdown"
    assert reader.asked == []


def test_scans_hold_no_place_of_others_and_wait_for_their_own_worker(engine: Engine, reader: Counting) -> None:
    way = Way(engine, reader)
    ids = [way.submit(scanned(f"Page {number}")) for number in range(4)]
    for job in ids:
        way.step(job)
    with engine.begin() as connection:
        connection.execute(
            text("update jobs set wait = null, state = 'failed' where not id = any(:ids)"), {"ids": ids}
        )
        connection.execute(text("delete from workers"))
        for name, queue in (("i", "io"), ("c", "cpu")):
            see_worker(connection, name, queue, 2)
        assert dispatch.waiting(connection, room(connection)) == []
        before = room(connection)
        see_worker(connection, "o", "ocr", 1)
        found = dispatch.waiting(connection, room(connection))
        assert found == ids[:2]
        (drive, _) = dispatch.start(connection, found, 60)
        assert [each.options["queue"] for each in signatures_of(drive)][:2] == ["ocr", "bulk"]
        assert [each.name for each in signatures_of(drive)][:2] == ["docmill.ocr", "docmill.context"]
        after = room(connection)
        assert (after.cpu, after.all, after.scans) == (before.cpu, before.all, 0)
        connection.execute(text("delete from workers"))


def test_with_ocr_off_a_scan_says_so(engine: Engine, reader: Counting) -> None:
    way = Way(engine, reader)
    off = Services(
        settings=load_settings(ocr="off"), database=way.services.database, registry=Registry(),
        publish=lambda _: None, owner="test", reader=Reader(load_settings(ocr="off").reading_limits),
    )  # fmt: skip
    job = way.submit(scanned("TOTAL 12.50"))
    try:
        assert validate(off, way.claimed(job)) == Stop("failed: unreadable")
    finally:
        assert off.reader is not None
        off.reader.close()
    assert "OCR is off" in way.row(job).failure["message"]


def test_a_prompt_may_want_a_person_to_look_at_what_was_guessed(
    walk: Callable[..., Walk],
    tmp_path: Path,
    docmill: Command,
    servers: EmbeddedServers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, review in (("careful", '["ocr_guessed"]'), ("easy", '["hidden"]')):
        folder = tmp_path / "prompts" / name / "v1"
        shutil.copytree(BUILT_IN / "receipt" / "v2", folder)
        with (folder / "prompt.toml").open("a") as toml:
            toml.write(f"\n[input]\nreview = {review}\n")
    way = walk()
    way.services = replace(way.services, registry=Registry([tmp_path / "prompts"]))
    ended = {}
    for name in ("careful", "easy"):
        job = way.submit(f"{RECEIPT}\nno {name}", prompt=name)
        with way.engine.begin() as connection:
            connection.execute(
                text(
                    'update documents set warnings = \'[{"kind": "ocr_guessed", "count": 1, "where": ["page 1"]}]\''
                    " where id = (select document_id from jobs where id = :id)"
                ),
                {"id": job},
            )
        ended[name] = way.to_the_end(job)
    assert (ended["careful"].state, ended["easy"].state) == ("needs_review", "done")
    assert "text that OCR guessed from a picture: page 1" in ended["careful"].failure["message"]
    monkeypatch.setenv("DOCMILL_DATABASE_URL", servers.database_url)
    monkeypatch.setenv("DOCMILL_BROKER_URL", servers.broker_url)
    shown = docmill("result", str(ended["easy"].id))
    assert "reading: text that OCR guessed from a picture: page 1" in shown.stderr


def test_an_overlay_frames_each_value_on_its_page(tmp_path: Path) -> None:
    body = scanned("TOTAL 12.50", "Invoice 4711")
    evidence = {
        "total": {"found": True, "page": 1, "boxes": [[0.2, 0.3, 0.4, 0.5]]},
        "name": {"found": False},
        "quote": {"document_id": 7, "start": 1, "end": 3},
    }
    assert write_overlay(tmp_path / "o.pdf", body, evidence, name="a.pdf", media_type="application/pdf") == 1
    (drawn,) = [page.render(scale=1).to_pil() for page in pypdfium2.PdfDocument(tmp_path / "o.pdf")]
    red = [
        (at % drawn.width, at // drawn.width)
        for at, (red, green, _) in enumerate(drawn.convert("RGB").get_flattened_data())
        if red > 150 and green < 100
    ]
    assert min(x for x, _ in red) == pytest.approx(0.2 * drawn.width, abs=3)
    assert max(y for _, y in red) == pytest.approx(0.5 * drawn.height, abs=3)
    with pytest.raises(JobNotFit, match="no value of this job has a place"):
        write_overlay(tmp_path / "o.pdf", body, {"name": {"found": False}}, name=None, media_type=None)
