"""No key, no word of a document and none of a reply in any log, whatever fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from db.stages import CHAINS, STAGES
from docmill.settings import Settings
from tasks.celery import broker
from tests.stack import data

__all__ = ["data"]

COMMAND = (sys.executable, "-m", "docmill")
SECRET = "zanzibarquill"
KEY = "sk-kumquatorchid"

MALFORMED = ("malformed", "schema", "wrong", "swapped", "truncated", "refused")
BROKEN = ("server_error", "overloaded", "rate_limited", "cut", "hang", "drip_headers", "drip_body", "overflow")

BROKEN_OUTPUT = """
from pydantic import BaseModel, field_validator

class Output(BaseModel):
    company: str

    @field_validator("company")
    @classmethod
    def check(cls, company: str) -> str:
        raise RuntimeError("a check that quotes " + company)
"""


@contextmanager
def task_events(broker_url: str) -> Iterator[list[dict[str, Any]]]:
    """What workers tell of their tasks, as Flower gets it."""
    seen: list[dict[str, Any]] = []
    app = broker.connect(Settings(broker_url=broker_url))
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        thread = threading.Thread(target=lambda: receiver.capture(wakeup=False))
        thread.start()
        try:
            yield seen
        finally:
            receiver.should_stop = True
            thread.join()
    app.close()


def assert_each_stage_is_told(events: list[dict[str, Any]]) -> None:
    """Also of one that came by no message, because the process that ended the stage before went on with it."""
    named = {event["uuid"]: event for event in events if event["type"] == "task-received"}
    for kind in ("task-sent", "task-started", "task-succeeded"):
        told = {
            named[event["uuid"]]["name"] for event in events if event["type"] == kind and event["uuid"] in named
        }
        assert {f"docmill.{stage}" for stage in CHAINS["document"] if not STAGES[stage].on_demand} <= told, kind
    above = {
        (named[event["parent_id"]]["name"], event["name"])
        for event in named.values()
        if event["parent_id"] in named
    }
    assert {("docmill.context", "docmill.complete"), ("docmill.parse", "docmill.store")} <= above
    assert len({event["root_id"] for event in named.values()}) < len(named)


def test_failures_of_every_kind_are_logged_without_what_was_said(tmp_path: Path, data: Path) -> None:
    prompts = tmp_path / "prompts" / "quoting" / "v1"
    shutil.copytree(Path(__file__).parents[2] / "prompts" / "receipt" / "v1", prompts)
    (prompts / "output.py").write_text(BROKEN_OUTPUT)
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(20):
        (documents / f"{number}.txt").write_text(f"{SECRET} TEA\nDate: 2021-03-04\nTOTAL {number}.10\n")
    (documents / "torn.pdf").write_bytes(f"%PDF-1.4 {SECRET}".encode())

    faults = (*MALFORMED, *BROKEN)
    ready = data / "simulate.json"
    simulate = [*COMMAND, "simulate", "--ready-file", str(ready), "--api-key", KEY]
    simulate += [option for fault in faults for option in ("--fault", f"{fault}=0.1")]
    simulator = subprocess.Popen(simulate, stdout=subprocess.DEVNULL)
    up = None
    try:
        env = {
            **os.environ,
            "DOCMILL_LLM_API_KEY": KEY,
            "DOCMILL_PROMPTS": str(tmp_path / "prompts"),
            "DOCMILL_LOG_LEVEL": "debug",
            "DOCMILL_CALL_DEADLINE_S": "3",
        }
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
        with task_events(json.loads(up_ready.read_text())["broker_url"]) as events:
            for prompt in ("receipt", "quoting"):
                found = subprocess.run(
                    [*COMMAND, "submit", str(documents), "--prompt", prompt, "--wait", "--json", "--data", stack],
                    env=env,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                ends += [json.loads(line) for line in found.stdout.splitlines()]
                assert KEY not in found.stdout + found.stderr
    finally:
        for process in filter(None, (up, simulator)):
            process.terminate()
            process.wait()

    assert len(ends) == 42
    assert {"poison", "unreadable"} <= {(end["failure"] or {}).get("kind") for end in ends}
    logs = list((data / "stack" / "logs").glob("*.log"))
    told = {log.name: log.read_text(errors="replace") for log in logs}
    assert "llm_call" in told["io-1.log"]
    assert '"level": "debug"' in told["cpu-1.log"]
    assert_each_stage_is_told(events)
    told["what Flower is sent"] = json.dumps(events)
    assert "stage_broke" in told["cpu-1.log"] + told["quarantine-1.log"]
    for name, text in told.items():
        assert SECRET not in text, name
        assert KEY not in text, name
