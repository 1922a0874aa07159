"""docmill beside what a user would take instead, in turn, in one run: the same receipts, simulator and servers.

    .venv/bin/python -m bench.peers [--documents 600] [--rounds 2] [--only docmill,DBOS] [--json]

The peers are a Celery chain written by hand (threads, prefork), a durable workflow of DBOS', a task of
procrastinate's, and Instructor with asyncio: `bench/peers_of`, each as its manual has it. They are installed by
name and version into an environment of their own, in the user's cache, the first time.

First the simulator answers at once; documents a second and CPU are measured. Then calls take about a second, and
with half of 300 calls answered all that works is killed by SIGKILL and started again: what had not ended when
nothing had for a minute, was doubled (stored more than once) or paid twice by the provider's bill, and how long
after the kill the last one ended. Memory (PSS) is that of the workers before the kill, with calls open.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bench.contenders import CONTENDERS, Contender, Place, Running, environment, processes_of
from bench.simulator import simulated
from bench.stack import cpu_seconds
from db.migrations import upgrade
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

WARM_UP = 50
KILLED = 300
"""Documents of the run with the kill."""
SLOW = ("--latency-ms", "1000", "--latency-spread", "0.3")
"""Around a second: calls of exactly one come in waves, and a kill between two of these would find none open."""
PATIENCE_S = 60.0
"""So long nothing has ended, and nothing will. Longer than any of them takes to notice a death."""
SETTLE_S = 3.0
"""Calls that nobody waits for are on the bill then."""


def main() -> None:
    options = _options()
    contenders = [each for each in CONTENDERS if each.name in options.only]
    environment()
    began = time.monotonic()
    with ExitStack() as stack:
        data = stack.enter_context(scratch("peers"))
        servers = stack.enter_context(EmbeddedServers(data / "servers"))
        upgrade(servers.owner_url, application_url=servers.database_url)
        bodies = receipts(options.rounds * (WARM_UP + options.documents) + WARM_UP + KILLED)
        place = Place(servers=servers, llm_url="", data=data, bodies=bodies)
        rounds = [in_turn(contenders, place, options.documents, each) for each in range(options.rounds)]
        survived = {each.name: after_a_kill(each, place) for each in contenders}
    found = [
        {"name": each.name, **_means([turn[each.name] for turn in rounds]), **survived[each.name]}
        for each in contenders
    ]
    tell(found, options, time.monotonic() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.peers")
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", type=lambda told: told.split(","), default=[each.name for each in CONTENDERS])
    return parser.parse_args()


def receipts(number: int) -> list[str]:
    return [
        f"TEA HOUSE {at}\n1 Sample Street\nDate: 2021-03-{1 + at % 28:02}\nGreen tea {at}.10\nTOTAL {at}.10\n"
        for at in range(number)
    ]


def in_turn(
    contenders: Sequence[Contender], place: Place, documents: int, turn: int
) -> dict[str, dict[str, float]]:
    """One round of the first measurement; each contender has the same documents."""
    first = turn * (WARM_UP + documents)
    with simulated(place.data) as url:
        here = Place(servers=place.servers, llm_url=url, data=place.data, bodies=place.bodies)
        return {each.name: at_once(each, here, first, documents) for each in contenders}


def at_once(contender: Contender, place: Place, first: int, documents: int) -> dict[str, float]:
    """Documents a second, and milliseconds of CPU a document."""
    with contender.start(place) as running:
        running.submit(first, first + WARM_UP)
        await_ended(running, WARM_UP)
        before, began = cpu(running, place), time.monotonic()
        running.submit(first + WARM_UP, first + WARM_UP + documents)
        await_ended(running, WARM_UP + documents)
        took_s = time.monotonic() - began
        taken = {name: 1000 * (after - before[name]) / documents for name, after in cpu(running, place).items()}
    return {"documents_a_second": documents / took_s, **{f"{name}_ms": ms for name, ms in taken.items()}}


def cpu(running: Running, place: Place) -> dict[str, float]:
    """Seconds so far, with those of children that ended."""
    return {
        "workers": sum(map(cpu_seconds, running.pids())),
        "postgres": cpu_seconds(place.servers.pids["postgres"]),
        "broker": cpu_seconds(place.servers.pids["broker"]),
    }


def after_a_kill(contender: Contender, place: Place) -> dict[str, Any]:
    """What became of 300 documents whose workers died at half of them."""
    last = len(place.bodies)
    first = last - KILLED
    with simulated(place.data, *SLOW) as url:
        here = Place(servers=place.servers, llm_url=url, data=place.data, bodies=place.bodies)
        with contender.start(here) as running:
            running.submit(first - WARM_UP, first)
            await_ended(running, WARM_UP)
            running.submit(first, last)
            await_billed(url, WARM_UP + KILLED // 4)
            memory = pss_bytes(running)
            await_billed(url, WARM_UP + KILLED // 2)
            killed = time.monotonic()
            running.kill()
            ended, seconds = until_still(running, killed)
            time.sleep(SETTLE_S)
            paid = running.billed(json.loads(line)["id"] for line in _bill(url))
            return {
                "pss_mb": memory / 1e6,
                "not_ended": WARM_UP + KILLED - ended,
                "doubled": running.doubled(),
                "paid_twice": sum(times - 1 for times in paid.values()),
                "told": running.told(),
                "ended_after_s": seconds,
            }


def await_billed(url: str, number: int) -> None:
    """Until the provider has answered so many calls: the same point for all, however long the rest of it takes."""
    while httpx.get(f"{url}/stats", timeout=60).json()["calls"] < number:
        time.sleep(0.1)


def pss_bytes(running: Running) -> int:
    """Memory of all workers; pages that they share count once."""
    families = [processes_of(pid) for pid in running.pids()]
    return sum(each.memory_full_info().pss for family in families for each in family)


def _bill(url: str) -> list[str]:
    return httpx.get(f"{url}/bill", timeout=60).text.splitlines()


def await_ended(running: Running, number: int) -> None:
    """Raises SystemExit where nothing ends for a minute."""
    last, moved = running.ended(), time.monotonic()
    while (ended := running.ended()) < number:
        if ended > last:
            last, moved = ended, time.monotonic()
        if time.monotonic() - moved > PATIENCE_S:
            sys.exit(f"{ended} of {number} documents ended, and no other for {PATIENCE_S:.0f} s")
        time.sleep(0.1)


def until_still(running: Running, since: float) -> tuple[int, float]:
    """How many have ended, once all have or nothing has for a minute; and seconds until the last one did."""
    last, moved = running.ended(), time.monotonic()
    while last < WARM_UP + KILLED and time.monotonic() - moved < PATIENCE_S:
        time.sleep(0.1)
        if (ended := running.ended()) > last:
            last, moved = ended, time.monotonic()
    return last, moved - since


def _means(turns: Sequence[dict[str, float]]) -> dict[str, Any]:
    means: dict[str, Any] = {name: statistics.mean(turn[name] for turn in turns) for name in turns[0]}
    return means | {"each_round": [round(turn["documents_a_second"], 1) for turn in turns]}


COLUMNS = {
    "documents_a_second": "documents a second",
    "workers_ms": "CPU ms a document: workers",
    "postgres_ms": "Postgres",
    "broker_ms": "Valkey",
    "pss_mb": "PSS MB",
    "not_ended": "after the kill: not ended",
    "doubled": "stored twice",
    "paid_twice": "paid twice",
    "told": "of these known",
    "ended_after_s": "all ended after s",
}


def tell(found: Sequence[dict[str, Any]], options: argparse.Namespace, took_s: float) -> None:
    about = {
        "benchmark": "peers",
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": os.cpu_count(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "documents": options.documents,
        "rounds": options.rounds,
        "took_s": round(took_s),
        "versions": (Path(__file__).parent / "peers_of" / "requirements.txt").read_text().split(),
    }
    if options.json:
        print(json.dumps({**about, "peers": found}))
        return
    print(", ".join(f"{name}: {value}" for name, value in about.items() if name != "versions"))
    print("| | " + " | ".join(COLUMNS.values()) + " |")
    print("| --- " * (1 + len(COLUMNS)) + "|")
    for each in found:
        print(f"| {each['name']} | " + " | ".join(_cell(each[name]) for name in COLUMNS) + " |")


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
