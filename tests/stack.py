"""A whole stack in processes of its own, with a simulator beside it: fixtures ``data`` and ``start``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from db.engine import make_engine
from db.submit import Submission, submit
from workers.stack.places import scratch

COMMAND = (sys.executable, "-m", "docmill")


@dataclass(kw_only=True)
class RunningStack:
    """``docmill up`` and ``docmill simulate``, as a user starts them."""

    data: Path
    simulator_url: str
    engine: Engine
    process: subprocess.Popen[bytes]
    jobs: list[int] = field(default_factory=list)

    @property
    def pids(self) -> dict[str, int]:
        """As they are now: what died was started again."""
        found: dict[str, int] = json.loads((self.data / "ready.json").read_text())["pids"]
        return found

    def kill(self, name: str) -> None:
        os.kill(self.pids[name], signal.SIGKILL)

    def submit(self, texts: Sequence[str | bytes], prompt: str, *, name: str = "a.txt", **options: Any) -> None:
        with self.engine.begin() as connection:
            for body in texts:
                encoded = body.encode() if isinstance(body, str) else body
                submission = Submission(prompt=prompt, body=encoded, name=name, **options)
                self.jobs.append(submit(connection, submission))

    def query(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values).all())

    def states(self) -> dict[str, int]:
        return {row.state: row.n for row in self.query("select state, count(*) as n from jobs group by state")}

    def until(self, condition: Callable[[], bool], within_s: float) -> None:
        give_up_at = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < give_up_at, (self.states(), self.failures(), self.open_jobs())
            time.sleep(0.1)

    def failures(self) -> list[Any]:
        return self.query(
            "select stage, failure ->> 'kind' as kind, left(failure ->> 'message', 200) as message, count(*)"
            " from jobs where state = 'failed' group by 1, 2, 3 order by 4 desc limit 5"
        )

    def open_jobs(self) -> list[Any]:
        return self.query(
            "select id, stage, wait, epoch, redrives, crashes from jobs where wait is not null limit 5"
        )

    def until_all_end(self, within_s: float) -> None:
        self.until(lambda: not self.query("select 1 from jobs where wait is not null limit 1"), within_s)

    def answered(self) -> int:
        return int(self.query("select count(*) as n from calls where state = 'answered'")[0].n)

    def bill(self) -> dict[str, Mapping[str, Any]]:
        lines = httpx.get(f"{self.simulator_url}/bill", timeout=60).text.splitlines()
        return {line["id"]: line for line in map(json.loads, lines)}

    def assert_ledger_is_the_bill(self) -> None:
        """Every billed call is in the ledger with the same figures, or possibly billed; and nothing else is paid."""
        bill = self.bill()
        ledger = {
            str(row.id): row
            for row in self.query(
                "select id, state, model, input_tokens, output_tokens, cost_usd, possibly_billed from calls"
            )
        }
        for call, line in bill.items():
            row = ledger[call]
            if row.state in ("answered", "surplus"):
                assert (row.model, row.input_tokens, row.output_tokens) == (
                    line["model"],
                    line["input_tokens"],
                    line["output_tokens"],
                )
                assert row.cost_usd == Decimal(line["cost_usd"])
            else:
                assert row.possibly_billed, row
        paid = {call for call, row in ledger.items() if row.state in ("answered", "surplus")}
        assert paid <= set(bill)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=120) == 0


@pytest.fixture
def data() -> Iterator[Path]:
    with scratch("fault") as folder:
        yield folder


def start_simulator(data: Path, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    ready = data / "simulate.json"
    process = subprocess.Popen(
        [*COMMAND, "simulate", "--ready-file", str(ready), *options], stdout=subprocess.DEVNULL
    )
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process, json.loads(ready.read_text())["url"]


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., RunningStack]]:
    """``start("--latency-ms", "100", DOCMILL_PROMPTS=…)`` gives a stack before a simulator with those options."""
    with starting(data) as make:
        yield make


@contextmanager
def starting(data: Path) -> Iterator[Callable[..., RunningStack]]:
    """What starts stacks; all of them are stopped at the end."""
    started: list[RunningStack] = []
    simulators: list[subprocess.Popen[bytes]] = []

    def make(*options: str, io_workers: int = 1, **env: str) -> RunningStack:
        simulator, url = start_simulator(data, *options)
        simulators.append(simulator)
        ready = data / "up.json"
        with (data / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(*COMMAND, "up", "--data", str(data / "stack"), "--ready-file", str(ready)),
                    *("--io-workers", str(io_workers)),
                ],
                env={**os.environ, "DOCMILL_LLM_URL": url, **env},
                stdout=log,
                stderr=log,
            )
        while not ready.exists():
            assert process.poll() is None, (data / "up.log").read_text()
            time.sleep(0.05)
        engine = make_engine(json.loads(ready.read_text())["database_url"])
        started.append(RunningStack(data=data / "stack", simulator_url=url, engine=engine, process=process))
        return started[-1]

    try:
        yield make
    finally:
        for stack in started:
            stack.engine.dispose()
            stack.stop()
        for simulator in simulators:
            simulator.terminate()
            simulator.wait()


def receipts(number: int) -> list[str]:
    """Different receipts, plain enough for the simulator."""
    return [
        f"TEA HOUSE {each}\n1 Sample Street\nDate: 2021-03-{1 + each % 28:02}\nGreen tea {each}.10\nTOTAL {each}.10\n"
        for each in range(number)
    ]
