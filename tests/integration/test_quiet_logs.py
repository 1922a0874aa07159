"""No key, no word of a document and none of a reply in any log, whatever fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = (sys.executable, "-m", "docmill.cli")
SECRET = "zanzibarquill"
KEY = "sk-kumquatorchid"

BROKEN_OUTPUT = """
from pydantic import BaseModel, field_validator

class Output(BaseModel):
    label: str

    @field_validator("label")
    @classmethod
    def check(cls, label: str) -> str:
        raise RuntimeError("a check that quotes " + label)
"""


def test_failures_of_every_kind_are_logged_without_what_was_said(tmp_path: Path) -> None:
    data = Path(tempfile.mkdtemp(prefix="docmill-logs-"))
    data.chmod(0o711)
    prompts = tmp_path / "prompts" / "quoting" / "v1"
    shutil.copytree(Path(__file__).parents[2] / "prompts" / "receipt" / "v1", prompts)
    (prompts / "output.py").write_text(BROKEN_OUTPUT)
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(20):
        (documents / f"{number}.txt").write_text(f"{SECRET} TEA\nDate: 2021-03-04\nTOTAL {number}.10\n")
    (documents / "torn.pdf").write_bytes(f"%PDF-1.4 {SECRET}".encode())

    faults = ("malformed", "schema", "wrong", "server_error", "rate_limited", "cut", "refused", "truncated")
    ready = data / "simulate.json"
    simulate = [*COMMAND, "simulate", "--ready-file", str(ready), "--api-key", KEY]
    simulate += [option for fault in faults for option in ("--fault", f"{fault}=0.2")]
    simulator = subprocess.Popen(simulate, stdout=subprocess.DEVNULL)
    up = None
    try:
        env = {**os.environ, "DOCMILL_LLM_API_KEY": KEY, "DOCMILL_PROMPTS": str(tmp_path / "prompts")}
        while not ready.exists():
            time.sleep(0.05)
        env["DOCMILL_LLM_URL"] = json.loads(ready.read_text())["url"]
        up_ready = data / "up.json"
        stack = str(data / "stack")
        up = subprocess.Popen(
            [*COMMAND, "up", "--data", stack, "--ready-file", str(up_ready)], env=env, stdout=subprocess.DEVNULL
        )
        while not up_ready.exists():
            assert up.poll() is None
            time.sleep(0.05)
        ends = []
        for prompt in ("receipt", "quoting"):
            found = subprocess.run(
                [*COMMAND, "submit", str(documents), "--prompt", prompt, "--wait", "--json", "--data", stack],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            ends += [json.loads(line) for line in found.stdout.splitlines()]
    finally:
        for process in filter(None, (up, simulator)):
            process.terminate()
            process.wait()

    assert len(ends) == 42
    assert {"poison", "unreadable"} <= {(end["failure"] or {}).get("kind") for end in ends}
    logs = list((data / "stack" / "logs").glob("*.log"))
    told = {log.name: log.read_text(errors="replace") for log in logs}
    assert "llm_call" in told["io-1.log"]
    assert "stage_broke" in told["cpu-1.log"] + told["quarantine-1.log"]
    for name, text in told.items():
        assert SECRET not in text, name
        assert KEY not in text, name
    shutil.rmtree(data)
