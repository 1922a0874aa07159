"""How much of a provider's limits a fleet uses, and how often it is told no.

    .venv/bin/python -m bench.limits [--only known-second,…] [--documents 3000] [--json]

A simulator at 600 requests and 200,000 tokens a minute, four io workers, documents of mixed length: with its
one-second bucket and with its fixed window, with the limits in docmill.toml (known) and learned from answers
(learned). Beside them, plain Celery whose tasks wait for Retry-After, each for itself (celery). What is measured
is what was sent and how it was answered, in the minutes between the first and the last.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from bench.harness import tell
from db.engine import make_engine
from db.submit import Submission, submit
from prompts import Excerpt, Registry
from prompts.registry import BUILT_IN
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

COMMAND = (sys.executable, "-m", "docmill")
PROMPT = "document_type"
WORKERS = 4
SILENT_S = 60.0
REQUESTS, TOKENS = 600, 200_000
RUNS = ("known-second", "known-minute", "learned-second", "learned-minute", "celery-second", "celery-minute")
CONFIG = """
[models.small]
model = "sim-small"
requests_per_minute = 600
tokens_per_minute = 200000
"""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request as it was sent: when (seconds), its status and the tokens that it came to."""

    at: float
    status: int
    tokens: int

    @property
    def answered(self) -> bool:
        return self.status == 200

    @property
    def refused(self) -> bool:
        return self.status == 429


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default=",".join(RUNS))
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for run in options.only.split(","):
        found = measure(run, options.documents)
        print(f"{run}: {json.dumps(found)}", file=sys.stderr, flush=True)
        figures |= {f"{run}, share of the limit": found["share"], f"{run}, answered 429": found["refused"]}
    tell("limits", figures, next(iter(figures)))


def measure(run: str, documents: int) -> dict[str, Any]:
    """Share of the binding limit in the minutes between the first and the last, and share of 429s in all."""
    how, window = run.split("-")
    started = time.monotonic()
    with scratch("limits") as data, simulator(data, window) as url:
        sent = (plain_celery if how == "celery" else docmill)(data, url, documents, how)
    return {**shares(sent), "seconds": round(time.monotonic() - started)}


def shares(calls: Sequence[Sent]) -> dict[str, Any]:
    first, last = min(call.at for call in calls), max(call.at for call in calls if call.answered)
    whole = range(1, int((last - first) // 60))
    served = [call for call in calls if call.answered and int((call.at - first) // 60) in whole]
    by = {
        "requests": len(served) / len(whole) / REQUESTS,
        "tokens": sum(call.tokens for call in served) / len(whole) / TOKENS,
    }
    refused = sum(call.refused for call in calls)
    return {
        "share": max(by.values()),
        **by,
        "whole minutes": len(whole),
        "refused": refused / len(calls),
        "answered 429": refused,
        "requests sent": len(calls),
    }


def texts(documents: int) -> list[str]:
    """Receipts of mixed length, each different."""
    chance = random.Random(7)
    return [_text(number, int(chance.lognormvariate(1.9, 0.9))) for number in range(documents)]


def _text(number: int, lines: int) -> str:
    listed = "".join(f"Green tea no. {line} {line + 1}.10\n" for line in range(lines))
    return f"Receipt no. {number}\nTEA HOUSE\nDate: 2021-03-{1 + number % 28:02}\n{listed}TOTAL {number + 1}.10\n"


def docmill(data: Path, url: str, documents: int, how: str) -> list[Sent]:
    """All through a stack of four io workers; what the ledger has of it."""
    config = data / "docmill.toml"
    config.write_text(CONFIG if how == "known" else "", encoding="utf-8")
    ready = data / "up.json"
    with process(
        *COMMAND, "up", "--data", str(data / "stack"), "--ready-file", str(ready), "--io-workers", str(WORKERS),
        DOCMILL_LLM_URL=url, DOCMILL_CONFIG=str(config), DOCMILL_TASK_EVENTS="0",
    ) as up:  # fmt: skip
        wait_for(ready, up)
        engine = make_engine(json.loads(ready.read_text(encoding="utf-8"))["database_url"])
        with engine.begin() as connection:
            for number, body in enumerate(texts(documents)):
                submit(connection, Submission(prompt=PROMPT, body=body.encode(), name=f"{number}.txt"))
        while _open_jobs(engine):
            time.sleep(1)
        with engine.connect() as connection:
            rows = connection.execute(
                text(
                    "select extract(epoch from started_at)::float as at, coalesce(http_status, 0) as status,"
                    " coalesce(input_tokens + output_tokens, 0) as tokens from calls where state <> 'cached'"
                )
            ).all()
            states = connection.execute(text("select state, count(*) from jobs group by state")).all()
        engine.dispose()
    print(dict(map(tuple, states)), file=sys.stderr)
    return [Sent(at=row.at, status=row.status, tokens=row.tokens) for row in rows]


def _open_jobs(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("select count(*) from jobs where wait is not null")).scalar_one())


def plain_celery(data: Path, url: str, documents: int, how: str) -> list[Sent]:  # noqa: ARG001 - the runs' shape
    """The same messages from plain Celery tasks, each of which waits as it was told and asks again."""
    prompt = Registry([BUILT_IN]).get(PROMPT, None)
    with EmbeddedServers(data) as servers:
        broker = {"BARE_BROKER": servers.broker_url, "BARE_URL": url}
        os.environ.update(broker)
        module = importlib.import_module("bench.plain")
        for body in texts(documents):
            messages = [message.as_json() for message in prompt.render(Excerpt(passages=(body,)), {})]
            module.call.delay(messages, prompt.config.limits.max_output_tokens)
        with ExitStack() as workers:
            for number in range(WORKERS):
                command = [sys.executable, "-m", "celery", "-A", "bench.plain", "worker", "--pool", "threads"]
                workers.enter_context(process(*command, "-c", "100", "-n", f"plain{number}", **broker))
            lost = _lost(module.answered, documents)
        print(f"lost by plain Celery: {lost} of {documents}", file=sys.stderr)
        return [Sent(at=at, status=status, tokens=tokens) for at, status, tokens in module.sent()]


def _lost(answered: Callable[[], int], documents: int) -> int:
    """Waits until all are answered, or nothing has been for a minute: plain Celery may lose a message."""
    seen, since = answered(), time.monotonic()
    while seen < documents and time.monotonic() < since + SILENT_S:
        time.sleep(1)
        if answered() != seen:
            seen, since = answered(), time.monotonic()
    return documents - seen


@contextmanager
def simulator(data: Path, window: str) -> Iterator[str]:
    ready = data / "simulate.json"
    options = ("--requests-per-minute", str(REQUESTS), "--tokens-per-minute", str(TOKENS), "--window", window)
    latency = ("--latency-ms", "1000", "--latency-spread", "0.3")
    with process(*COMMAND, "simulate", "--ready-file", str(ready), *options, *latency) as running:
        wait_for(ready, running)
        yield json.loads(ready.read_text(encoding="utf-8"))["url"]


@contextmanager
def process(*command: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, **env})
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


def wait_for(ready: Path, running: subprocess.Popen[bytes]) -> None:
    while not ready.exists():
        if running.poll() is not None:
            sys.exit("it did not come up: run `docmill up` and `docmill simulate` to see why")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
