"""Documents whose calls take long, beside the same ones at once: time, memory, what is open.

What waits for a model should cost memory, and little of that. So the same documents are given to two stacks, one
after the other: with the simulator at once, which tells what CPU alone needs, and with calls that take their time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from sqlalchemy import text

from bench.simulator import limits_known, simulated
from bench.stack import MeasuredStack, family, stack
from workers.stack.places import scratch

__all__ = ["SlowCalls", "measure"]

WARM_UP = 20
SAMPLED_EVERY_S = 1.0
IO = "io-1"
ONE = ("--io-workers", "1")


@dataclass(frozen=True, kw_only=True)
class SlowCalls:
    """What is measured: so many documents, so long a call, in one ``io`` worker of so many slots."""

    documents: int
    latency_s: float
    threads: int

    @property
    def ideal_s(self) -> float:
        return self.documents * self.latency_s / self.threads


@dataclass(kw_only=True)
class Samples:
    """What a stack held while it was at work, a sample a second."""

    pss: list[dict[str, int]] = field(default_factory=list)
    """Bytes, by worker."""
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    open_calls: list[int] = field(default_factory=list)

    def take(self, measured: MeasuredStack) -> None:
        self.pss.append(measured.workers_pss())
        worker = family(measured.pids_now()[IO])[0]
        self.threads.append(worker.num_threads())
        self.files.append(worker.num_fds())
        with measured.engine.connect() as connection:
            row = connection.execute(OPEN).one()
        self.connections.append(row.connections)
        self.open_calls.append(row.calls)

    def most_mb(self, *names: str) -> float:
        """The most that workers of these names took together at any time, in MB."""
        return max(sum(taken for name, taken in each.items() if name.startswith(names)) for each in self.pss) / 1e6


OPEN = text(
    "select (select count(*) from pg_stat_activity where backend_type = 'client backend') - 1 as connections,"
    " (select count(*) from calls where state = 'intent') as calls"
)
"""Without the connection that asks."""
BEYOND = text("select latency_ms - :latency_ms as ms from calls where state = 'answered'")


def measure(which: SlowCalls, receipts: Callable[[int, int], list[bytes]], **env: str) -> dict[str, float]:
    """Seconds, megabytes and counts, by name; ``receipts`` makes so many texts from a number on."""
    bodies = receipts(WARM_UP, which.documents)
    with limits_known() as config:
        env = {**env, "DOCMILL_IO_THREADS": str(which.threads), "DOCMILL_CONFIG": config}
        return _measured(which, receipts(0, WARM_UP), bodies, env)


def _measured(
    which: SlowCalls, first: list[bytes], bodies: list[bytes], env: Mapping[str, str]
) -> dict[str, float]:
    with stack(*ONE, **env) as measured:
        _warm_up(measured, first)
        cpu_alone_s, cpu_alone_ms, _ = _worked(measured, bodies)
    with (
        scratch("slow") as folder,
        simulated(folder, "--latency-ms", str(round(1000 * which.latency_s))) as url,
        stack(*ONE, **env, DOCMILL_LLM_URL=url) as measured,
    ):
        _warm_up(measured, first)
        took_s, cpu_ms, samples = _worked(measured, bodies)
        with measured.engine.connect() as connection:
            beyond = [row.ms for row in connection.execute(BEYOND, {"latency_ms": 1000 * which.latency_s})]
    return {
        "seconds": took_s,
        "seconds, CPU alone": cpu_alone_s,
        "seconds, ideal": which.ideal_s,
        "PSS MB, all workers": samples.most_mb(""),
        "PSS MB, without ocr": samples.most_mb("io", "cpu", "quarantine"),
        **{f"PSS MB, {name}": samples.most_mb(name) for name in sorted(samples.pss[0])},
        **{f"CPU ms a document, {name}": ms for name, ms in cpu_ms.items()},
        **{f"CPU ms a document, {name}, at once": ms for name, ms in cpu_alone_ms.items()},
        "open calls, at most": max(samples.open_calls),
        "threads of the io worker, at most": max(samples.threads),
        "files of the io worker, at most": max(samples.files),
        "Postgres connections, at most": max(samples.connections),
        "ms a call beyond the model's, p50": statistics.median(beyond),
        "ms a call beyond the model's, p95": statistics.quantiles(beyond, n=20)[-1],
    }


def _warm_up(measured: MeasuredStack, bodies: list[bytes]) -> None:
    measured.submit(bodies, "receipt")
    measured.await_ends()


def _worked(measured: MeasuredStack, bodies: list[bytes]) -> tuple[float, dict[str, float], Samples]:
    """Seconds from the submit's begin until all have ended, milliseconds of CPU a document, and samples."""
    before, started = measured.cpu_seconds(), time.monotonic()
    with _sampled(measured) as samples:
        measured.submit(bodies, "receipt")
        measured.await_ends()
        took_s = time.monotonic() - started
    after = measured.cpu_seconds()
    return took_s, {name: 1000 * (after[name] - taken) / len(bodies) for name, taken in before.items()}, samples


@contextmanager
def _sampled(measured: MeasuredStack) -> Iterator[Samples]:
    samples, over = Samples(), Event()

    def sample() -> None:
        while not over.wait(SAMPLED_EVERY_S):
            samples.take(measured)

    thread = Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
