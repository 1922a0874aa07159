"""How many rows of long lists are found, and what a row costs: in parts, and in one call a document.

    .venv/bin/python -m bench.rows [--seed 0] [--documents 45] [--lazy 60] [--truncated 0.2] [--kills 0]
                               [--cap USD] [--single] [--statements N]

Made-up documents of 27 to 2,205 rows as PDF, XLSX, CSV and HTML, with repeated headers, rows over page breaks,
equal rows, sub-totals, two tables interleaved by page, and columns that move. A simulator that knows their truth
answers, leaves out what is beyond ``--lazy`` items, and cuts a share of its answers off. ``--kills N`` kills io
and cpu workers N times in between; ``--cap`` sets a budget that cannot hold all jobs at once, and looks at it all
the time. ``--single`` asks in one call a document instead; ``--statements N`` has the built-in prompt read
statements of which one booking is left out of every answer.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from bench.harness import tell
from bench.row_documents import Made, make_all, statement
from bench.simulator import simulated
from bench.stack import MeasuredStack, stack
from db.submit import Submission, submit_many
from prompts.registry import BUILT_IN
from workers.stack.places import scratch

OUTPUT = """
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel

from docmill.parsing import Grounded


class Row(BaseModel):
    number: Annotated[str, Grounded()]
    booked_on: Annotated[date, Grounded()]
    text: Annotated[str, Grounded()]
    amount: Annotated[Decimal, Grounded()]


class Output(BaseModel):
    account: Annotated[str, Grounded()] | None = None
    currency: str | None = None
    bookings: list[Row] = []
    fees: list[Row] = []
"""
SETTINGS = """
description = "Rows of tables."
ladder = ["small", "large"]

[limits]
max_output_tokens = {output}

[retrieval]
by = "{by}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=45)
    parser.add_argument("--lazy", type=int, default=60)
    parser.add_argument("--truncated", type=float, default=0.2)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--cap", type=float, help="USD of a budget over everything, that jobs wait for")
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--statements", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = statements(options) if options.statements else lists(options)
    tell("rows", figures, next(iter(figures)))


def lists(options: argparse.Namespace) -> dict[str, float]:
    """The rows of made-up lists, found and not found."""
    made = list(make_all(options.seed, options.documents))
    faults = ("--lazy", str(options.lazy), "--fault", f"truncated={options.truncated}")
    with scratch("rows") as folder:
        _write_prompt(folder / "prompts", by="fields" if options.single else "parts", single=options.single)
        write_answers(folder / "answers.jsonl", [line for each in made for line in _known(each)])
        with oracle(folder, *faults) as url, stack_with(url, folder) as running:
            began = time.monotonic()
            budget = _Budget(running.engine, options.cap)
            submit_all(running, made, "rows_of_tables")
            _await(running, options.kills)
            seconds = time.monotonic() - began
            scores = [_score(each, value) for each, value in zip(made, answers_of(running.engine), strict=True)]
            return (
                _figures(scores, seconds)
                | _spent(running.engine, sum(len(each.rows) for each in made), seconds)
                | budget.figures()
            )


class _Budget:
    """A budget over everything, looked at all the time: whether what is spent and reserved is ever beyond it."""

    def __init__(self, engine: Engine, cap: float | None) -> None:
        self._engine, self._cap, self._over, self._looks = engine, cap, threading.Event(), 0
        self._peak = 0.0
        if cap is None:
            return
        with engine.begin() as connection:
            made = (
                "insert into budgets (scope, span, policy, cap_usd, window_start) values ('all', 'total', 'hold',"
            )
            connection.execute(text(f"{made} :cap, '-infinity')"), {"cap": cap})
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            with self._engine.connect() as connection:
                held = connection.execute(text("select spent_usd + reserved_usd from budgets")).scalar_one()
            self._peak, self._looks = max(self._peak, float(held)), self._looks + 1

    def figures(self) -> dict[str, float]:
        """The most that was spent and reserved at once, of the cap; and what the ledger says at the end."""
        if self._cap is None:
            return {}
        self._over.set()
        self._looking.join()
        with self._engine.connect() as connection:
            row = connection.execute(
                text(
                    "select spent_usd, reserved_usd, (select sum(cost_usd) from calls) as paid,"
                    " (select coalesce(sum(reserved_usd), 0) from calls where possibly_billed) as doubtful"
                    " from budgets"
                )
            ).one()
        return {
            "looks at the budget": float(self._looks),
            "most spent and reserved, of the cap": self._peak / self._cap,
            "spent, less the ledger's sum, USD": float(row.spent_usd - row.paid),
            "reserved at the end, less for doubtful calls, USD": float(row.reserved_usd - row.doubtful),
        }


def _known(made: Made) -> Iterator[dict[str, Any]]:
    for row in made.rows:
        yield {"path": f"/{row.table}/-", "anchor": row.number, "value": row.value}
    for name, value in made.scalars.items():
        yield {"path": f"/{name}", "anchor": value, "value": value}


def _score(made: Made, value: Mapping[str, Any] | None) -> Counter[str]:
    """Rows that are there, that were found, that are right, and whether each list is in order."""
    counted: Counter[str] = Counter()
    for table in ("bookings", "fees"):
        wanted = [_plain(row.value) for row in made.rows if row.table == table]
        found = [_plain(row) for row in (value or {}).get(table, ())]
        shared = Counter(wanted) & Counter(found)
        counted["wanted"] += len(wanted)
        counted["found"] += len(found)
        counted["right"] += sum(shared.values())
        counted["doubled"] += sum(max(0, times - Counter(wanted)[row]) for row, times in Counter(found).items())
        counted["in order"] += found == [row for row in wanted if row in shared] or found == wanted
        counted["lists"] += 1
    if counted["right"] < counted["wanted"] or counted["doubled"]:
        print(made.name, made.layout, dict(counted), file=sys.stderr, flush=True)
    return counted


def _plain(row: Mapping[str, Any]) -> str:
    return json.dumps({**row, "amount": float(row["amount"])}, sort_keys=True)


def _figures(scores: Sequence[Counter[str]], seconds: float) -> dict[str, float]:
    whole: Counter[str] = Counter()
    for each in scores:
        whole += each
    return {
        "recall": whole["right"] / max(1, whole["wanted"]),
        "precision": whole["right"] / max(1, whole["found"]),
        "rows": float(whole["wanted"]),
        "rows doubled or made up": float(whole["doubled"]),
        "lists not in order": float(whole["lists"] - whole["in order"]),
        "seconds": seconds,
    }


def _spent(engine: Engine, rows: int, seconds: float) -> dict[str, float]:
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "select count(*) filter (where state <> 'cached') as calls, coalesce(sum(cost_usd), 0) as usd,"
                " count(*) filter (where possibly_billed) as doubtful,"
                " count(*) filter (where state = 'surplus') as surplus from calls"
            )
        ).one()
        states = connection.execute(text("select state, count(*) as n from jobs group by state")).all()
    print({each.state: each.n for each in states}, file=sys.stderr, flush=True)
    return {
        "calls": float(row.calls),
        "calls possibly billed": float(row.doubtful),
        "calls too many": float(row.surplus),
        "USD": float(row.usd),
        "USD a thousand rows": 1000 * float(row.usd) / max(1, rows),
        "milliseconds a row": 1000 * seconds / max(1, rows),
    }


def statements(options: argparse.Namespace) -> dict[str, float]:
    """Statements of which a booking is left out of every answer: whether the gap is seen, and its page named."""
    draw = random.Random(options.seed)
    made, pages = [], []
    lines: list[dict[str, Any]] = []
    for at in range(options.statements):
        each, bookings = statement(options.seed * 1000 + at)
        left_out = draw.randrange(len(bookings))
        made.append(each)
        pages.append(1 + left_out // 35)
        del bookings[left_out]
        lines += [{"path": "/bookings/-", "anchor": f"{row['text']}", "value": row} for row in bookings]
        for name, value in each.scalars.items():
            anchor = f"{name.partition('_')[0].capitalize()} balance {value}"
            lines.append({"path": f"/{name}", "anchor": anchor, "value": float(value)})
    with scratch("rows") as folder:
        write_answers(folder / "answers.jsonl", lines)
        with oracle(folder, "--lazy", str(options.lazy)) as url, stack_with(url, folder) as running:
            submit_all(running, made, "statement")
            _await(running, 0)
            told = _failures(running.engine)
    seen = sum("the balance runs to" in message for message in told)
    named = sum(
        bool(re.search(rf"\(pages? [^)]*\b{page}\b", message)) for page, message in zip(pages, told, strict=True)
    )
    return {"statements": float(len(made)), "gaps seen": float(seen), "pages named": float(named)}


def _failures(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        rows = connection.execute(text("select state, failure ->> 'message' as told from jobs order by id")).all()
    return [row.told or row.state for row in rows]


def submit_all(running: MeasuredStack, made: Sequence[Made], prompt: str) -> None:
    submissions = (
        Submission(prompt=prompt, body=each.body, name=each.name, media_type=each.media_type) for each in made
    )
    with running.engine.begin() as connection:
        submit_many(connection, submissions)


def answers_of(engine: Engine) -> list[Mapping[str, Any] | None]:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select found.value from jobs left join lateral (select value from results where job_id = jobs.id"
                " order by revision desc limit 1) found on true order by jobs.id"
            )
        ).all()
    return [row[0] for row in rows]


def _await(running: MeasuredStack, kills: int) -> None:
    killer = threading.Thread(target=_kill, args=(running, kills), daemon=True)
    killer.start()
    running.await_ends()


def _kill(running: MeasuredStack, kills: int) -> None:
    """Kills a worker now and then; the stack starts another in its place."""
    draw = random.Random(kills)
    for _ in range(kills):
        time.sleep(draw.uniform(1.0, 3.0))
        name = draw.choice([name for name in running.pids if name.startswith(("io", "cpu"))])
        print(f"kills {name}", file=sys.stderr, flush=True)
        running.kill(name)


def _write_prompt(folder: Path, *, by: str, single: bool) -> None:
    version = folder / "rows_of_tables" / "v1"
    version.mkdir(parents=True)
    for name in ("user.j2", "correction.j2", "system.j2"):
        (version / name).write_bytes((BUILT_IN / "statement" / "v1" / name).read_bytes())
    (version / "output.py").write_text(OUTPUT, encoding="utf-8")
    settings = SETTINGS.format(output=120_000 if single else 4096, by=by)
    (version / "prompt.toml").write_text(settings, encoding="utf-8")


def write_answers(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def oracle(folder: Path, *options: str) -> AbstractContextManager[str]:
    answers = ("--answers", str(folder / "answers.jsonl"), "--context-window", "1000000")
    return simulated(folder, *answers, *options)


@contextmanager
def stack_with(url: str, folder: Path) -> Iterator[MeasuredStack]:
    prompts = folder / "prompts"
    env = {"DOCMILL_LLM_URL": url} | ({"DOCMILL_PROMPTS": str(prompts)} if prompts.exists() else {})
    with stack("--io-workers", "2", **env) as running:
        yield running


if __name__ == "__main__":
    main()
