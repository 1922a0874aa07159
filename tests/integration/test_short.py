"""Short documents, which one io worker takes all the way; and what of them takes the long way all the same."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import psutil
import pytest
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from db import dispatch, jobs
from db.jobs import Answer, Drive, Job
from db.stages import CHAINS, Stage
from db.submit import Submission, submit
from docmill.apart.process import ProcessApart
from docmill.reading import Reader, process
from docmill.settings import load_settings
from prompts import Excerpt, PromptVersion
from tasks.apart.judge import Died, NotNow, TookLong
from tasks.celery.going_on import goes_on
from tasks.celery.stage import Handler, StageBroke
from tasks.chain import FUNCTIONS
from tasks.queues import queues_of
from tasks.services import Hurry, Services
from tasks.short import LONGEST_REPLY, LONGEST_TEXT
from tasks.stages.step import InHand, Onward, Step, Stop
from tests.documents import pdf
from tests.walk import RECEIPT, Walk, walk
from workers.services import io_services
from workers.stack.servers import EmbeddedServers

__all__ = ["walk"]

HANDLERS = {stage: Handler(name=stage, function=FUNCTIONS[stage], lease_s=60) for stage in FUNCTIONS}
DOCUMENTS = {
    "a receipt": RECEIPT.encode(),
    "line ends and a mark of the byte order": b"\xef\xbb\xbf" + RECEIPT.replace("\n", "\r\n").encode(),
    "pages": (RECEIPT + "\f" + RECEIPT).encode(),
    "a web page": f"<html><body><h1>Bill</h1><pre>{RECEIPT}</pre></body></html>".encode(),
    "bytes of an old code page": ("CAFÉ ÉTÉ\n" + RECEIPT).encode("cp1252"),
    "a mail": b"From: a@example.com\nSubject: your receipt\nMIME-Version: 1.0\n\n" + RECEIPT.encode(),
    "a table": b"item;price\ntea;10.00\ncake;2.50\n" + RECEIPT.encode(),
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as opened:
        yield opened


@pytest.fixture
def way(walk: Callable[..., Walk], reader: Reader) -> Walk:
    """As an io worker has it, but for its judge, which is here."""
    made = walk()
    made.services = replace(
        made.services,
        reader=reader,
        hurry=Hurry(turn_s=20, reads_s=20),
        goes_on_with=("context", "complete", "parse", "store"),
    )
    return made


def submitted(way: Walk, body: bytes = RECEIPT.encode()) -> int:
    with way.engine.begin() as connection:
        job_id = submit(connection, Submission(prompt="receipt", body=body + b"\n", tenant=way.tenant))
        connection.execute(text("update jobs set wait = 'sent', state = 'running' where id = :id"), {"id": job_id})
    return job_id


def loaded(way: Walk, job_id: int, stage: Stage) -> Job:
    with way.engine.connect() as connection:
        job = jobs.load(connection, job_id, way.job(job_id).epoch, stage)
    assert job is not None
    return job


def onward(step: Step) -> Job:
    assert isinstance(step, Onward), step
    assert step.job is not None
    return step.job


def read(way: Walk, job_id: int) -> Job:
    return onward(HANDLERS["validate"].run(way.services, job_id, way.job(job_id).epoch, then="context"))


def answered(way: Walk, job_id: int) -> Job:
    """In hand from its call."""
    chosen = HANDLERS["context"].go_on(way.services, read(way, job_id), then="complete")
    assert isinstance(chosen, InHand), chosen
    return onward(HANDLERS["complete"].go_on(way.services, chosen.job, then="parse"))


def go_on(way: Walk, stage: Stage, job: Job, function: Callable[[Services, Job], Step] | None = None) -> Step:
    handler = HANDLERS[stage] if function is None else replace(HANDLERS[stage], function=function)
    return handler.go_on(way.services, job, then="store" if stage == "parse" else None)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_job_in_hand_is_what_would_be_loaded(way: Walk, document: str) -> None:
    job_id = submitted(way, DOCUMENTS[document])
    hand = read(way, job_id)
    row = loaded(way, job_id, "context")
    assert hand == row

    hand = answered(way, submitted(replace_tenant(way), DOCUMENTS[document]))
    row = loaded(way, hand.id, "parse")
    for field in fields(Job):
        assert getattr(hand, field.name) == getattr(row, field.name), field.name


def test_a_call_that_came_by_a_message_is_gone_on_with_too(way: Walk) -> None:
    """As after a countdown of a limit."""
    job_id = submitted(way)
    chosen = HANDLERS["context"].go_on(way.services, read(way, job_id), then=None)
    assert isinstance(chosen, Onward), chosen
    hand = onward(HANDLERS["complete"].run(way.services, job_id, way.job(job_id).epoch, then="parse"))
    assert goes_on("parse", hand)
    assert hand == loaded(way, job_id, "parse")


def test_a_deadline_that_passes_in_the_call_is_seen_in_hand(way: Walk) -> None:
    chosen = HANDLERS["context"].go_on(way.services, read(way, submitted(way)), then="complete")
    assert isinstance(chosen, InHand)
    with way.engine.begin() as connection:
        connection.execute(text("update jobs set deadline_at = now() where id = :id"), {"id": chosen.job.id})
    hand = onward(HANDLERS["complete"].go_on(way.services, chosen.job, then="parse"))
    assert hand.overdue
    assert loaded(way, hand.id, "parse").overdue
    assert go_on(way, "parse", hand) == Stop("failed: deadline")


def replace_tenant(way: Walk) -> Walk:
    """Another tenant's, who shares no answer."""
    way.tenant = uuid4().hex[:8]
    return way


@pytest.mark.parametrize("document", DOCUMENTS)
def test_both_ways_end_alike(way: Walk, document: str) -> None:
    hand = answered(way, submitted(way, DOCUMENTS[document]))
    assert goes_on("parse", hand)
    step = go_on(way, "parse", hand)
    assert isinstance(step, InHand), step
    assert go_on(way, "store", step.job) == Onward()

    other = submitted(replace_tenant(way), DOCUMENTS[document])
    for stage in ("validate", "context", "complete", "parse", "store"):
        row = way.job(other)
        with way.engine.begin() as connection:
            connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": other})
        assert isinstance(HANDLERS[stage].run(way.services, other, row.epoch), Onward), (stage, way.job(other))
    ends = [way.job(each) for each in (hand.id, other)]
    assert [(each.state, each.stage, each.wait, each.crashes) for each in ends] == [("done", "store", None, 0)] * 2
    assert ends[0].value == ends[1].value
    assert ends[0].context == ends[1].context


def test_a_job_that_is_parsed_in_hand_has_no_claim(way: Walk) -> None:
    hand = answered(way, submitted(way))
    row = way.job(hand.id)
    assert (row.stage, row.wait) == ("parse", "sent"), "whoever drives it again finds it"
    assert row.owner == way.services.owner, "and nobody is woken for it"


@pytest.mark.parametrize("stage", ["parse", "store"])
def test_where_the_database_goes_away_messages_are_left_for_who_computes(way: Walk, stage: Stage) -> None:
    hand = answered(way, submitted(way))
    if stage == "store":
        step = go_on(way, "parse", hand)
        assert isinstance(step, InHand)
        hand = step.job
    began = time.monotonic()

    def away(*_: object) -> NoReturn:
        raise OperationalError("select", {}, ConnectionError("away"), connection_invalidated=True)

    stopped = go_on(way, stage, hand, away)
    assert isinstance(stopped, Stop)
    assert {drive.stage for drive in stopped.drives} == {"parse", stage}
    assert time.monotonic() - began < 3, "nothing is tried again in place: no claim is held"
    assert way.job(hand.id).wait == "sent"


def judged_by(way: Walk, error: Exception) -> Services:
    def judge(job: Job, prompt: PromptVersion, excerpt: Excerpt, answer: Answer) -> NoReturn:
        raise error

    return replace(way.services, judge=judge)


@pytest.mark.parametrize("error", [NotNow("others' questions"), TookLong("the checks took long")])
def test_a_reply_that_cannot_be_judged_at_once_is_left_to_who_computes(way: Walk, error: Exception) -> None:
    hand = answered(way, submitted(way))
    way.services = judged_by(way, error)
    assert go_on(way, "parse", hand) == Stop("takes the long way")
    row = way.job(hand.id)
    assert (row.stage, row.wait, row.crashes, row.redrives) == ("parse", "unsent", 0, 1)
    assert queue_of(started(way, hand.id)) == "cpu.bulk"


def test_a_reply_that_ends_its_judge_is_a_crash(way: Walk) -> None:
    hand = answered(way, submitted(way))
    way.services = judged_by(way, Died("the judge's process ended with -11"))
    with pytest.raises(StageBroke):
        go_on(way, "parse", hand)
    row = way.job(hand.id)
    assert (row.stage, row.wait, row.crashes) == ("parse", "unsent", 1)
    assert queue_of(started(way, hand.id)) == "cpu.bulk"


def left(way: Walk, hurry: Hurry, body: bytes = RECEIPT.encode()) -> Drive:
    """How a job is driven that took the long way."""
    job_id = submitted(way, body)
    way.services = replace(way.services, hurry=hurry)
    stopped = HANDLERS["validate"].run(way.services, job_id, way.job(job_id).epoch, then="context")
    assert stopped == Stop("takes the long way")
    row = way.job(job_id)
    assert (row.stage, row.wait, row.crashes, row.redrives) == ("validate", "unsent", 0, 1)
    return started(way, job_id)


def test_a_document_that_others_keep_waiting_takes_the_long_way(way: Walk, reader: Reader) -> None:
    with reader._turn:
        assert queue_of(left(way, Hurry(turn_s=0.01))) == "cpu.bulk"


def test_a_document_that_is_read_for_too_long_takes_the_long_way(way: Walk, reader: Reader) -> None:
    reader.confinement()
    psutil.Process(reader._parser.running().pid).suspend()
    assert queue_of(left(way, Hurry(reads_s=0.1))) == "cpu.bulk"
    read(way, submitted(replace_tenant(way)))  # by another child


def test_a_short_document_gives_way_to_nobody_who_waits_for_others(
    way: Walk, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.stages.validate.must_give_way", lambda *_: True)
    reader.confinement()
    psutil.Process(reader._parser.running().pid).suspend()
    assert queue_of(left(way, Hurry(reads_s=1.5))) == "cpu.bulk"


@pytest.fixture
def worker(way: Walk, servers: EmbeddedServers, tmp_path: Path) -> Iterator[Services]:
    """What an io worker has that has just started; jobs go its way."""
    settings = load_settings(
        database_url=servers.database_url,
        broker_url=servers.broker_url,
        cache_url=servers.cache_url,
        spool=tmp_path,
    )
    with io_services(settings, owner=way.services.owner, celery=Celery()) as made:
        way.services = replace(way.services, reader=made.reader, hurry=made.hurry, judge=made.judge)
        yield made


def apart() -> list[str]:
    """The processes apart that this one has."""
    commands = [each.cmdline() for each in psutil.Process().children()]
    return [name for name in ("docmill.reading.child", "tasks.apart.child") for each in commands if name in each]


def test_the_first_short_document_starts_the_processes_that_it_needs_and_waits_for_them(
    way: Walk, worker: Services
) -> None:
    before = apart()
    job_id = submitted(way)
    hand = read(way, job_id)
    assert len(apart()) == len(before) + 2, (
        "the judge gets ready while the document is read, and while a model is asked"
    )
    chosen = HANDLERS["context"].go_on(way.services, hand, then="complete")
    assert isinstance(chosen, InHand), chosen
    step = go_on(way, "parse", onward(HANDLERS["complete"].go_on(way.services, chosen.job, then="parse")))
    assert isinstance(step, InHand), step
    assert go_on(way, "store", step.job) == Onward()
    assert (way.job(job_id).state, way.job(job_id).redrives) == ("done", 0)


HOLDS_A_PDF = b"""From: a@example.com
Subject: your receipt
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain

see there
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename="receipt.pdf"
Content-Transfer-Encoding: base64

"""


def test_a_mail_with_a_file_that_is_no_text_takes_the_long_way(way: Walk, worker: Services) -> None:
    body = HOLDS_A_PDF + base64.encodebytes(pdf("TEA HOUSE 7")) + b"\n--b--\n"
    assert worker.hurry is not None
    assert queue_of(left(way, worker.hurry, body)) == "cpu.bulk"
    with Reader() as full:
        assert "TEA HOUSE 7" in full.read_bytes(body).text


@pytest.mark.parametrize("command", ["/no/such/program", "/bin/false"])
def test_where_no_process_can_be_started_a_document_takes_the_long_way(
    way: Walk, worker: Services, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """And the worker goes on, and tries it seldom."""
    tried = []

    def start(_: object, **how: object) -> ProcessApart:
        tried.append(how)
        return ProcessApart([command], **how)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "ProcessApart", start)
    for _ in range(3):
        assert queue_of(left(replace_tenant(way), Hurry())) == "cpu.bulk"
    assert len(tried) == 1


def test_nobody_waits_long_for_a_process_that_hangs_at_its_start(
    way: Walk, worker: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", "import sys; sys.stdin.read()"))
    assert queue_of(left(way, Hurry(turn_s=0.5))) == "cpu.bulk"
    monkeypatch.setattr(process, "READY_WITHIN_S", 0.1)
    began = time.monotonic()
    assert queue_of(left(replace_tenant(way), Hurry(turn_s=20))) == "cpu.bulk"
    assert time.monotonic() - began < 10
    monkeypatch.undo()
    monkeypatch.setattr(process, "START_TIMEOUT_S", 0.0)
    monkeypatch.setattr("docmill.reading.reader.AFTER_FAILURE_S", 0.0)
    with capture_logs() as logs:
        assert queue_of(left(replace_tenant(way), Hurry(turn_s=0.1))) == "cpu.bulk"  # which ends it
    assert "not ready within" in next(each["why"] for each in logs if each["event"] == "not_read_here")
    way.services = replace(way.services, hurry=Hurry(turn_s=20, reads_s=20))
    read(way, submitted(replace_tenant(way)))


def started(way: Walk, job_id: int) -> Drive:
    with way.engine.begin() as connection:
        (drive,) = dispatch.start(connection, [job_id], 60)
    return drive


def queue_of(drive: Drive) -> str:
    return queues_of(drive, CHAINS[drive.chain][:1] if drive.stage == "validate" else (drive.stage,))[0]


LONG = {
    "many bytes": b"x" * 65_537,
    "a byte that is 0": b"TEA HOUSE\0",
    "UTF-16": RECEIPT.encode("utf-16"),
    "a PDF without such a byte": b"junk\n%PDF-1.4\n1 0 obj\n",
}


@pytest.mark.parametrize(
    ("body", "queue"), [(RECEIPT.encode(), "short.bulk"), *((each, "cpu.bulk") for each in LONG.values())]
)
def test_a_short_text_goes_to_who_calls_and_all_else_to_who_computes(
    engine: Engine, way: Walk, body: bytes, queue: str
) -> None:
    with engine.begin() as connection:
        job_id = submit(connection, Submission(prompt="receipt", body=body, tenant=way.tenant))
    drive = started(way, job_id)
    assert (drive.short, queue_of(drive)) == (queue == "short.bulk", queue)


@pytest.mark.parametrize("broken", ["crashes = 1", "redrives = 1", "stage = 'parse'"])
def test_what_did_not_end_the_short_way_takes_the_long_one(engine: Engine, way: Walk, broken: str) -> None:
    with engine.begin() as connection:
        job_id = submit(connection, Submission(prompt="receipt", body=RECEIPT.encode(), tenant=way.tenant))
        connection.execute(text(f"update jobs set {broken} where id = :id"), {"id": job_id})
    assert queue_of(started(way, job_id)) == "cpu.bulk"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), times=st.integers(1, 400))
def test_short_is_few_bytes_of_which_none_is_0(engine: Engine, body: bytes, times: int) -> None:
    whole = body * times
    with engine.connect() as connection:
        told = connection.execute(text("select docmill_is_short(:body)"), {"body": whole}).scalar_one()
    assert told == (len(whole) <= 65_536 and b"\0" not in whole and b"%PDF" not in whole[:1024])


def test_a_long_reply_or_a_document_in_part_is_not_parsed_in_hand(way: Walk) -> None:
    hand = answered(way, submitted(way))
    assert hand.answer is not None
    assert hand.document is not None
    assert not goes_on("parse", None)
    assert not goes_on("parse", replace(hand, answer=replace(hand.answer, text="x" * (LONGEST_REPLY + 1))))
    assert not goes_on("parse", replace(hand, document=replace(hand.document, text="x" * (LONGEST_TEXT + 1))))
    assert not goes_on("parse", replace(hand, document=replace(hand.document, whole=False)))
    assert goes_on("store", None)


def test_who_has_a_hundred_threads_keeps_no_account_of_turns(way: Walk) -> None:
    answered(way, submitted(way))
    assert way.services.turns._began == {}, "nobody asks it there, and its threads would fall over one another"
