"""A reply is judged in a process apart as it is here, and what a prompt's checks do there harms no one else."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from docmill.apart.process import ProcessApart
from docmill.reading.layout.geometry import pack, pack_page
from docmill.whereabouts import where
from prompts import PromptVersion, Registry
from prompts.registry import BUILT_IN
from tasks.apart import judge as apart
from tasks.apart.judge import Broke, Died, JudgeApart, NotNow, TookLong
from tasks.short import LONGEST_REPLY, LONGEST_TEXT
from tasks.stages.checking import judge
from tasks.verdicts import Verdict
from tests.judging import RECEIPT, RECEIPT_REPLY, Asked, asked, harmful, stored

PATIENCE_S = 60.0
ENVIRONMENT = {"PATH": os.environ["PATH"], "A_SETTING": "handed in"}
HARMLESS = '{"company": "TEA HOUSE 1"}'
HARM = '{"company": "harm"}'
KINDS = ("good", "doubt", "truncated", "malformed", "invalid", "wrong")
WRONG: tuple[object, ...] = (
    None,
    "TEA",
    -1,
    1e400,
    "1.10",
    [],
    {},
    True,
    "\ud800",
    "\0",
    "2021-13-40",
    10**400,
    "X" * 300,
)
ELSEWHERE: dict[str, object] = {
    "company": "INN",
    "address": "1 Main Street",
    "date": "2020-01-01",
    "total": 7.5,
    "currency": "EUR",
}
"""Values that would do, and do not stand in the document."""
HARMS = {
    "loops": "while True: pass",
    "sleeps": "os.read(os.pipe()[0], 1)",
    "dawdles": "until = time.process_time() + 0.7\n            while time.process_time() < until: pass",
    "waits": "time.sleep(0.5)",
    "aborts": "os.abort()",
    "exits": "sys.exit(3)",
    "swells": "held = bytearray(4 * 10**9)",
    "swells_slowly": "held = []\n            while True: held.append(bytearray(10**8))",
    "breaks": "raise KeyError('the words of ' + company)",
    "prints": "print(company, flush=True); os.write(1, b'words'); os.write(2, b'words')",
    "is_killed": "os.kill(os.getpid(), 9)",
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("prompts")
    for name, harm in HARMS.items():
        harmful(folder, name, harm, BUILT_IN / "receipt" / "v2")
    return Registry([BUILT_IN, folder])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have other things to do than these tests."""
    monkeypatch.setattr(apart, "ANSWER_S", PATIENCE_S)


@pytest.fixture
def judged(registry: Registry) -> Iterator[JudgeApart]:
    with JudgeApart(registry, ENVIRONMENT) as opened:
        wait_for(opened, asked(registry.get("receipt")))
        yield opened


def wait_for(judge_apart: JudgeApart, question: Asked) -> Verdict:
    """The verdict, once somebody had the time to ask."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            return judge_apart(*question)
        except NotNow:
            assert time.monotonic() < give_up_at


def child_of(process: psutil.Process) -> psutil.Process:
    """As soon as it is there: one that was just begun has another command for a moment."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        with suppress(psutil.Error):
            for each in process.children():
                if "tasks.apart.child" in each.cmdline():
                    return each
    raise AssertionError(process.children())


def made_up(rng: random.Random, prompts: dict[str, PromptVersion]) -> Asked:
    """A reply as models write them, good ones and others, about a document that was read or seen."""
    value: dict[str, object] = json.loads(RECEIPT_REPLY)
    prompt = prompts["receipt"]
    for name in rng.sample(sorted(value), rng.randrange(3)):
        value[name] = rng.choice([*WRONG, ELSEWHERE[name], ELSEWHERE[name]])
    reply = json.dumps(value) if rng.random() < 0.8 else rng.choice(["", "no", "[" * 300, "null", '{"company":'])
    reply = rng.choice(["{}", "Here it is:\n```json\n{}\n```", "{} and {}", "{},", "'{}"]).replace("{}", reply)
    reply = reply[: rng.randrange(len(reply) + 1)] if rng.random() < 0.2 else reply
    finish_reason = "length" if rng.random() < 0.1 else "stop"
    whole = [[0, len(RECEIPT)]]
    contexts: list[dict[str, Any]] = [
        {"passages": whole},
        {"passages": [[0, 12], [29, 39]]},
        {"passages": whole, "unread": [2]},
        {"passages": [], "seen": whole, "unread": [1, 2]},
    ]
    return asked(prompt, reply, finish_reason=finish_reason, context=rng.choice(contexts), layout=layout())


def layout() -> bytes:
    words = [(0, 3, (10, 10, 20, 20)), (4, 9, (30, 10, 40, 20)), (18, 28, (10, 30, 40, 40))]
    return pack([pack_page(words, width=100, height=100)])


def cited(prompts: dict[str, PromptVersion], quote: str) -> Asked:
    reply = json.dumps({"answer": "tea", "citations": [{"passage": 2, "quote": quote}]})
    places = [{"document_id": 7, "start": 100, "end": 111}, {"document_id": 8, "start": 5, "end": 19}]
    context = {"passages": [], "found": places}
    return asked(prompts["answer"], reply, context=context, found=["a passage", "They serve tea"])


def test_a_verdict_is_the_same_apart(patient: None, judged: JudgeApart, registry: Registry) -> None:
    rng = random.Random(20211)
    prompts = {name: registry.get(name) for name in ("receipt", "answer")}
    questions = [made_up(rng, prompts) for _ in range(400)]
    questions += [cited(prompts, "serve tea"), cited(prompts, "made up"), asked(prompts["receipt"])]
    kinds: Counter[str] = Counter()
    for question in questions:
        here = stored(judge(*question))
        assert wait_for(judged, question) == here
        kinds[here.rejected.kind if here.rejected else "doubt" if "doubt" in (here.kept or {}) else "good"] += 1
    assert all(kinds[each] >= 5 for each in KINDS), kinds


@pytest.mark.parametrize(("harm", "answer_s"), [("loops", PATIENCE_S), ("sleeps", 1.0)])
def test_a_check_that_never_ends_is_ended(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, harm: str, answer_s: float
) -> None:
    """By its own CPU, however busy the machine is; one that only waits by the time."""
    now = 0.0
    monkeypatch.setattr(apart, "ANSWER_S", PATIENCE_S)
    with JudgeApart(registry, ENVIRONMENT, clock=lambda: now) as judged:
        loops = registry.get(harm)
        wait_for(judged, asked(loops, HARMLESS))
        child = child_of(psutil.Process())
        monkeypatch.setattr(apart, "ANSWER_S", answer_s)
        with pytest.raises(TookLong):
            judged(*asked(loops, HARM))
        assert not child.is_running()
        monkeypatch.setattr(apart, "ANSWER_S", PATIENCE_S)
        began = time.monotonic()
        with pytest.raises(NotNow):
            judged(*asked(loops, HARMLESS))
        assert time.monotonic() - began < apart.TURN_S
        assert wait_for(judged, asked(registry.get("receipt"))).rejected is None
        now += apart.LEFT_ALONE_S
        assert wait_for(judged, asked(loops, HARMLESS)).rejected is None


@pytest.mark.parametrize("harm", ["aborts", "exits"])
def test_a_check_that_ends_its_process_ends_no_other(harm: str, patient: None, registry: Registry) -> None:
    """And does so once: a new process takes a second of CPU, for which all others wait."""
    now = 0.0
    with JudgeApart(registry, ENVIRONMENT, clock=lambda: now) as judged:
        with pytest.raises(Died):
            wait_for(judged, asked(registry.get(harm), HARM))
        with pytest.raises(NotNow, match="a short time ago"):
            judged(*asked(registry.get(harm), HARM))
        assert wait_for(judged, asked(registry.get("receipt"))).rejected is None
        now += apart.LEFT_ALONE_S
        assert wait_for(judged, asked(registry.get(harm), HARMLESS)).rejected is None


@pytest.mark.parametrize("harm", ["dawdles", "waits"])
def test_checks_that_are_slow_take_a_hundredth_of_everybodys_turns(
    harm: str, patient: None, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    with JudgeApart(registry, ENVIRONMENT, clock=lambda: now) as judged:
        assert wait_for(judged, asked(registry.get(harm), HARMLESS)).rejected is None
        monkeypatch.setattr(apart, "SLOW_S", 0.4)
        assert judged(*asked(registry.get(harm), HARM)).rejected is None
        with pytest.raises(NotNow, match="a short time ago"):
            judged(*asked(registry.get(harm), HARM))
        now += 20
        with pytest.raises(NotNow, match="a short time ago"):
            judged(*asked(registry.get(harm), HARM))
        now += apart.LEFT_ALONE_TIMES * PATIENCE_S
        assert judged(*asked(registry.get(harm), HARM)).rejected is None


def test_a_process_that_others_kill_is_nobodys_crash(
    patient: None, judged: JudgeApart, registry: Registry
) -> None:
    with pytest.raises(NotNow):
        judged(*asked(registry.get("is_killed"), HARM))
    child = child_of(psutil.Process())
    wait_for(judged, asked(registry.get("receipt")))
    child.kill()
    child.wait(PATIENCE_S)
    assert wait_for(judged, asked(registry.get("receipt"))).rejected is None


@pytest.mark.parametrize("harm", ["swells", "swells_slowly"])
def test_a_check_that_takes_memory_fails_alone(
    harm: str, patient: None, judged: JudgeApart, registry: Registry
) -> None:
    child = child_of(psutil.Process())
    with pytest.raises((Broke, TookLong), match=r"MemoryError at output\.py:\d+|took too long"):
        judged(*asked(registry.get(harm), HARM))
    assert wait_for(judged, asked(registry.get("receipt"))).rejected is None
    assert not child.is_running()


def test_a_defect_is_told_by_its_place(patient: None, judged: JudgeApart, registry: Registry) -> None:
    child = child_of(psutil.Process())
    with pytest.raises(Broke) as caught:
        judged(*asked(registry.get("breaks"), HARM))
    assert where(caught.value).startswith("KeyError at output.py:13")
    assert "words" not in where(caught.value)
    assert wait_for(judged, asked(registry.get("breaks"), HARMLESS)).rejected is None
    assert child.is_running()


@pytest.mark.parametrize("unit", ["1.1 ", "1 ", "a1 b2 "])
def test_no_document_is_blamed_on_its_prompt(
    unit: str, patient: None, judged: JudgeApart, registry: Registry
) -> None:
    """It would keep all others' replies of that prompt from being judged here."""
    receipt = registry.get("receipt")
    name = unit * (LONGEST_REPLY // len(unit) // 2 - 40)
    reply = RECEIPT_REPLY.replace('"address":null', f'"address":"{name}"').replace("TEA HOUSE 1", name)
    assert len(reply) <= LONGEST_REPLY
    assert wait_for(judged, asked(receipt, reply, text=unit * (LONGEST_TEXT // len(unit)))).rejected is not None
    assert judged(*asked(receipt)).rejected is None


def test_what_a_check_prints_is_no_answer(patient: None, judged: JudgeApart, registry: Registry) -> None:
    assert wait_for(judged, asked(registry.get("prints"), HARM)).kept is not None


def test_a_content_that_is_not_there_is_judged_elsewhere(
    patient: None, registry: Registry, tmp_path: Path
) -> None:
    """And so for a while, without being looked for."""
    now = 0.0
    harmful(tmp_path, "elsewhere", "pass", BUILT_IN / "receipt" / "v2")
    question = asked(Registry([tmp_path]).get("elsewhere"), HARMLESS)
    with JudgeApart(registry, ENVIRONMENT, clock=lambda: now) as judged:
        assert wait_for(judged, asked(registry.get("receipt"))).rejected is None
        for told in ("content", "a short time ago"):
            with pytest.raises(NotNow, match=told):
                judged(*question)
        assert wait_for(judged, asked(registry.get("receipt"))).rejected is None
        now += apart.UNLOADED_S
        with pytest.raises(NotNow, match="content"):
            judged(*question)


def test_the_process_has_no_variables_but_those_handed_in(
    judged: JudgeApart, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMILL_LLM_API_KEY", "secret")
    with JudgeApart(registry, ENVIRONMENT) as opened:
        wait_for(opened, asked(registry.get("receipt")))
        for child in psutil.Process().children():
            if "tasks.apart.child" not in child.cmdline():
                continue  # another test's servers
            found = child.environ()
            assert found.pop("PYTHONPATH").split(os.pathsep) == [str(BUILT_IN.parent)]
            assert found == ENVIRONMENT


def test_many_threads_take_turns(patient: None, judged: JudgeApart, registry: Registry) -> None:
    prompt = registry.get("receipt")
    questions = [asked(prompt, RECEIPT_REPLY.replace("1.10", f"{at}.10")) for at in range(50)]
    expected = [stored(judge(*question)) for question in questions]

    def ask(question: Asked) -> Verdict | None:
        try:
            return judged(*question)
        except NotNow:
            return None

    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(ask, questions * 4))
    assert any(told)
    assert all(each in (None, right) for each, right in zip(told, expected * 4, strict=True))


PARENT = """
import sys
from pathlib import Path
from prompts import Registry
from tasks.apart import judge
from tests.judging import asked

judge.ANSWER_S = 1e6
folder, mark = sys.argv[1:]
registry = Registry([Path(folder)])
with judge.JudgeApart(registry, {"MARK": mark}) as opened:
    while True:
        try:
            opened(*asked(registry.get("stays"), '{"company": "harm"}'))
        except judge.NotNow:
            pass
"""


def test_the_process_ends_with_its_parent_whatever_it_does(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    stays = "open(os.environ['MARK'], 'w').close()\n            while True: pass"
    harmful(tmp_path / "prompts", "stays", stays, BUILT_IN / "receipt" / "v2")
    command = [sys.executable, "-c", PARENT, str(tmp_path / "prompts"), str(mark)]
    with subprocess.Popen(command, cwd=BUILT_IN.parent) as parent:
        give_up_at = time.monotonic() + PATIENCE_S
        while not mark.exists():
            assert parent.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        child = child_of(psutil.Process(parent.pid))
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs([child], timeout=PATIENCE_S) == ([child], [])


def test_a_closed_judge_answers_nobody(registry: Registry) -> None:
    with JudgeApart(registry, ENVIRONMENT) as opened:
        wait_for(opened, asked(registry.get("receipt")))
        child = child_of(psutil.Process())
    assert not child.is_running()
    with pytest.raises(NotNow):
        opened(*asked(registry.get("receipt")))


def test_a_question_does_not_wait_for_the_start(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "COMMAND", (sys.executable, "-c", "import sys; sys.stdin.read()"))
    with JudgeApart(registry, ENVIRONMENT) as opened:
        began = time.monotonic()
        with pytest.raises(NotNow, match="not ready"):
            opened(*asked(registry.get("receipt")))
        assert apart.TURN_S <= time.monotonic() - began < apart.TURN_S + 5


@pytest.mark.parametrize("command", [("/no/such/program",), (sys.executable, "-c", "")])
def test_a_process_that_cannot_be_started_is_not_tried_all_the_time(
    command: tuple[str, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    question = asked(registry.get("receipt"))
    with monkeypatch.context() as patch:
        patch.setattr(apart, "COMMAND", command)
        opened = JudgeApart(registry, ENVIRONMENT, clock=lambda: now)
    started = count_starts(monkeypatch)
    with opened:
        refused(opened, question, until=lambda: bool(opened._not_before))
        for _ in range(3):
            with pytest.raises(NotNow):
                opened(*question)
        assert len(started) == 1
        now += apart.AFTER_FAILURE_S
        with pytest.raises(NotNow):
            opened(*question)
        assert len(started) == 2


def count_starts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    started: list[object] = []

    def start(command: object, **how: object) -> object:
        started.append(command)
        return ProcessApart(command, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(apart, "ProcessApart", start)
    return started


def refused(judged: JudgeApart, question: Asked, *, until: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < give_up_at
        with pytest.raises(NotNow):
            judged(*question)


LYING = """
import sys
from docmill.apart import frames
frames.send(1, b"{{}}")
frames.receive(0, max_body=2**40)
{answer}
"""


@pytest.mark.parametrize(
    "answer",
    [
        "frames.send(1, b'[' * 100_000)",
        "frames.send(1, b'{}')",
        "frames.send(1, b'{\"judged\": true}')",
        'frames.send(1, b\'{"judged": true}\', b"[1]")',
        'frames.send(1, b\'{"judged": true, "rejected_bytes": 2}\', b"{}")',
        'frames.send(1, b\'{"judged": true, "declined": true}\', b"{}")',
        "frames.send(1, b'{}' + b' ' * frames.MAX_HEADER)",
        "import os; os.write(1, b'x' * 1000)",
    ],
)
def test_an_answer_that_is_none_is_a_crash(
    answer: str, patient: None, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "COMMAND", (sys.executable, "-c", LYING.format(answer=answer)))
    with JudgeApart(registry, ENVIRONMENT) as opened, pytest.raises(Died):
        wait_for(opened, asked(registry.get("receipt")))
