"""The command, run as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

DOCMILL = str(Path(sys.executable).parent / "docmill")


def docmill(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DOCMILL, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_prompts_are_listed_as_json_lines() -> None:
    found = docmill("prompts", "list", "--json")
    assert found.returncode == 0
    prompts = [json.loads(line) for line in found.stdout.splitlines()]
    assert [prompt["name"] for prompt in prompts] == [
        "answer",
        "document_type",
        "invoice",
        "nda",
        "receipt",
        "statement",
        "summary",
    ]


def test_a_prompt_is_shown_as_the_model_sees_it() -> None:
    found = docmill("prompts", "show", "receipt")
    assert "[system]" in found.stdout
    assert "<the document>" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prompts", "show", "invoce"), "docmill: there is no prompt 'invoce': did you mean invoice"),
        (("simulate", "--fault", "fire=1"), "docmill: the simulator has no fault 'fire'"),
        (("simulate", "--fault", "hang=2"), "docmill: --fault is KIND=SHARE"),
        (("simulate", "--window", "hour"), "docmill: --window is second or minute"),
        (("prompts", "list", "--folder", "/no/such"), "docmill: there is no folder /no/such"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(arguments: tuple[str, ...], message: str) -> None:
    found = docmill(*arguments)
    assert found.returncode == 1
    assert found.stderr.startswith(message)
    assert "Traceback" not in found.stderr


def test_the_simulator_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    child = subprocess.Popen([DOCMILL, "simulate", "--ready-file", str(ready)], stdout=subprocess.DEVNULL)
    give_up_at = time.monotonic() + 30
    while not ready.exists():
        assert child.poll() is None
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    told = json.loads(ready.read_text(encoding="utf-8"))
    with urllib.request.urlopen(f"{told['url']}/healthz") as response:
        assert response.status == 200
    assert told["pid"] == child.pid
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=30) == 0
