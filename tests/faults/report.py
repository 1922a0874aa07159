"""The table of docs/faults.md: rows are kept in docs/faults.json, so that faults can be run in pieces.

python -m tests.faults.report        (renders the page from the rows that are there)
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Row", "keep", "quantile", "render"]

FAULTS = (
    *map(str, range(1, 23)),
    "1b",
    "2b",
    "2c",
    "2d",
    "2e",
    "2s",
    "3b",
    "10b",
    "10c",
    "11s",
    "18b",
    "18s",
    "R1",
    "R2",
    "R5",
    "R9",
    "R18",
    "C1",
    "C2",
    "C3",
    "C4",
    "C5",
)
"""All rows that there should be."""
DOCS = Path(__file__).parents[2] / "docs"
ROWS = DOCS / "faults.json"
PAGE = DOCS / "faults.md"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one fault came to. Times are seconds, None where there is nothing to measure."""

    fault: str
    what: str
    jobs: int
    results: int
    duplicates: int
    started: int
    """Calls to the provider; answered, surplus and possibly billed ones are among them."""
    answered: int
    surplus: int
    possibly_billed: int
    of_these_billed: int
    """By the provider's own bill."""
    redriven: int
    """Jobs that got stuck, and were driven again."""
    late_p50_s: float | None
    late_p95_s: float | None
    late_max_s: float | None
    consuming_after_s: float | None
    took_s: float
    before_per_s: float | None = None
    """Answers a second before the fault, under a steady load, where that is measured."""
    after_per_s: float | None = None


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Of numbers in order; None of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def keep(row: Row) -> None:
    """Puts the row in place of an earlier one of the same fault, and renders the page.

    `make faults` alone does so: a run of the tests leaves the checkout as it is.
    """
    if not os.environ.get("KEEP_ROWS"):
        return
    rows = _rows()
    rows[row.fault] = {
        **asdict(row),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
    }
    ordered = dict(sorted(rows.items(), key=lambda item: _place(item[0])))
    ROWS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    render()


def render() -> None:
    rows = _rows()
    head = HEAD.format(
        machine=max(rows.values(), key=lambda row: row["at"])["machine"],
        python=platform.python_version(),
        summary=_summary(rows),
    )
    measured = [row for row in rows.values() if row.get("before_per_s")]
    lines = [head, *map(_line, rows.values()), RECOVERY, *map(_rates, measured)]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _summary(rows: Mapping[str, Mapping[str, Any]]) -> str:
    consuming = [row["consuming_after_s"] for row in rows.values() if row["consuming_after_s"] is not None]
    late = [row["late_p95_s"] for row in rows.values() if row["late_p95_s"] is not None]
    missing = [fault for fault in FAULTS if fault not in rows]
    return (
        f"Over all rows: {sum(row['jobs'] for row in rows.values())} jobs; after a repair, work went on within"
        f" {max(consuming):.1f} s; the highest p95 of *late* is {max(late):.1f} s. "
        + (f"Not run yet: {', '.join(missing)}." if missing else "No row is missing.")
    )


def _rows() -> dict[str, dict[str, Any]]:
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else {}


def _place(fault: str) -> tuple[int, str]:
    number = re.match(r"\d+", fault)
    return (int(number[0]) if number else 99, fault)


def _line(row: dict[str, Any]) -> str:
    late = " / ".join(_seconds(row[name]) for name in ("late_p50_s", "late_p95_s", "late_max_s"))
    billed = f"{row['possibly_billed']} ({row['of_these_billed']})" if row["possibly_billed"] else "0"
    cells = [
        row["fault"], row["what"], row["jobs"], row["results"], row["duplicates"],
        f"{row['started']} / {row['answered']} / {row['surplus']}", billed, row["redriven"], late,
        _seconds(row["consuming_after_s"]), f"{row['took_s']:.0f}", row["at"].replace("+00:00", ""),
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _rates(row: dict[str, Any]) -> str:
    before, after = row["before_per_s"], row["after_per_s"]
    return f"| {row['fault']} | {row['what']} | {before:.2f} | {after:.2f} | {100 * after / before:.0f} % |"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


HEAD = """# What was broken, and what came of it

`make faults` breaks a running fleet in each of these ways and writes this page. Every row is a run of real
processes: `docmill up` with two `io` workers and one `cpu` worker, PostgreSQL and Valkey behind a TCP proxy, and the
provider simulator. Of a row's documents every other one is short, and one `io` worker takes it all the way; the rest are
read, and their answers checked, by `cpu` workers (all of them in 1 and 22, none in 1b, 2e, 17, 18b, 21 and C…, unless they
are driven again). `make faults ONLY=broker` runs those again whose test has that word in its name. Rows R… have
RabbitMQ (3.10, quorum queues) for a broker, 2d, 10b and 10c PgBouncer (1.18, transaction mode) before Postgres, 2s, 11s and 18s scans for documents, 2c and 3b workers started by hand and the usual call deadline of 60 s (5 s else). Machine: {machine}; Python {python}; other work ran on it at the same time.

In every row these held, or the run would have failed: each accepted job ended; each job that is done has one
result, and none was ever changed (a trigger in the database watches); the provider's bill and the ledger agree line
by line, and a billed call that is neither answered nor surplus is marked `possibly_billed`; the queues ended empty.
Only the faults that can end an open call (2, 2b, 2c, 2d, 2e, 2s, 3, 4, 12, 14, 16, 18b, 18s, 19, 20, 22, C4, C5, R2) may leave one that is possibly billed.
Calls that were refused (429, 500, 503) are started, and neither answered nor billed.

{summary}

- *results* of *jobs*; *duplicates* are results stored twice or changed.
- *calls*: started / answered / surplus (an answer to what another answer stands for already).
- *possibly billed*: calls whose outcome nobody knows; in brackets how many of them the provider did bill.
- *late*: seconds from the time at which a stuck job had to be looked at (`jobs.wake_at`) until it was driven again,
  p50 / p95 / max, over the jobs that got stuck (*redriven*; in a row that was run alone also those that its fleet's
  first look at the broker sends again).
- *consuming*: seconds from a server's repair until a (short) job submitted then was through all five stages; of 2b, 2c and 2d, from the
  workers' return until all jobs had ended.

| fault | what | jobs | results | duplicates | calls | possibly billed | redriven | late s | consuming s | took s | at (UTC) |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""

RECOVERY = """
## Throughput after, beside before

Rows C… are the chaos scenarios of a public suite for job queues on PostgreSQL
([hardbyte/postgresql-job-queue-benchmarking](https://github.com/hardbyte/postgresql-job-queue-benchmarking)): four
documents a second come in, for 10 s, then 30 s that are measured, then the fault, then 30 s that are measured. The rate
is the median of answers a second over windows of 5 s, and the suite's figure is the one after, divided by the one before.
The suite's phases are twice as long, and it leaves idle backends alone; in its run of 2026-05-09 eight queues had 0 to
101 % after a restart of Postgres and after killed backends (one of them: no figure), 86 to 100 % after connections were taken, 73 to 121 % after a
crash and 18 to 112 % after repeated ones.

| fault | what | before | after | after ÷ before |
| --- | --- | --- | --- | --- |"""


if __name__ == "__main__":
    render()
