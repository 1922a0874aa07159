"""What large answers cost parse, evidence and store: seconds of CPU, and memory at its peak.

    .venv/bin/python -m bench.large [--rows 5000] [--megabytes 2] [--seed 0] [--json]

A made-up list of so many rows, whose answer is so large, asked in one call and in parts. The stages run over a
real Postgres, as the workers run them; a provider within the process knows the answer. Each measurement is a
process of its own, which begins when all calls are answered: what it takes is parse with its evidence, and store.
How long the machine takes for ten million additions is told beside it: one that is shared takes longer for all.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from bench.harness import tell
from db.database import Database
from db.engine import make_engine
from db.jobs import Drive
from db.migrations import upgrade
from db.stages import CHAINS, STAGES, Stage
from db.submit import Submission, submit
from docmill.errors import Failure
from docmill.llm.loop import LoopThread
from docmill.llm.transport import Response
from docmill.parsing import accept
from docmill.parsing.evidence import evidence
from docmill.reading import Limits, Reader, Reading
from docmill.settings import Settings
from docmill.simulator.answers import Answers, Known
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.celery.stage import Handler
from tasks.chain import FUNCTIONS
from tasks.services import Caller, Services
from tasks.stages.step import Onward
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers, ServerName

HANDLERS = {stage: Handler(name=stage, function=FUNCTIONS[stage], lease_s=600.0) for stage in CHAINS["document"]}
STAGES_IN_ORDER = [each for each in CHAINS["document"] if not STAGES[each].on_demand]
SERVERS: Sequence[ServerName] = ("postgres",)
MEASURED: Sequence[Stage] = ("parse", "store")
WORDS = ("harbour", "ledger", "cedar", "ticket", "copper", "violet", "engine", "garden", "lantern", "pepper")
OUTPUT = """
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel

from docmill.parsing import Grounded


class Row(BaseModel):
    number: Annotated[str, Grounded()]
    booked_on: Annotated[date, Grounded()]
    valued_on: Annotated[date, Grounded()]
    party: Annotated[str, Grounded()]
    text: Annotated[str, Grounded()]
    reference: Annotated[str, Grounded()]
    amount: Annotated[Decimal, Grounded()]
    balance: Annotated[Decimal, Grounded()]


class Output(BaseModel):
    account: Annotated[str, Grounded()] | None = None
    bookings: list[Row] = []
"""
SETTINGS = """
description = "A long list."
ladder = ["small"]

[limits]
max_output_tokens = {output}
max_input_tokens = 10_000_000

[retrieval]
by = "{by}"
most_parts = 5000
"""
CONFIG = """
[models.small]
provider = "openai-compatible"
model = "made-up"
context_tokens = 20_000_000
price = { input = "1", output = "4" }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--megabytes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", nargs=3, metavar=("WHAT", "URL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        what, url, folder = options.run
        print(json.dumps(RUNS[what](url, Path(folder), options)))
        return
    figures: dict[str, float] = {}
    with scratch("large") as data, EmbeddedServers(data / "servers", SERVERS) as servers:
        upgrade(servers.owner_url, application_url=servers.database_url)
        for by in ("fields", "parts"):
            _write_prompt(data / by / "prompts", by)
            _in_a_process("answer", servers, data / by)
            before = _cpu_of(servers)
            found = _in_a_process("measure", servers, data / by)
            found["CPU seconds, Postgres"] = _cpu_of(servers) - before
            figures |= {f"{NAMES[by]}: {name}": value for name, value in found.items()}
    tell("large", figures, next(iter(figures)))


NAMES = {"fields": "one call", "parts": "in parts"}


def _in_a_process(what: str, servers: EmbeddedServers, folder: Path) -> dict[str, float]:
    run = ["--run", what, servers.database_url, str(folder)]
    told = subprocess.run(
        [sys.executable, "-m", "bench.large", *sys.argv[1:], *run], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def _cpu_of(servers: EmbeddedServers) -> float:
    """Seconds of CPU of the server, with processes of it that have ended."""
    (process,) = servers.processes
    parent = psutil.Process(process.pid)
    times = [each.cpu_times() for each in [parent, *parent.children(recursive=True)]]
    return float(sum(each.user + each.system + each.children_user + each.children_system for each in times))


# --- what is asked ---


def made_up(options: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    """The document and its rows, some of which share all but their numbers."""
    draw, rows, lines, balance = random.Random(options.seed), [], ["Account AB-100", "Bookings of the year"], 0
    length = max(20, int(options.megabytes * 1e6 / options.rows) - 230)
    for at in range(options.rows):
        day, amount = date(2026, 1, 1) + timedelta(days=at * 360 // options.rows), draw.randrange(100, 99_999)
        balance += amount
        said = ""
        while len(said) < length:
            said += f"{draw.choice(WORDS)} "
        row = {
            "number": f"N{at:06}",
            "booked_on": day.isoformat(),
            "valued_on": (day + timedelta(days=draw.randrange(3))).isoformat(),
            "party": f"{draw.choice(WORDS).title()} and {draw.choice(WORDS).title()} {draw.randrange(40)}",
            "text": said.strip(),
            "reference": f"REF{draw.randrange(10**9):09}",
            "amount": amount / 100,
            "balance": balance / 100,
        }
        rows.append(row)
        figures = {"amount": f"{amount / 100:.2f}", "balance": f"{balance / 100:.2f}"}
        lines.append(" | ".join(map(str, {**row, **figures}.values())))
    return "\n".join(lines), rows


def _write_prompt(folder: Path, by: str) -> None:
    version = folder / "list" / "v1"
    version.mkdir(parents=True)
    for name in ("user.j2", "correction.j2", "system.j2"):
        (version / name).write_bytes((BUILT_IN / "statement" / "v1" / name).read_bytes())
    (version / "output.py").write_text(OUTPUT, encoding="utf-8")
    settings = SETTINGS.format(output=4_000_000 if by == "fields" else 8192, by=by)
    (version / "prompt.toml").write_text(settings, encoding="utf-8")
    (folder.parent / "docmill.toml").write_text(CONFIG, encoding="utf-8")


# --- the stages ---


class PlainReader(Reader):
    """Every document is a text."""

    limits = Limits()

    def read_bytes(self, body: bytes, *_: Any, **__: Any) -> Reading:
        return Reading(text=body.decode(), media_type="text/plain", empty=False)


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Answers at once with what is known of the text that it is shown."""

    known: Answers

    async def post(
        self, _url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        del headers, deadline_s
        said = json.dumps(self.known.found_in(body["messages"][1]["content"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
        reply = {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
        return Response(status=200, headers={}, body=reply)


@contextmanager
def _services(url: str, folder: Path, known: Sequence[Known], messages: list[Drive]) -> Iterator[Services]:
    engine = make_engine(url, pool_size=40)
    with LoopThread() as loop:
        yield Services(
            settings=Settings(llm_url="http://provider", spool=folder / "spool", config=folder / "docmill.toml"),
            database=Database(engine),
            registry=Registry([folder / "prompts"]),
            publish=lambda drives: messages.extend(drives),  # noqa: PLW0108 - named as the protocol has it
            owner="bench",
            reader=PlainReader.__new__(PlainReader),
            caller=Caller(loop=loop, transport=Provider(known=Answers(known or [NOTHING]))),
        )
    engine.dispose()


NOTHING = Known(path=("account",), anchor="nothing", value=None)


def _answer(url: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Brings the job to where all its calls are answered, and says where that is."""
    document, rows = made_up(options)
    known = [Known(path=("bookings", "-"), anchor=row["number"], value=row) for row in rows]
    known.append(Known(path=("account",), anchor="AB-100", value="AB-100"))
    with _services(url, folder, known, []) as services:
        with services.database.work() as connection:
            job_id = submit(connection, Submission(prompt="list", body=document.encode(), name="list.txt"))
            connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job_id})
        for stage in STAGES_IN_ORDER[: STAGES_IN_ORDER.index("parse")]:
            step = HANDLERS[stage].run(services, job_id, _epoch(services, job_id))
            if not isinstance(step, Onward):
                sys.exit(f"{stage} came to {step}")
    return {"answer, MB": len(json.dumps({"bookings": rows})) / 1e6}


def _measure(url: str, folder: Path, _: argparse.Namespace) -> dict[str, float]:
    """Parse and store of the job that waits for them, with its calls asked again where parse wants that."""
    messages: list[Drive] = []
    with _services(url, folder, [], messages) as services:
        _warm_up(services)
        with services.database.work() as connection:
            job_id = connection.execute(text("select max(id) from jobs")).scalar_one()
        wall, cpu = time.monotonic(), time.process_time()
        found: dict[str, float] = {}
        for stage in MEASURED:
            began = time.process_time()
            step = HANDLERS[stage].run(services, job_id, _epoch(services, job_id))
            found[f"CPU seconds, {stage}"] = time.process_time() - began
            if not isinstance(step, Onward):
                sys.exit(f"{stage} came to {step}: {_job(services, job_id)}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        total = {"CPU seconds": time.process_time() - cpu, "seconds": time.monotonic() - wall}
        with services.database.work() as connection:
            stored = connection.execute(
                text(
                    "select octet_length(value::text) / 1e6 as mb, jsonb_array_length(value->'bookings') as rows,"
                    " (select count(*) from jsonb_object_keys(evidence)) as places from results where job_id = :id"
                ),
                {"id": job_id},
            ).one()
    total["CPU seconds, ten million additions"] = _ten_million_additions()
    told = {"rows stored": stored.rows, "MB stored": stored.mb, "places stored": stored.places}
    return {name: float(value) for name, value in {**total, "peak memory, MB": peak, **found, **told}.items()}


def _warm_up(services: Services) -> None:
    """Loads what a worker has loaded that has read another document: the months' names of 124 languages, too."""
    output = services.registry.get("list").output_model
    row: dict[str, Any] = {
        "number": "1",
        "booked_on": "2026-01-02",
        "valued_on": "2026-01-03",
        "party": "P",
        "text": "T",
    }
    row |= {"reference": "R", "amount": 1.5, "balance": 2.5}
    document = "AB 1 2 January 2026 03.01.2026 P T R 1.50 2.50"
    said = accept(json.dumps({"account": "AB", "bookings": [row]}), output, document=document)
    reading = Reading(text=document, media_type="text/plain", empty=False)
    evidence(said, output, reading, [(0, len(document))])


def _ten_million_additions() -> float:
    """Seconds of CPU."""
    began, total = time.process_time(), 0
    for each in range(10_000_000):
        total += each
    return time.process_time() - began


RUNS = {"answer": _answer, "measure": _measure}


def _epoch(services: Services, job_id: int) -> int:
    return int(_job(services, job_id).epoch)


def _job(services: Services, job_id: int) -> Any:
    with services.database.work() as connection:
        return connection.execute(
            text(
                "select epoch, stage, state, failure, context -> 'coverage' as coverage from jobs where id = :id"
            ),
            {"id": job_id},
        ).one()


if __name__ == "__main__":
    main()
