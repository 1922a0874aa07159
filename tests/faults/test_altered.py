"""A proxy between workers and provider that alters replies at random: fields, types, numbers, bodies, statuses, headers.

Whatever comes back, each job ends or is held with its reason, nothing is stored twice, and no trace is in a log. Where
the proxy left a reply alone the ledger has what the bill has; where it did not the figures are unknown or bounded.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.stack import RunningStack, data, receipts, start, start_simulator

__all__ = ["data", "start"]

DOCUMENTS = 2000 if os.environ.get("DOCMILL_FULL") else 60
SHARE = 0.4
"""Of the replies that are altered."""
MOST_TOKENS = 100_000_000
WILD = [-1, 0, 2**31, 2**63, 10**30, 1e300, "many", "12", True, None, [], {}, "NaN", 0.5]
HEADERS = [
    ("retry-after", "1e300"),
    ("retry-after", "-5"),
    ("x-ratelimit-limit-tokens", "1"),
    ("x-ratelimit-limit-requests", "9" * 500),
    ("content-encoding", "br"),
    ("x-ratelimit-remaining-tokens", "nonsense"),
]


@dataclass
class Altering:
    """What the proxy does, and which calls it left alone."""

    upstream: str
    seed: int
    untouched: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def alter(self, call: str, status: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Returns status, further headers and body as the worker gets them."""
        rng = random.Random(f"{self.seed}/{call}")
        if status != 200 or rng.random() > SHARE:
            with self.lock:
                self.untouched.add(call)
            return status, {}, body
        kind = rng.choice(["field", "field", "field", "cut", "status", "header", "text"])
        if kind == "cut":
            return status, {}, body[: rng.randrange(len(body))]
        if kind == "status":
            # A wrong key or an unknown model is believed, and holds the model for all: that is their remedy.
            return rng.choice([204, 400, 413, 418, 429, 500, 503, 529]), {}, body
        if kind == "header":
            return status, dict([rng.choice(HEADERS)]), body
        if kind == "text":
            return (
                status,
                {},
                rng.choice([b"", b"null", b"<html>no</html>", b"[" * 50_000, b'{"error": "no\\u0000"}']),
            )
        return status, {}, json.dumps(altered(json.loads(body), rng)).encode()


def altered(value: Any, rng: random.Random) -> Any:
    """The value with one of its members dropped, renamed, doubled, or of another kind."""
    place = value
    while True:
        inner = [
            each
            for each in (place.values() if isinstance(place, dict) else place)
            if isinstance(each, dict | list)
        ]
        if not inner or rng.random() < 0.4:
            break
        place = rng.choice(inner)
    if not place:
        return value
    key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    how = rng.choice(["drop", "rename", "wild", "wild", "double"])
    if how == "drop":
        del place[key]
    elif how == "rename" and isinstance(place, dict):
        place[f"{key}_"] = place.pop(key)
    elif how == "double" and isinstance(place, list):
        place.append(place[key])
    else:
        place[key] = rng.choice(WILD)
    return value


@contextmanager
def proxy(altering: Altering) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            kept = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "accept-encoding")
            }
            found = httpx.post(f"{altering.upstream}{self.path}", content=content, headers=kept, timeout=60)
            call = self.headers.get("x-client-request-id", "")
            status, headers, body = altering.alter(call, found.status_code, found.content)
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_whatever_a_reply_becomes_on_its_way_harms_its_own_job_at_most(
    start: Callable[..., RunningStack], data: Path
) -> None:
    simulator, url = start_simulator(data)
    altering = Altering(upstream=url, seed=int(os.environ.get("DOCMILL_SEED", "1")))
    try:
        with proxy(altering) as address:
            stack = start(DOCMILL_LLM_URL=address)
            stack.simulator_url = url
            stack.submit(receipts(DOCUMENTS), "receipt")
            # An altered status may be a rate limit, for which all that is left waits a while.
            stack.until(lambda: not still_going(stack) and is_mostly_done(stack), within_s=180 + DOCUMENTS)
            assert_all_is_accounted_for(stack, altering)
    finally:
        simulator.terminate()
        simulator.wait()
    assert "Traceback" not in (data / "up.log").read_text(errors="replace")


def still_going(stack: RunningStack) -> list[Any]:
    return stack.query("select 1 from jobs where wait is not null and state <> 'held' limit 1")


def is_mostly_done(stack: RunningStack) -> bool:
    return stack.states().get("done", 0) > DOCUMENTS // 3


def held(stack: RunningStack) -> list[Any]:
    """Why jobs are held, for whoever reads that too many are."""
    return [
        stack.query("select wait, held_for, count(*) from jobs where state = 'held' group by 1, 2"),
        stack.query("select model, hold_cause, hold_until - now() as still from model_state"),
    ]


def assert_all_is_accounted_for(stack: RunningStack, altering: Altering) -> None:
    states = stack.states()
    assert sum(states.values()) == DOCUMENTS
    assert is_mostly_done(stack), (states, held(stack))
    assert not stack.query("select 1 from jobs where state = 'failed' and failure ->> 'message' is null")
    assert not stack.query("select 1 from jobs where state = 'held' and wait is null")
    assert not stack.query("select failure from jobs where failure ->> 'kind' in ('internal', 'poison')")
    stored = stack.query("select count(*) as n, count(distinct job_id) as jobs from results where revision = 1")[0]
    assert stored.n == stored.jobs
    bill = stack.bill()
    for row in stack.query("select id, state, input_tokens, output_tokens, cost_usd, possibly_billed from calls"):
        for tokens in (row.input_tokens, row.output_tokens):
            assert tokens is None or 0 <= tokens <= MOST_TOKENS
        assert row.cost_usd is None or 0 <= row.cost_usd < 1
        if str(row.id) in altering.untouched and str(row.id) in bill and row.state == "answered":
            line = bill[str(row.id)]
            assert (row.input_tokens, row.output_tokens) == (line["input_tokens"], line["output_tokens"])
            assert row.cost_usd == Decimal(line["cost_usd"])
