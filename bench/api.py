"""Milliseconds that a submit over HTTP takes at a hundred a second, beside an endpoint that does nothing.

    .venv/bin/python -m bench.api [--json]

It tells milliseconds of the server's CPU a submit, too, which do not depend on what else the machine does.

No worker runs. Requests are sent when they are due, whether or not those before have been answered, as web apps
do. Both servers are uvicorn with the same settings, one after the other; docmill's has Postgres behind it, and
commits each submit.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import httpx

from bench.harness import tell
from bench.stack import cpu_seconds
from db.migrations import upgrade
from workers.stack.places import scratch
from workers.stack.ports import free_port
from workers.stack.servers import EmbeddedServers

A_SECOND = 100
WARM_UP = 100
REQUESTS = 1000
ROUNDS = 2
"""Both are measured twice, in turn, so that what else the machine does meets both."""


def main() -> None:
    taken: dict[str, list[float]] = {"bare FastAPI": [], "docmill": []}
    cpu_s = dict.fromkeys(taken, 0.0)
    with scratch("bench") as data, EmbeddedServers(data) as servers:
        upgrade(servers.owner_url, application_url=servers.database_url)
        addresses = {
            "DOCMILL_DATABASE_URL": servers.database_url,
            "DOCMILL_BROKER_URL": servers.broker_url,
            "DOCMILL_CACHE_URL": servers.cache_url,
        }
        commands = {
            "bare FastAPI": [sys.executable, "-m", "bench.bare_api"],
            "docmill": [sys.executable, "-m", "web", "--port"],
        }
        for _ in range(ROUNDS):
            for name, command in commands.items():
                with served(command, addresses) as (url, pid):
                    before = cpu_seconds(pid)
                    taken[name] += asyncio.run(submits(url))
                    cpu_s[name] += cpu_seconds(pid) - before
    cpu_ms = {f"{name}, CPU ms": 1000 * each / (ROUNDS * (WARM_UP + REQUESTS)) for name, each in cpu_s.items()}
    tell("api", figures(taken) | cpu_ms, "bare FastAPI, p95 ms")


@contextmanager
def served(command: Sequence[str], env: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A server's address, and its process."""
    port = free_port()
    server = subprocess.Popen([*command, str(port)], env={**os.environ, **env})
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(url)
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield url, server.pid
    finally:
        server.terminate()
        server.wait()


async def submits(url: str) -> list[float]:
    """Seconds of each request after the warm-up."""
    # Connections are left before the server leaves them: who sends at that moment gets no answer.
    limits = httpx.Limits(max_connections=A_SECOND, max_keepalive_connections=A_SECOND, keepalive_expiry=2.0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        started = time.perf_counter()
        tasks = []
        for number in range(WARM_UP + REQUESTS):
            await asyncio.sleep(max(0.0, started + number / A_SECOND - time.perf_counter()))
            tasks.append(asyncio.create_task(submit(client)))
        return (await asyncio.gather(*tasks))[WARM_UP:]


async def submit(client: httpx.AsyncClient) -> float:
    body = {
        "prompt": "receipt",
        "document": f"TEA HOUSE {uuid4()}\nDate: 2021-03-04\nTOTAL 4.10",
        "feature": "bench",
    }
    started = time.perf_counter()
    answer = await client.post("/v1/jobs", json=body, headers={"idempotency-key": str(uuid4())})
    taken = time.perf_counter() - started
    answer.raise_for_status()
    return taken


def figures(taken: dict[str, list[float]]) -> dict[str, float]:
    found = {}
    for name, seconds in taken.items():
        cuts = statistics.quantiles(seconds, n=100)
        for percent in (50, 95, 99):
            found[f"{name}, p{percent} ms"] = 1000 * cuts[percent - 1]
    return found


if __name__ == "__main__":
    main()
