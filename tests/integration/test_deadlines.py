"""A call's whole deadline against servers that never come to an end, with many calls open at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.llm.types import Message, Request

OPEN_CALLS = 100
DEADLINE_S = 2.0
LATEST_S = 1.0
"""So much longer than its deadline a call may last."""
ENDLESS = ("--fault", "hang=0.3", "--fault", "drip_headers=0.5", "--fault", "drip_body=1")
"""Every request meets one of the three: the first of them that is drawn."""


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[str]:
    """A simulator in a process of its own, of which no answer is ever whole within a minute."""
    ready = tmp_path / "ready.json"
    command = [
        sys.executable,
        "-m",
        "docmill",
        "simulate",
        "--ready-file",
        str(ready),
        "--seed",
        "3",
        *ENDLESS,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.02)
    yield json.loads(ready.read_text())["url"]
    process.terminate()
    process.wait()


async def nap_s() -> float:
    """How long the loop takes for a sleep of the deadline: what the machine's load adds is nobody's fault."""
    started = time.monotonic()
    await asyncio.sleep(DEADLINE_S)
    return time.monotonic() - started


def test_no_call_outlives_its_deadline_with_a_hundred_open(endless: str) -> None:
    endpoint = Endpoint(provider="simulator", base_url=endless)
    with LoopThread() as loop:
        transport = HttpTransport()

        def call(number: int) -> tuple[Outcome, float]:
            request = Request(
                model="sim-small",
                messages=(Message(role="user", content=f"Call {number}"),),
                max_output_tokens=50,
            )
            started = time.monotonic()
            asked = ask(endpoint, request, call_id=uuid4(), transport=transport, deadline_s=DEADLINE_S)
            outcome = loop.run(asked)
            return outcome, time.monotonic() - started

        with ThreadPoolExecutor(OPEN_CALLS + 1) as pool:
            nap = pool.submit(lambda: loop.run(nap_s()))
            found = list(pool.map(call, range(OPEN_CALLS)))
        loop.run(transport.close())
    kinds = {outcome.failure.kind if outcome.failure else None for outcome, _ in found}
    assert kinds == {"timeout"}
    assert all(outcome.possibly_billed for outcome, _ in found)
    assert max(lasted_s for _, lasted_s in found) <= nap.result() + LATEST_S
