"""A call's whole deadline against servers that never come to an end, with many calls open at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
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
"""So much longer than its deadline a call may last, by the loop's own clock."""
TICK_S = 0.05
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


class LoopClock:
    """Goes on by a tick when the loop has got round to it: what a machine under load takes from the loop is not counted."""

    def __init__(self) -> None:
        self.now_s = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.now_s += TICK_S

    async def time(self, asked: Awaitable[Outcome]) -> tuple[Outcome, float]:
        """What came of it, and the seconds that it took."""
        began_s = self.now_s
        return await asked, self.now_s - began_s


def test_no_call_outlives_its_deadline_with_a_hundred_open(endless: str) -> None:
    endpoint = Endpoint(provider="simulator", base_url=endless)
    clock = LoopClock()
    with LoopThread() as loop:
        transport = HttpTransport()
        loop.start(clock.run())

        def call(number: int) -> tuple[Outcome, float]:
            request = Request(
                model="sim-small",
                messages=(Message(role="user", content=f"Call {number}"),),
                max_output_tokens=50,
            )
            asked = ask(endpoint, request, call_id=uuid4(), transport=transport, deadline_s=DEADLINE_S)
            return loop.run(clock.time(asked))

        with ThreadPoolExecutor(OPEN_CALLS) as pool:
            found = list(pool.map(call, range(OPEN_CALLS)))
        loop.run(transport.close())
    kinds = {outcome.failure.kind if outcome.failure else None for outcome, _ in found}
    assert kinds == {"timeout"}
    assert all(outcome.possibly_billed for outcome, _ in found)
    assert max(lasted_s for _, lasted_s in found) <= DEADLINE_S + LATEST_S
