"""What goes between a judge and its process comes over as it was, and the process ends in time."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import pytest

from docmill.apart import frames
from prompts import Registry
from tasks.apart import child, messages
from tasks.apart.messages import Content, Told, TooLarge, read_answer, read_question, write_answer, write_question
from tasks.stages.checking import question_of
from tasks.verdicts import Rejected, Verdict
from tests.judging import asked

CONTENT = Content("receipt", "v1", b"\x00\xff")
HALF = "half a character: \ud83d"


def a_question(reply: str = HALF) -> tuple[bytes, bytes]:
    registry = Registry()
    prompt = registry.get("receipt")
    job, _, excerpt, answer = asked(prompt, reply)
    content = Content(prompt.name, prompt.version, prompt.content_hash)
    return write_question(content, question_of(job, excerpt, answer))


def test_a_question_comes_over_whole() -> None:
    context = {
        "passages": [[0, 3], [5, 9]],
        "seen": [(10, 12)],
        "unread": [3],
        "found": [{"document_id": 4, "start": 10, "end": 14}],
    }
    prompt = Registry().get("receipt")
    job, _, excerpt, answer = asked(
        prompt,
        HALF,
        text=f"tea for two {HALF}",
        context=context,
        found=["tea\0"],
        layout=b"\x00\xfe",
        pages=[0, 4],
    )
    question = question_of(job, excerpt, answer)
    content, came = read_question(*write_question(CONTENT, question))
    assert content == CONTENT
    assert {
        **vars(came),
        "pages": tuple(came.pages),
        "unread": tuple(came.unread),
        "found": tuple(came.found),
    } == vars(question)


def test_a_question_that_fits_no_frame_is_not_asked() -> None:
    with pytest.raises(TooLarge):
        a_question("x" * frames.MAX_HEADER)


@pytest.mark.parametrize(
    "told",
    [
        Told(verdict=Verdict(kept={"answer": {"a": [1, 2.5, None]}, "evidence": None}), last=True),
        Told(verdict=Verdict(kept=None, rejected=Rejected(kind="truncated", message="cut", problems=("a: b",)))),
        Told(verdict=Verdict(kept={"answer": 1}, rejected=Rejected(kind="wrong", message="", problems=()))),
        Told(broke="ValueError at output.py:3"),
        Told(declined=True),
        Told(declined=True, unloaded=True),
    ],
)
def test_an_answer_comes_over_whole(told: Told) -> None:
    assert read_answer(*write_answer(told)) == told


def test_an_answer_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MOST_BYTES", 100)
    told = Told(verdict=Verdict(kept={"answer": "x" * 100}), last=True)
    assert read_answer(*write_answer(told)) == Told(declined=True, last=True)


HEAVY = "sqlalchemy psycopg celery redis httpx structlog pydantic_settings cryptography asyncio"


def test_the_child_imports_what_it_needs_alone() -> None:
    """Each io worker has one: what is imported there is memory for as long as it runs."""
    code = f"import sys, tasks.apart.child; print(*(set({HEAVY!r}.split()) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


def served(questions: int) -> list[Told]:
    """What a child answers to so many questions, until it ends."""
    (incoming, ask), (answers, outgoing) = os.pipe(), os.pipe()
    serving = Thread(target=child.serve, args=(Registry(), incoming, outgoing))
    serving.start()
    told = []
    for _ in range(questions):
        frames.send(ask, *a_question("{}"))
        told.append(read_answer(*frames.receive(answers, max_body=2**20)))
        if told[-1].last:
            break
    os.close(ask)
    serving.join()
    for pipe in (incoming, answers, outgoing):
        os.close(pipe)
    return told


def test_a_child_ends_after_so_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MOST_QUESTIONS", 3)
    monkeypatch.setattr(child, "MOST_BYTES", 2**60)
    assert [told.last for told in served(5)] == [False, False, True]


def test_a_child_ends_once_it_holds_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MOST_BYTES", 1)
    assert [told.last for told in served(5)] == [True]


def test_a_child_ends_with_its_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MOST_BYTES", 2**60)
    assert [told.last for told in served(2)] == [False, False]
