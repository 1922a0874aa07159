"""Milliseconds that pages and lists take with a million jobs and ten million calls, beside one that asks nothing.

    .venv/bin/python -m bench.pages [--jobs N] [--keep FOLDER] [--rounds N] [--only REGEX] [--json]

A Postgres of its own, with the settings of ``docmill up``, and an API process, asked over HTTP one page after the
other: by a tenant that has 70 percent of the jobs, by one that has 1 percent, and by one that has twenty. Each
time other jobs, names and filters are asked for. With ``--keep`` the data, some 10 GB and ten minutes of work, is
used again. CPU is that of the API and of Postgres, an average of all times: it says more than the clock on a
machine that has other work.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
from sqlalchemy import Engine, text

from bench.api import served
from bench.harness import tell
from bench.million import LARGE, SMALL, TINY, Ledger, fill, freshen
from bench.stack import cpu_seconds
from db import keys
from db.engine import make_engine
from db.migrations import upgrade
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

ROUNDS = 40
WARM_UP = 3
MOST_S, FEWEST = 15.0, 5
"""A page is asked for no longer than that, but so many times."""
ZONE = "Europe/Berlin"
NOTHING = "page that asks nothing"
# As they load most quickly; what is measured has the settings of `docmill up`.
LOADING = (
    "fsync=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=16GB",
    "shared_buffers=1GB",
    "autovacuum=off",
)
MOST_MS: Mapping[str, float] = {"overview": 150, "jobs": 100, "search": 100, "job": 150}
"""At the 95th percentile, by the first word of a page's name."""
OTHERS_MS = 150.0

Asked = Callable[[random.Random], str]


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """Somebody who asks, with some of what is theirs."""

    name: str
    key: str
    jobs: list[int]
    runs: list[int]


def main() -> None:
    ledger = Ledger(jobs=int(_option("--jobs", "1000000")), timezone=ZONE)
    rounds, only = max(2, int(_option("--rounds", str(ROUNDS)))), _option("--only", "")
    kept = _option("--keep", "")
    with nullcontext(Path(kept)) if kept else scratch("bench") as data:
        _make(data, ledger)
        with EmbeddedServers(data) as servers:
            engine = make_engine(servers.owner_url)
            freshen(engine, ledger)
            tenants = [_tenant(engine, name) for name in (LARGE, SMALL, TINY)]
            engine.dispose()
            addresses = {
                "DOCMILL_DATABASE_URL": servers.database_url,
                "DOCMILL_BROKER_URL": servers.broker_url,
                "DOCMILL_CACHE_URL": servers.cache_url,
                "DOCMILL_TIMEZONE": ZONE,
            }
            with served([sys.executable, "-m", "web", "--port"], addresses) as (url, _):
                figures, late = _measured(url, tenants, rounds, only)
    tell("pages", figures, f"{NOTHING}, p95 ms")
    if late:
        print("over their limit: " + "; ".join(late))


def _option(name: str, usual: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else usual


def _make(data: Path, ledger: Ledger) -> None:
    """Makes the ledger, unless it is there."""
    done = data / f"ledger-of-{ledger.jobs}"
    if done.exists():
        with EmbeddedServers(data) as servers:
            upgrade(servers.owner_url, application_url=servers.database_url, timezone=ZONE)
        return
    with EmbeddedServers(data, ["postgres"], postgres_settings=LOADING) as servers:
        upgrade(servers.owner_url, application_url=servers.database_url, timezone=ZONE)
        engine = make_engine(servers.owner_url)
        began = time.monotonic()
        fill(engine, ledger)
        with engine.connect() as connection:
            size = connection.execute(text("select pg_database_size(current_database()) / 1e9")).scalar_one()
        print(f"made in {time.monotonic() - began:.0f} s: {size:.1f} GB", file=sys.stderr)
        engine.dispose()
    done.touch()


def _tenant(engine: Engine, name: str) -> Tenant:
    with engine.begin() as connection:
        key = keys.add(connection, name, name=f"bench {name}", scopes=("admin",))
        some = "select id from {} where tenant = :tenant order by hashint8(id) limit 2000"
        jobs, runs = (
            list(connection.execute(text(some.format(table)), {"tenant": name}).scalars())
            for table in ("jobs", "runs")
        )
    return Tenant(name=name, key=key, jobs=jobs, runs=runs)


def pages_of(tenant: Tenant) -> Iterator[tuple[str, Asked]]:
    """Every page by its name, with the address that is asked for next."""
    yield "overview", lambda _: "/"
    yield "jobs", lambda _: "/jobs"
    yield "jobs, an older page", lambda dice: f"/jobs?before={dice.choice(tenant.jobs)}"
    yield "jobs, a newer page", lambda dice: f"/jobs?after={dice.choice(tenant.jobs)}"
    for name, filters in FILTERS.items():
        yield f"jobs by {name}", _filtered("/jobs", filters)
    for first, second in PAIRS:
        yield f"jobs by {first} and {second}", _filtered("/jobs", [*FILTERS[first], *FILTERS[second]], all_=True)
    for name, words in NAMES.items():
        yield f"search for {name}", _filtered("/jobs", [f"name={quote(word)}" for word in words])
    yield "job", lambda dice: f"/jobs/{dice.choice(tenant.jobs)}"
    yield "what acting on jobs costs", lambda _: "/jobs/act?action=retry"
    yield "what acting on some costs", lambda _: "/jobs/act?action=cancel&feature=feature+3"
    for path in (
        "/review",
        "/review?order=dearest",
        "/review?prompt=nda",
        "/prompts",
        "/prompts/invoice",
        "/prompts/nda",
        "/runs",
        "/costs",
        "/costs?days=30",
        "/costs?feature=feature+4&model=sim-large",
        "/costs?prompt=ancient",
        "/costs?day=2026-11-20&user=user+3-4",
        "/forecast",
        "/budgets",
        "/models",
        "/collections",
        "/collections/collection-3",
        "/schedules",
        "/documents",
        "/documents?q=hull",
        "/documents?q=nothing+of+it",
    ):
        yield path, _always(path)
    yield "documents, an older page", lambda dice: f"/documents?before={dice.choice(tenant.jobs)}"
    yield "document", lambda dice: f"/documents/{dice.choice(tenant.jobs)}"
    if tenant.runs:
        yield "run", lambda dice: f"/runs/{dice.choice(tenant.runs[1:])}"
        yield "run of a seventh of all jobs", lambda _: f"/runs/{min(tenant.runs)}"
        yield "runs, an older page", lambda dice: f"/runs?before={dice.choice(tenant.runs)}"
        yield "GET /v1/runs/{id}", lambda dice: f"/v1/runs/{dice.choice(tenant.runs[1:])}"
    yield from _routes(tenant)


def _routes(tenant: Tenant) -> Iterator[tuple[str, Asked]]:
    """The lists of the API, and what it tells of one."""
    yield "GET /v1/jobs", _always("/v1/jobs")
    yield "GET /v1/jobs of 500 with values", _always("/v1/jobs?limit=500&include=value")
    yield "GET /v1/jobs with counts", _always("/v1/jobs?include=counts")
    yield "GET /v1/jobs, a further page", lambda dice: f"/v1/jobs?cursor={dice.choice(tenant.jobs)}"
    for name, filters in {**FILTERS, **API_FILTERS}.items():
        yield f"GET /v1/jobs by {name}", _filtered("/v1/jobs", filters)
    for name, words in NAMES.items():
        yield f"GET /v1/jobs by name, {name}", _filtered("/v1/jobs", [f"name={quote(word)}" for word in words])
    yield "GET /v1/jobs/{id}", lambda dice: f"/v1/jobs/{dice.choice(tenant.jobs)}"
    yield "GET /v1/jobs/{id}/calls", lambda dice: f"/v1/jobs/{dice.choice(tenant.jobs)}/calls"
    for path in (
        "/v1/runs",
        "/v1/runs?limit=100",
        "/v1/reviews",
        "/v1/collections",
        "/v1/webhooks",
        "/v1/costs?by=feature",
        "/v1/costs?by=feature,user,day",
        "/v1/costs?by=model&since=2026-11-25",
    ):
        yield f"GET {path}", _always(path)


FILTERS = {
    "state": [
        f"state={state}" for state in ("failed", "held", "needs_review", "queued", "running", "done", "cancelled")
    ],
    "states": ["state=failed&state=cancelled", "state=held&state=queued"],
    "cause": [f"cause={kind}" for kind in ("unreadable", "budget", "timeout", "wrong")],
    "cause that few have": ["cause=poison"],
    "cause that none has": ["cause=auth", "cause=quota_exhausted"],
    "prompt": [f"prompt={name}" for name in ("invoice", "receipt", "summary")],
    "prompt of long ago": ["prompt=ancient"],
    "prompt that few have": ["prompt=nda"],
    "prompt that none has": ["prompt=nothing"],
    "feature": [f"feature=feature+{n}" for n in range(20)],
    "feature that none has": ["feature=nothing"],
    "user": [f"user=user+{n}-{n}" for n in range(20)],
    "user that none has": ["user=nobody"],
    "run": [f"run={n}" for n in (1, 2, 3, 5, 100)],
    "run that none is": ["run=999999999"],
    "time": ["since=2026-11-29T00:00:00Z", "since=2026-10-05T00:00:00Z"],
    "time to come": ["since=2031-01-01T00:00:00Z"],
}
API_FILTERS = {
    "version": ["version=v1", "version=v3"],
    "version that none has": ["version=v99"],
    "document": [f"document={n}" for n in (100, 107, 5000, 777_777)],
    "model": ["model=sim-small", "model=sim-large"],
    "model that none is": ["model=nothing"],
    "times": [
        "created_before=2026-10-10T00:00:00Z",
        "created_after=2026-10-10T00:00:00Z&created_before=2026-10-11T00:00:00Z",
    ],
    "ends": [
        "finished_after=2026-11-30T00:00:00Z",
        "finished_before=2026-10-05T00:00:00Z",
        "finished_after=2026-10-10T00:00:00Z&finished_before=2026-10-11T00:00:00Z",
    ],
    "ends to come": ["finished_after=2031-01-01T00:00:00Z"],
}
PAIRS = [
    ("state", "prompt"),
    ("state", "feature"),
    ("state", "user"),
    ("cause", "prompt"),
    ("cause", "user"),
    ("prompt", "feature"),
    ("prompt", "user"),
    ("prompt of long ago", "feature"),
    ("prompt of long ago", "cause"),
    ("feature", "user"),
    ("run", "cause"),
    ("run", "state"),
    ("time", "user"),
    ("time to come", "prompt"),
    ("cause that few have", "feature"),
    ("run", "prompt"),
]
NAMES = {
    "a name": [f"{n:07}.txt" for n in range(1, 999_000, 12_345)],
    "a part of a name": [f"{n:05}" for n in range(1, 99_000, 1_234)],
    "what many have": ["hull", "invoice", "archive/", ".txt"],
    "what many had long ago": ["archive/2026-10", "2026-10/acme"],
    "a name in other letters": ["MÜLLER-Letter", "Tea-House-RECEIPT-00"],
    "what none has": ["nothing like it", "invoice-x", "zzzz"],
    "two letters that none has": ["qx", "~!"],
}


def _always(path: str) -> Asked:
    return lambda _: path


def _filtered(path: str, filters: list[str], *, all_: bool = False) -> Asked:
    """One of the filters; or, of all that say something else, one each."""

    def asked(dice: random.Random) -> str:
        if not all_:
            return f"{path}?{dice.choice(filters)}"
        by = {each.split("=")[0]: each for each in dice.sample(filters, len(filters))}
        return f"{path}?{'&'.join(by.values())}"

    return asked


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Milliseconds of a request."""

    p50: float
    p95: float
    cpu: float

    def figures(self, name: str) -> dict[str, float]:
        return {f"{name}, p50 ms": self.p50, f"{name}, p95 ms": self.p95, f"{name}, CPU ms": self.cpu}


def _measured(url: str, tenants: list[Tenant], rounds: int, only: str) -> tuple[dict[str, float], list[str]]:
    figures: dict[str, float] = {}
    late = []
    with httpx.Client(base_url=url, timeout=120) as client:
        figures |= _taken(client, _always("/sign-in"), {}, max(rounds, 100)).figures(NOTHING)
        for tenant in tenants:
            for name, asked in pages_of(tenant):
                if re.search(only, name) is None:
                    continue
                taken = _taken(client, asked, {"authorization": f"Bearer {tenant.key}"}, rounds)
                told = f"{tenant.name}: {name}"
                figures |= taken.figures(told)
                limit = MOST_MS.get(name.split()[0].strip(","), OTHERS_MS)
                if taken.p95 > limit:
                    late.append(f"{told} {taken.p95:.0f} ms of {limit:.0f}")
                mark = "!" if taken.p95 > limit else ""
                print(f"{told:<60}{taken.p50:9.1f}{taken.p95:9.1f}{taken.cpu:9.1f} {mark}", file=sys.stderr)
    return figures, late


def _taken(client: httpx.Client, asked: Asked, headers: Mapping[str, str], rounds: int) -> Taken:
    """What takes seconds is asked for less often."""
    dice = random.Random(20261130)  # the same addresses each time
    taken: list[float] = []
    cpu = 0.0
    for number in range(rounds + WARM_UP):
        if number == WARM_UP:
            cpu = _cpu_seconds()
        began = time.perf_counter()
        answer = client.get(asked(dice), headers=headers)
        ms = 1000 * (time.perf_counter() - began)
        if answer.status_code not in (200, 303, 404):
            sys.exit(f"{answer.request.url}: {answer.status_code} {answer.text[:500]}")
        if number >= WARM_UP:
            taken.append(ms)
        if sum(taken) > MOST_S * 1000 and len(taken) >= FEWEST:
            break
    p95 = statistics.quantiles(taken, n=100, method="inclusive")[94]
    spent = 1000 * (_cpu_seconds() - cpu) / len(taken)
    return Taken(p50=statistics.median(taken), p95=p95, cpu=spent)


def _cpu_seconds() -> float:
    """Of the API and the servers, which are this process's children."""
    own = psutil.Process().cpu_times()
    return cpu_seconds(os.getpid()) - own.user - own.system


if __name__ == "__main__":
    main()
