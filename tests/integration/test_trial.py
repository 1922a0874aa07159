"""`docmill try` shows what a job would do: the same calls, the same remedies, the same answer, and nothing is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest
from sqlalchemy import text

from db import budget_admin
from db.jobs import Document
from docmill.reading import Reader
from docmill.reading.engines import installed
from prompts.registry import BUILT_IN
from tasks.trial import Trial, try_on
from tests.command import Command
from tests.integration.test_simulated_eyes import receipt
from tests.walk import RECEIPT, Walk

FAULTS = ("malformed", "schema", "wrong", "truncated", "refused", "overflow")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(BUILT_IN / "receipt" / "v2", tmp_path / "mine" / "ticket" / "v1")
    monkeypatch.setenv("DOCMILL_PROMPTS", str(tmp_path / "mine"))
    for name in ("DOCMILL_LLM_URL", "DOCMILL_DATABASE_URL", "DOCMILL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tea.txt").write_text(RECEIPT, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_the_calls_and_their_end_are_those_of_a_job(walk: Callable[..., Walk], fault: str | None) -> None:
    # Two simulators: what goes wrong with a request depends on how often it was seen.
    walked, another = (walk(faults={fault: 1.0} if fault else {}, seed=7) for _ in range(2))
    body = f"{RECEIPT}\n{uuid4().hex}"
    job = walked.submit(body)
    ended = walked.to_the_end(job)
    caller = another.services.caller
    assert caller is not None
    document = Document(id=0, name="a.txt", media_type="text/plain", body=None, text=body)
    prompt = walked.services.registry.get("receipt")
    trial = try_on(another.services.settings, caller, prompt, document, {}, reader=Reader())
    assert trial.state == ended.state
    calls = walked.calls(job)
    assert [(call.purpose, call.failure or "") for call in trial.calls] == [
        (call.purpose, entry) for call, entry in zip(calls, kinds(ended.history, len(calls)), strict=True)
    ]
    if ended.state == "done":
        assert trial.value == walked.result(job).value
        assert trial.evidence == walked.result(job).evidence
    assert trial.cost_usd == sum(call.cost_usd or 0 for call in calls)


def test_where_a_stack_is_there_its_ledger_has_the_calls_and_no_text_and_its_budgets_hold(
    walk: Callable[..., Walk],
) -> None:
    services = walk(faults={"refused": 1.0}, seed=7).services
    document = Document(id=0, name="a.txt", media_type="text/plain", body=None, text=f"{RECEIPT}\n{uuid4().hex}")

    def tried() -> Trial:
        prompt = services.registry.get("receipt")
        assert services.caller is not None
        return try_on(services.settings, services.caller, prompt, document, {}, reader=Reader(), services=services,
            tenant="acme")  # fmt: skip

    begun = datetime.now(UTC)
    trial = tried()
    with services.database.work() as connection:
        made = connection.execute(OF_TRIALS, {"begun": begun}).all()
    assert [(call.purpose, call.attempt) for call in made] == [
        (call.purpose, attempt) for attempt, call in enumerate(trial.calls)
    ]
    assert len(made) > 1
    assert {call.tenant for call in made} == {"acme"}
    assert sum(call.cost_usd for call in made) == trial.cost_usd
    assert {(call.prompt, call.state, call.lease_until, call.texts) for call in made} == {
        ("receipt", "answered", None, 0)
    }
    with services.database.work() as connection:
        allowed = budget_admin.put(connection, LITTLE, timezone="UTC")
    try:
        refused = tried()
    finally:
        with services.database.work() as connection:
            budget_admin.remove(connection, allowed.id)
    assert refused.state == "failed"
    assert refused.failure is not None
    assert refused.failure.kind == "budget"
    assert {call.answered for call in refused.calls} == {False}
    with services.database.work() as connection:
        assert len(connection.execute(OF_TRIALS, {"begun": begun}).all()) == len(made)


LITTLE = budget_admin.Wanted(
    scope="feature", subject="try", span="total", cap_usd=Decimal("0.000001"), policy="hold"
)
OF_TRIALS = text(
    "select *, (select count(*) from exchanges where call_id = calls.id) as texts from calls "
    "where feature = 'try' and job_id is null and started_at >= :begun order by started_at"
)


def kinds(history: list[dict[str, str]], calls: int) -> list[str]:
    return [*(entry["kind"] for entry in history), *[""] * calls][:calls]


def test_it_runs_without_a_stack_and_shows_messages_reply_answer_and_cost(own: Path, docmill: Command) -> None:
    ran = docmill("try", "ticket", str(own / "tea.txt"))
    assert ran.returncode == 0
    assert "a simulator answers" in ran.stderr
    for shown in ("Call 1: system", RECEIPT.splitlines()[0], '"total": 12.5', "done", "1 calls, USD 0.000"):
        assert shown in ran.stdout
    found = json.loads(docmill("try", "ticket", str(own / "tea.txt"), "--json").stdout)
    assert (found["state"], found["prompt"], found["value"]["total"]) == ("done", "ticket/v1", 12.5)
    assert found["calls"][0]["request"]["messages"][0]["role"] == "system"
    assert found["evidence"]["company"]["start"] == 0


@pytest.mark.skipif(not installed(), reason="scans are read by RapidOCR: docmill[app]")
def test_a_scan_is_read_by_ocr_or_shown_as_the_prompt_says_as_it_is_for_a_job(own: Path, docmill: Command) -> None:
    (own / "scan.png").write_bytes(receipt())
    found = json.loads(docmill("try", "ticket", str(own / "scan.png"), "--json").stdout)
    assert (found["state"], found["value"]["total"]) == ("done", 12.5)
    settings = own / "mine" / "ticket" / "v1" / "prompt.toml"
    settings.write_text(settings.read_text() + '\n[input]\nsee = "pages"\n')
    found = json.loads(docmill("try", "ticket", str(own / "scan.png"), "--json").stdout)
    assert (found["state"], found["value"]["total"]) == ("done", 12.5)
    assert found["evidence"]["total"]["page"] == 1
    (shown,) = [
        each for message in found["calls"][0]["request"]["messages"] for each in message.get("pictures", ())
    ]
    assert (shown["page"], shown["document_id"]) == (1, 0)
    assert "content" not in shown


def test_two_versions_stand_side_by_side_and_the_newest_is_tried_though_it_is_a_draft(
    own: Path, docmill: Command
) -> None:
    assert docmill("prompts", "new", "ticket").returncode == 0
    output = own / "mine" / "ticket" / "v2" / "output.py"
    output.write_text("from pydantic import BaseModel\n\n\nclass Output(BaseModel):\n    total: float\n")
    ran = docmill("try", "ticket", str(own / "tea.txt"), "--against", "v1", "--model", "large")
    assert ran.returncode == 0
    beside = ran.stdout.rpartition("side by side")[2]
    assert "ticket/v2" in beside.splitlines()[1]
    assert any(
        line.startswith("company") and line.endswith("differs") for line in map(str.rstrip, beside.splitlines())
    )
    assert "call 1: first, large" in ran.stdout


def test_what_cannot_be_tried_is_told_with_every_mistake(own: Path, docmill: Command) -> None:
    (own / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    ran = docmill("try", "ticket", str(own / "torn.pdf"))
    assert ran.returncode == 1
    assert "unreadable: corrupt" in ran.stdout
    (own / "mine" / "ticket" / "v1" / "user.j2").write_text("{{ documnet }}", encoding="utf-8")
    ran = docmill("try", "ticket", str(own / "tea.txt"))
    assert ran.returncode == 1
    assert "user.j2:1: {{ documnet }} is given to no user.j2: did you mean document?" in ran.stderr
    assert (
        "looks into a collection"
        in docmill("try", "answer", str(own / "tea.txt"), "--param", "collection=kb").stderr
    )


def test_it_watches_and_tries_again_after_each_edit(own: Path) -> None:
    out = own / "out.txt"
    user = own / "mine" / "ticket" / "v1" / "user.j2"
    with out.open("wb") as file:
        watching = start_watching(own, file)
    try:
        until(lambda: out.read_text().count("\ndone") == 1, watching)
        user.write_text("{{ documnet }}", encoding="utf-8")
        until(lambda: "did you mean document?" in out.read_text(), watching)
        user.write_text("Newly asked: {{ document }}", encoding="utf-8")
        until(lambda: out.read_text().count("\ndone") == 2, watching)
        assert "Newly asked: <document-" in out.read_text()
    finally:
        watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=30) == 0


def start_watching(own: Path, out: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "docmill", "try", "ticket", str(own / "tea.txt"), "--watch"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command,
        stdout=out,
        stderr=out,
        env=env,
        cwd=own,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - a shell's job may ignore it
    )


def until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 120
    while not holds():
        assert process.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
