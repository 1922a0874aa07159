"""What a look into each layer of the cache takes, and what a repeating workload saves by it.

    .venv/bin/python -m bench.cache [--only looks|workload] [--seed 1] [--json]

Looks: the key is given; a dict's look-up, L1, a bare GET of the same bytes, L2 and a miss, in turn, on one Valkey
over its socket. Workload: receipts drawn by Zipf's law from the development set beside the project, once with and
once without the cache (`fresh` jobs), through a stack of its own; calls and cost as the simulator billed them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import redis
from sqlalchemy import text

from bench.harness import tell
from bench.stack import stack
from db.engine import make_engine
from db.submit import Submission, submit
from docmill.llm.cache import Recent, TwoLayerCache
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

ROUNDS = 5000
SUBMITTED = 500
RECEIPTS = (
    Path(__file__).parents[2] / "shared" / "data" / "1_structured_fields" / "receipts_sroie" / "dev" / "files"
)
VALUE = {
    "answer": {
        "company": "TEA HOUSE TRADING SDN BHD",
        "address": "No. 1 & 3, Jalan Sample 12/3, Taman Example, 81100 Johor Bahru, Johor",
        "date": "2018-03-09",
        "total": 12.5,
        "currency": "MYR",
    },
    "evidence": {"company": [[0, 25]], "date": [[140, 150]], "total": [[312, 317]]},
    "model": "sim-small",
    "cost_usd": "0.0001234500",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=("looks", "workload"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only != "workload":
        with scratch("cache") as data, EmbeddedServers(data) as servers:
            tell("cache, microseconds", looks(servers.cache_url), "bare GET, p50")
    if options.only != "looks":
        tell("cache, a repeating workload", workload(options.seed), "without cache, calls")


def looks(url: str) -> dict[str, float]:
    """Microseconds of each kind of look, taken in turn so that all meet the same machine."""
    key, unknown = (hashlib.sha256(name).digest() for name in (b"known", b"unknown"))
    warm, cold = TwoLayerCache(url), TwoLayerCache(url, recent=Recent(max_bytes=1))
    bare = redis.Redis.from_url(url)
    plain = {key: json.dumps(VALUE)}
    warm.put(key, VALUE)
    warm.get(key)
    name = next(iter(bare.scan_iter(match="docmill:answer:*")))
    kinds: dict[str, Callable[[], object]] = {
        "dict": lambda: plain.get(key),
        "L1 hit": lambda: warm.get(key),
        "bare GET": lambda: bare.get(name),
        "L2 hit": lambda: cold.get(key),
        "miss": lambda: cold.get(unknown),
    }
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind, look in kinds.items():
            started = time.perf_counter()
            look()
            taken[kind].append((time.perf_counter() - started) * 1e6)
    layers = [getattr(cache.get(key), "layer", None) for cache in (warm, cold)]
    if layers != ["l1", "l2"]:
        sys.exit(f"the looks did not meet the layers that they are named for: {layers}")
    warm.close()
    cold.close()
    return {f"{kind}, p{share}": _quantile(values, share) for kind, values in taken.items() for share in (50, 99)}


def _quantile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100)[share - 1]


def workload(seed: int) -> dict[str, float]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(RECEIPTS.glob("*.txt"))]
    if not texts:
        sys.exit(f"there are no receipts in {RECEIPTS}")
    weights = [1 / rank for rank in range(1, len(texts) + 1)]
    drawn = random.Random(seed).choices(texts, weights, k=SUBMITTED)
    with stack() as running:
        without = _billed(running.addresses, drawn, fresh=True)
        with_cache = _billed(running.addresses, drawn, fresh=False)
    return {
        "without cache, calls": without["calls"],
        "with cache, calls": with_cache["calls"],
        "without cache, USD": without["cost_usd"],
        "with cache, USD": with_cache["cost_usd"],
    }


def _billed(addresses: Mapping[str, str], drawn: Sequence[str], *, fresh: bool) -> dict[str, float]:
    """What the simulator bills for all, in small lots, so that later ones can find earlier ones' answers."""
    before = _stats(addresses)
    engine = make_engine(addresses["database_url"])
    for at in range(0, len(drawn), 25):
        with engine.begin() as connection:
            for body in drawn[at : at + 25]:
                job = submit(connection, Submission(prompt="receipt", body=body.encode(), name="receipt.txt"))
                connection.execute(
                    text("update jobs set fresh = :fresh where id = :id"), {"id": job, "fresh": fresh}
                )
        while True:
            with engine.connect() as connection:
                if not connection.execute(text("select count(*) from jobs where wait is not null")).scalar_one():
                    break
            time.sleep(0.05)
    engine.dispose()
    after = _stats(addresses)
    return {name: after[name] - before[name] for name in ("calls", "cost_usd")}


def _stats(addresses: Mapping[str, str]) -> dict[str, float]:
    found = httpx.get(f"{addresses['simulator']}/stats").json()
    return {"calls": float(found["calls"]), "cost_usd": float(found["cost_usd"])}


if __name__ == "__main__":
    main()
