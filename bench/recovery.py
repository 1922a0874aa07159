"""What becomes of documents when the provider fails in each of its ways, one way at a time and all of them mixed.

    .venv/bin/python -m bench.recovery [--only overflow,wrong] [--documents 200] [--share 0.3] [--seed 5] [--json]

Real workers against the simulator. Each fault is drawn for itself, for that share of the calls, by seed and
request. Half of the documents are receipts, half invoices. What an answer should be is known from the simulator's
own rules, asked without a fault, and from nowhere else; the simulator itself never sees it.

Columns: ``met`` are documents that met a fault; of these, ``recovered`` ended as done with the right answer,
``stopped`` did not end as done, and ``slipped`` ended as done with a wrong answer. Calls, cost and latency are
what the faults added, against one call a document at its price and the median of documents without one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Row, text

from bench.stack import MeasuredStack, stack
from docmill.parsing import accept
from docmill.simulator.faults import FAULTS
from docmill.simulator.rules import answer
from prompts import Registry

CALL_DEADLINE_S = 6
LATENCY_MS = 50
GIVE_UP_S = 900
LONG_HOLD_S = 200
"""A hold of more is one that waits for a person: a quota, a key."""
KEY = "known-to-the-provider-alone"
MODES = (*FAULTS, "auth", "mixed")
# All at once, so that as many calls as in the other runs meet any of them.
NOT_MIXED = ("quota",)

TWO_ACCOUNTS = """
[models.small]
provider = "simulator"
model = "sim-small"
base_url = "{faulty}"
account = "first"

[models.large]
provider = "simulator"
model = "sim-large"
base_url = "{faultless}"
account = "second"
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run came to."""

    mode: str
    documents: int
    states: Mapping[str, int]
    met: int
    recovered: int
    stopped: int
    slipped: int
    slipped_after: Mapping[str, int]
    """The faults that they met."""
    unharmed_wrong: int
    """Documents that met no fault, and are not done with the right answer."""
    remedies: Mapping[str, int]
    calls: int
    extra_calls: int
    extra_cost: float
    """In parts of what one call a document costs."""
    extra_latency_s: float | None
    possibly_billed: int
    bill_equals_ledger: bool
    seconds: float

    def as_json(self) -> dict[str, Any]:
        share = self.recovered / self.met if self.met else None
        return {**vars(self), "recovered_share": share}


def main() -> None:
    options = _options()
    runs = []
    for mode in options.only:
        run = measured(mode, options)
        runs.append(run)
        if not options.json:
            print_run(run, header=len(runs) == 1)
    if options.json:
        print(
            json.dumps(
                {"date": _now(), "seed": options.seed, "share": options.share, "runs": [r.as_json() for r in runs]}
            )
        )
    if not all(run.bill_equals_ledger for run in runs):
        sys.exit("a ledger is not its bill")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.recovery")
    parser.add_argument("--only", type=lambda told: told.split(","), default=list(MODES))
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unknown = set(options.only) - set(MODES)
    if unknown:
        parser.error(f"no mode {', '.join(sorted(unknown))}: there are {', '.join(MODES)}")
    return options


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# --- documents, and what is in them ---


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A document with the answer that is right."""

    prompt: str
    text: str
    right: Mapping[str, Any]


def papers(number: int, seed: int) -> list[Paper]:
    """Receipts and invoices, each different, and different for each seed."""
    registry = Registry()
    made = []
    for at in range(number):
        prompt, words = ("receipt", receipt(at, seed)) if at % 2 else ("invoice", invoice(at, seed))
        version = registry.get(prompt)
        said = json.dumps(answer(words, version.schema))
        made.append(Paper(prompt=prompt, text=words, right=accept(said, version.output_model, document=words)))
    return made


GOODS = ("Green tea", "Black tea", "Almond cake", "Oat biscuits", "Paper bags", "Honey", "Lemon", "Teapot")


def _lines(at: int) -> list[tuple[str, int, Decimal]]:
    """Name, quantity and amount; a few, or so many that the document is long."""
    many = 40 if at % 10 == 0 else 1 + at % 5
    return [(_good(at, each), 1 + each % 3, Decimal(100 + 37 * at + 11 * each).scaleb(-2)) for each in range(many)]


def _good(at: int, line: int) -> str:
    return f"{GOODS[(at + line) % len(GOODS)]}, kind {'abcdefgh'[line // len(GOODS)]}"


def receipt(at: int, seed: int) -> str:
    lines = _lines(at)
    rows = "\n".join(f"{name}    {amount}" for name, _, amount in lines)
    total = sum(amount for _, _, amount in lines)
    return (
        f"TEA HOUSE {seed}-{at}\n{1 + at} Sample Street\nDate: 2021-{1 + at % 12:02}-{1 + at % 28:02}\n{rows}\n"
        f"TOTAL {total}\n"
    )


def invoice(at: int, seed: int) -> str:
    lines = _lines(at)
    rows = "\n".join(f"{name}    {quantity}    {amount}" for name, quantity, amount in lines)
    net = sum((amount for _, _, amount in lines), Decimal(0))
    tax = (net * Decimal("0.19")).quantize(Decimal("0.01"))
    return (
        f"Example Works {seed}-{at} Ltd\n\nInvoice No: 2021-{seed}{at:04}\n"
        f"Invoice date: 2021-03-{1 + at % 28:02}\n"
        f"Due date: 2021-05-{1 + at % 28:02}\nBill to: Sample Library {at}\n\nItem    Quantity    EUR\n{rows}\n\n"
        f"Net total    {net}\nVAT 19 %    {tax}\nGrand total    {net + tax} EUR\n"
    )


# --- a run ---


def measured(mode: str, options: argparse.Namespace) -> Run:
    wanted = papers(options.documents, options.seed)
    with _provider(mode, options) as (url, config, bills):
        env = {"DOCMILL_LLM_URL": url, "DOCMILL_CALL_DEADLINE_S": str(CALL_DEADLINE_S), "DOCMILL_CONFIG": config}
        with stack(**{name: value for name, value in env.items() if value}) as running:
            started = time.monotonic()
            for prompt in ("receipt", "invoice"):
                running.submit([each.text.encode() for each in wanted if each.prompt == prompt], prompt)
            await_quiet(running)
            seconds = time.monotonic() - started
            return _run(mode, running, wanted, bills, seconds)


@contextmanager
def _provider(mode: str, options: argparse.Namespace) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Its address, a docmill.toml where one is needed, and the addresses that have a bill."""
    with tempfile.TemporaryDirectory(prefix="docmill-bench-") as folder:
        faulty = _simulator(Path(folder) / "faulty.json", options.seed, _faults(mode, options.share))
        faultless = _simulator(Path(folder) / "faultless.json", options.seed, ()) if mode == "quota" else None
        try:
            url = _url(Path(folder) / "faulty.json")
            if faultless is None:
                yield url, "", [url]
                return
            other = _url(Path(folder) / "faultless.json")
            config = Path(folder) / "docmill.toml"
            config.write_text(TWO_ACCOUNTS.format(faulty=url, faultless=other), encoding="utf-8")
            yield url, str(config), [url, other]
        finally:
            for process in filter(None, (faulty, faultless)):
                process.terminate()
                process.wait()


def _faults(mode: str, share: float) -> tuple[str, ...]:
    if mode == "auth":
        return ("--api-key", KEY)
    if mode != "mixed":
        return ("--fault", f"{mode}={share}")
    kinds = [kind for kind in FAULTS if kind not in NOT_MIXED]
    each = 1 - (1 - share) ** (1 / len(kinds))
    return tuple(part for kind in kinds for part in ("--fault", f"{kind}={each:.5f}"))


def _simulator(ready: Path, seed: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "docmill", "simulate", "--ready-file", str(ready), "--seed", str(seed)]
    process = subprocess.Popen(
        [*command, "--latency-ms", str(LATENCY_MS), "--latency-spread", "0.5", *options],
        stdout=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("DOCMILL_")},
    )
    while not ready.exists():
        if process.poll() is not None:
            sys.exit("the simulator did not start")
        time.sleep(0.05)
    return process


def _url(ready: Path) -> str:
    return str(json.loads(ready.read_text(encoding="utf-8"))["url"])


def await_quiet(running: MeasuredStack) -> None:
    """Until each job has ended, or waits for a person."""
    statement = text(
        "select count(*) from jobs where wait is not null and not"
        " (wait = 'rate' and wake_at > clock_timestamp() + make_interval(secs => :long))"
    )
    until = time.monotonic() + GIVE_UP_S
    while time.monotonic() < until:
        with running.engine.connect() as connection:
            if not connection.execute(statement, {"long": LONG_HOLD_S}).scalar():
                return
        time.sleep(0.2)
    print(f"not all ended within {GIVE_UP_S} s", file=sys.stderr)


JOBS = """
select j.id, j.state, d.text, r.value, j.prompt,
  (select extract(epoch from max(c.finished_at) - min(c.started_at))::float from calls c
   where c.job_id = j.id) as span_s
from jobs j join documents d on d.id = j.document_id
left join results r on r.job_id = j.id order by j.id
"""
CALLS = """
select id::text, job_id, state, model, remedy, input_tokens, output_tokens, cost_usd, possibly_billed from calls
"""


def _run(mode: str, running: MeasuredStack, wanted: Sequence[Paper], bills: Sequence[str], seconds: float) -> Run:
    with running.engine.connect() as connection:
        jobs = connection.execute(text(JOBS)).all()
        calls = connection.execute(text(CALLS)).all()
    right = {paper.text: paper.right for paper in wanted}
    job_of = {call.id: call.job_id for call in calls}
    faults = [(job_of.get(line["id"]), line["fault"]) for url in bills for line in _json_lines(f"{url}/faults")]
    faulty = {job for job, _ in faults}
    if mode == "auth":
        faulty = {call.job_id for call in calls if call.state == "failed"}
    met = [job for job in jobs if job.id in faulty]
    outcomes = Counter(_outcome(job, right) for job in met)
    slipped = {job.id for job in met if _outcome(job, right) == "wrong"}
    unharmed = Counter(_outcome(job, right) for job in jobs if job.id not in faulty and job.state != "held")
    made = [call for call in calls if call.state != "cached"]
    return Run(
        mode=mode,
        documents=len(jobs),
        states=dict(Counter(job.state for job in jobs)),
        met=len(met),
        recovered=outcomes["right"],
        stopped=outcomes["stopped"],
        slipped=outcomes["wrong"],
        slipped_after=dict(Counter(fault for job, fault in faults if job in slipped)),
        unharmed_wrong=unharmed.total() - unharmed["right"],
        remedies=dict(Counter(call.remedy for call in made if call.remedy)),
        calls=len(made),
        extra_calls=len(made) - len({call.job_id for call in made}),
        extra_cost=_extra_cost(made),
        extra_latency_s=_extra_latency_s(jobs, faulty),
        possibly_billed=sum(call.possibly_billed for call in made),
        bill_equals_ledger=_bill_is_ledger(made, [line for url in bills for line in _json_lines(f"{url}/bill")]),
        seconds=seconds,
    )


def _outcome(job: Row[Any], right: Mapping[str, Mapping[str, Any]]) -> str:
    if job.state != "done":
        return "stopped"
    return "right" if job.value == right[job.text] else "wrong"


def _extra_cost(calls: Sequence[Row[Any]]) -> float:
    """All that was answered, in parts of the documents' first answers of the small model, less one."""
    first: dict[int, Decimal] = {}
    total = Decimal(0)
    for call in calls:
        if call.cost_usd is not None:
            total += call.cost_usd
            if call.model == "sim-small":
                first.setdefault(call.job_id, call.cost_usd)
    if not first:
        return 0.0
    documents = len({call.job_id for call in calls})
    usual = sum(first.values(), Decimal(0)) / len(first) * documents
    return float(total / usual) - 1


def _extra_latency_s(jobs: Sequence[Row[Any]], faulty: set[int | None]) -> float | None:
    """Medians, from the first call's beginning to the last one's end."""
    spans: dict[bool, list[float]] = {True: [], False: []}
    for job in jobs:
        if job.span_s is not None and job.state in ("done", "needs_review"):
            spans[job.id in faulty].append(job.span_s)
    if not spans[True] or not spans[False]:
        return None
    return statistics.median(spans[True]) - statistics.median(spans[False])


def _bill_is_ledger(calls: Sequence[Row[Any]], bill: Sequence[Mapping[str, Any]]) -> bool:
    """Each billed call is in the ledger with the same figures, or possibly billed; nothing else was paid."""
    ledger = {call.id: call for call in calls}
    for line in bill:
        call = ledger.get(line["id"])
        if call is None:
            return False
        if call.state in ("answered", "surplus"):
            if (call.input_tokens, call.output_tokens) != (line["input_tokens"], line["output_tokens"]):
                return False
            if call.cost_usd != Decimal(line["cost_usd"]):
                return False
        elif not call.possibly_billed:
            return False
    paid = {call.id for call in calls if call.state in ("answered", "surplus")}
    return paid <= {line["id"] for line in bill}


def _json_lines(url: str) -> list[dict[str, Any]]:
    answered = httpx.get(url, timeout=30, headers={"authorization": f"Bearer {KEY}"})
    return [json.loads(line) for line in answered.text.splitlines()]


# --- the table ---


def print_run(run: Run, *, header: bool) -> None:
    if header:
        print(f"recovery: {_now()}, {os.cpu_count()} cores")
        print(
            f"{'fault':<13}{'docs':>5}{'met':>5}{'recovered':>15}{'stopped':>8}{'slipped':>8}{'calls+':>7}{'cost+':>7}"
            f"{'latency+':>9}  ends, remedies"
        )
    share = f"{run.recovered} = {run.recovered / run.met:.1%}" if run.met else "-"
    latency = "-" if run.extra_latency_s is None else f"{run.extra_latency_s:.1f} s"
    print(
        f"{run.mode:<13}{run.documents:>5}{run.met:>5}{share:>15}{run.stopped:>8}{run.slipped:>8}{run.extra_calls:>7}"
        f"{run.extra_cost:>7.0%}{latency:>9}  {_listed(run.states)}; {_listed(run.remedies) or 'none'}"
        f"{f'; slipped after {_listed(run.slipped_after)}' if run.slipped else ''}"
        f"{f'; {run.possibly_billed} possibly billed' if run.possibly_billed else ''}"
        f"{'' if run.bill_equals_ledger else '  BILL DIFFERS'}"
        f"{f'  {run.unharmed_wrong} WITHOUT A FAULT NOT RIGHT' if run.unharmed_wrong else ''}"
        f"  ({run.seconds:.0f} s)",
        flush=True,
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


if __name__ == "__main__":
    main()
