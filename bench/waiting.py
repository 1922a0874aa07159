"""A million jobs that wait: how fast they come in, what the broker holds, and what looking after them takes.

    .venv/bin/python -m bench.waiting [JOBS] [--json]

The provider takes a minute for an answer, so that the fleet is full and the rest waits in Postgres.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import redis
from sqlalchemy import text

from bench.harness import tell
from bench.simulator import limits_known
from bench.stack import MeasuredStack, stack
from db import dispatch, fleet
from db.submit import Submission, submit_many
from tasks.upkeep.tick import BUSY_S, IDLE_S

JOBS = next((int(each) for each in sys.argv[1:] if each.isdigit()), 1_000_000)
AT_ONCE = 100_000
TICKS = 100
MESSAGE_S = 120.0


def submissions(first: int) -> Iterator[Submission]:
    for number in range(first, first + AT_ONCE):
        body = f"TEA HOUSE {number}\nDate: 2021-03-04\nTOTAL {number}.10\n".encode()
        yield Submission(prompt="receipt", body=body, name=f"{number}.txt", tenant=f"t{number % 20}")


def main() -> None:
    with (
        slow_provider() as url,
        limits_known() as config,
        stack("--io-workers", "1", DOCMILL_LLM_URL=url, DOCMILL_CONFIG=config) as running,
    ):
        began = time.monotonic()
        for first in range(0, JOBS, AT_ONCE):
            with running.engine.begin() as connection:
                submit_many(connection, submissions(first))
        submit_s = time.monotonic() - began
        await_full(running)
        memory, messages = broker_holds(running)
        upkeep = looking_after(running)
        tell(
            "waiting",
            {
                "jobs waiting": float(JOBS),
                "submitted a second": JOBS / submit_s,
                "broker, MB": memory / 1e6,
                "broker, messages": float(messages),
                **upkeep,
            },
            "jobs waiting",
        )


@contextmanager
def slow_provider() -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "docmill", "simulate", "--latency-ms", "55000", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


def await_full(running: MeasuredStack) -> None:
    """Until the fleet takes no bulk job more: else looking for room is finding it, and starting jobs."""
    with running.engine.connect() as connection:
        while (room := fleet.room(connection)).all > room.kept:
            connection.rollback()
            time.sleep(0.1)


def broker_holds(running: MeasuredStack) -> tuple[int, int]:
    """Bytes in use, and messages in queues."""
    with redis.Redis.from_url(running.addresses["broker_url"].replace("redis+socket", "unix")) as client:
        queues = [key for key in client.keys("docmill:*") if client.type(key) == b"list"]
        return int(client.info("memory")["used_memory"]), sum(int(client.llen(key)) for key in queues)


def looking_after(running: MeasuredStack) -> dict[str, float]:
    """CPU of sweeps and dispatches, in this process and in its server process, with the fleet full."""
    with running.engine.connect() as connection:
        server = psutil.Process(connection.execute(text("select pg_backend_pid()")).scalar_one())
        connection.commit()

        def sweep() -> None:
            for chore in dispatch.SWEEP.values():
                dispatch.run(connection, chore, message_s=MESSAGE_S)

        def look_for_room() -> None:
            found = dispatch.waiting(connection, fleet.room(connection))
            dispatch.start(connection, found, MESSAGE_S)

        def cpu_ms(work: Callable[[], None]) -> float:
            before = taken(server)
            for _ in range(TICKS):
                work()
                connection.rollback()
            return (taken(server) - before) / TICKS * 1000

        sweep_ms, dispatch_ms = cpu_ms(sweep), cpu_ms(look_for_room)
    # While jobs wait, upkeep sweeps once a second and looks for room ten times.
    share = (sweep_ms / IDLE_S + dispatch_ms / BUSY_S) / 1000
    return {"CPU ms a sweep": sweep_ms, "CPU ms a dispatch": dispatch_ms, "percent of a core": 100 * share}


def taken(server: psutil.Process) -> float:
    """Seconds of CPU, of both."""
    return sum(sum(each.cpu_times()[:2]) for each in (server, psutil.Process()))


if __name__ == "__main__":
    main()
