"""Documents a second through the five stages, beside bare Celery's chains of five tasks that do nothing.

    make bench            (or: .venv/bin/python -m bench.chain [--json] [--latency])

The simulator answers at once, so what is measured is docmill: Postgres, parsing and the ledger included. Both run
over the same Valkey, in turn, with as many threads and the same settings, docmill's. Celery by its defaults is
measured, too: it keeps copies in Valkey of what a worker has in hand, which docmill does without, as Postgres
keeps the jobs. ``--latency`` measures another thing: 2,000 documents whose calls take a second each, beside the
same ones at once: time, the workers' memory, and what is open.
"""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import time
from typing import Literal

from bench.harness import tell
from bench.slow_calls import SlowCalls, measure
from bench.stack import MeasuredStack, cpu_seconds, stack
from workers.roles import ROLES

DOCUMENTS = 1500
WARM_UP = 100
EACH_ROUND = WARM_UP + DOCUMENTS
ROUNDS = 4
"""A shared machine's speed changes by the second, so each is measured several times, in turn."""
SLOW_DOCUMENTS = 2000
THREADS = 100
QUIET = {"DOCMILL_TASK_EVENTS": "false", "DOCMILL_IO_THREADS": str(THREADS)}
"""Else a stack as `docmill up` has it, with two `io` workers, which take short documents all the way."""


def main() -> None:
    if "--latency" in sys.argv:
        tell("chain, 1 s a call", slow(), "seconds, CPU alone")
        return
    with stack(**QUIET) as measured:
        rounds = [one_round(measured, receipts(at * EACH_ROUND, EACH_ROUND)) for at in range(ROUNDS)]
    figures = {name: statistics.mean(each[name] for each in rounds) for name in rounds[0]}
    tell("chain", figures, "bare Celery, chains a second")


def one_round(measured: MeasuredStack, bodies: list[bytes]) -> dict[str, float]:
    """docmill between two measurements of bare Celery."""
    broker_url = measured.addresses["broker_url"]
    before = bare(broker_url, "bare Celery", "docmill")
    own = docmill(measured, bodies)
    after = bare(broker_url, "bare Celery", "docmill")
    both = {name: statistics.mean((figure, after[name])) for name, figure in before.items()}
    return both | own | bare(broker_url, "Celery by its defaults", "default")


def receipts(first: int, number: int) -> list[bytes]:
    return [f"TEA HOUSE {at}\nDate: 2021-03-04\nTOTAL {at}.10\n".encode() for at in range(first, first + number)]


def docmill(measured: MeasuredStack, bodies: list[bytes]) -> dict[str, float]:
    """Documents a second, and milliseconds of CPU a document for each part of the stack."""
    measured.submit(bodies[:WARM_UP], "receipt")
    measured.await_ends()
    wrote, before, started = measured.written(), measured.cpu_seconds(), time.monotonic()
    measured.submit(bodies[WARM_UP:], "receipt")
    measured.await_ends()
    took_s = time.monotonic() - started
    log_bytes, updates, hot = (after - was for after, was in zip(measured.written(), wrote, strict=True))
    parts = {name: 1000 * (after - before[name]) / DOCUMENTS for name, after in measured.cpu_seconds().items()}
    workers = sum(ms for name, ms in parts.items() if name.startswith(("io", "cpu", "ocr", "quarantine")))
    return {
        "docmill, documents a second": DOCUMENTS / took_s,
        "CPU ms a document, workers": workers,
        "write-ahead log, KB a document": float(log_bytes) / DOCUMENTS / 1000,
        "HOT of the updates of jobs": hot / max(1, updates),
        **{f"CPU ms a document, {name}": ms for name, ms in parts.items()},
    }


def slow() -> dict[str, float]:
    """Calls of a second each: what waits costs memory, and little else, so that one ``io`` worker is enough."""
    which = SlowCalls(documents=SLOW_DOCUMENTS, latency_s=1.0, threads=THREADS)
    found = measure(which, receipts, **QUIET)
    allowed_s = max(1.5 * found["seconds, CPU alone"], 1.2 * which.ideal_s)
    return {**found, "seconds, at most as wanted": allowed_s}


def bare(broker_url: str, name: str, settings: Literal["docmill", "default"]) -> dict[str, float]:
    """Chains a second through one worker, and milliseconds of its CPU a chain."""
    os.environ |= {"BARE_BROKER": broker_url, "BARE_SETTINGS": settings}
    module = importlib.reload(importlib.import_module("bench.bare"))
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "bench.bare", "worker", "--pool", "threads", "-c", str(THREADS),
         "--queues", ",".join(ROLES["io"].queues), "--without-gossip", "--without-mingle"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def done() -> int:
        return int(module.counter.get("bare:done") or 0)

    try:
        module.counter.delete("bare:done")
        module.five().apply_async()
        while done() < 1:  # the worker is up
            time.sleep(0.05)
        before, started = cpu_seconds(worker.pid), time.monotonic()
        for _ in range(DOCUMENTS):
            module.five().apply_async()
        while done() < DOCUMENTS + 1:
            time.sleep(0.05)
        took_s, cpu_s = time.monotonic() - started, cpu_seconds(worker.pid) - before
    finally:
        worker.terminate()
        worker.wait()
    return {f"{name}, chains a second": DOCUMENTS / took_s, f"CPU ms a chain, {name}": 1000 * cpu_s / DOCUMENTS}


if __name__ == "__main__":
    main()
