"""Photographs of receipts, shown to the simulated model as pictures: what comes out right, and what gets past.

Usage: ``python -m bench.seeing [FOLDER] [--fault KIND=SHARE] [--ocr off] [--json]``; the folder holds
``gold.jsonl`` and the pictures that it names, and is ../shared/data/6_pages/receipt_images/dev by default. The
whole chain, on a stack of its own. A place is right where its box has its middle within one of gold's lines, and
its height is the line's to within half of it. With ``--fault misread=0.3`` a digit is changed in three of ten
answers, with ``--fault blind=0.3`` the picture is not looked at. ``--ocr off`` leaves nothing to hold an answer
against.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from bench.simulator import simulated
from bench.stack import MeasuredStack, stack
from db.submit import Submission, submit_many
from docmill.parsing import holds
from docmill.reading.layout.geometry import Box
from prompts.registry import BUILT_IN
from workers.stack.places import scratch

GOLD = Path("../shared/data/6_pages/receipt_images/dev")
PROMPT = "seen_receipt"
SETTINGS = 'description = "a receipt, seen"\nladder = ["small", "large"]\n[limits]\nmax_output_tokens = 512\n'
FIELDS = {"date": "date_iso", "total": "total_number"}

JOBS = """
select j.name, j.state, concat_ws(': ', j.failure ->> 'kind', j.failure ->> 'message') as failure, d.text,
  r.value, r.evidence,
  (select array_agg(c.id::text) from calls c
    where c.job_id = j.id and c.state in ('answered', 'rejected')) as calls
from jobs j join documents d on d.id = j.document_id left join results r on r.job_id = j.id
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=GOLD)
    options.add_argument("--fault", action="append", default=[])
    options.add_argument("--ocr", default="on")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    gold = [json.loads(line) for line in (asked.folder / "gold.jsonl").read_text().splitlines()]
    with scratch("seeing") as data, simulated(data, *faults_of(asked.fault)) as url:
        env = {"DOCMILL_LLM_URL": url, "DOCMILL_OCR": asked.ocr, "DOCMILL_PROMPTS": str(prompt_in(data))}
        env |= {"DOCMILL_CALL_DEADLINE_S": "600"}  # the simulator reads one picture after another, by OCR
        with stack(**env) as running:
            began = time.monotonic()
            submit_all(running, asked.folder, [row["file"] for row in gold])
            running.await_ends()
            took_s = time.monotonic() - began
            found = figures(running, gold, url) | {"took_s": round(took_s, 1)}
    print(json.dumps(found) if asked.json else "\n".join(f"{name:<28}{value}" for name, value in found.items()))


def faults_of(asked: Sequence[str]) -> list[str]:
    return [option for fault in asked for option in ("--fault", fault)]


def prompt_in(data: Path) -> Path:
    """The receipt's prompt, with eyes alone."""
    version = data / "prompts" / PROMPT / "v1"
    shutil.copytree(BUILT_IN / "receipt" / "v2", version, ignore=shutil.ignore_patterns("__pycache__"))
    (version / "prompt.toml").write_text(f'{SETTINGS}[input]\nsee = "pages"\n')
    return data / "prompts"


def submit_all(running: MeasuredStack, folder: Path, names: Sequence[str]) -> None:
    bodies = ((name, (folder / name).read_bytes()) for name in names)
    with running.engine.begin() as connection:
        submit_many(connection, (Submission(prompt=PROMPT, body=body, name=name) for name, body in bodies))


def figures(running: MeasuredStack, gold: Sequence[Mapping[str, Any]], url: str) -> dict[str, Any]:
    with running.engine.connect() as connection:
        rows = {row.name: row._asdict() for row in connection.execute(text(JOBS))}
        ledger = {row.id: row.cost_usd for row in connection.execute(text("select id::text, cost_usd from calls"))}
    bill = {line["id"]: Decimal(line["cost_usd"]) for line in lines(f"{url}/bill")}
    states = [row["state"] for row in rows.values()]
    answers = {row["file"]: answer_of(rows[row["file"]]) for row in gold}
    right = {
        name: sum(is_right(answers[row["file"]].get(name), row[wanted]) for row in gold)
        for name, wanted in FIELDS.items()
    }
    return {
        "receipts": len(gold),
        **{state: states.count(state) for state in sorted(set(states))},
        **{f"{name}_right": count for name, count in right.items()},
        **{
            f"{name}_share": round(right[name] / sum(row[wanted] is not None for row in gold), 3)
            for name, wanted in FIELDS.items()
        },
        **of_places(rows, answers, gold),
        "done_wrong": wrong_and_done(rows, answers, gold),
        **of_faults(rows, url),
        "not_done": {name: row["failure"] for name, row in rows.items() if row["state"] != "done"},
        "billed_usd": str(sum(bill.values())),
        "ledger_usd": str(sum(cost for cost in ledger.values() if cost)),
        "bill_is_ledger": all(bill.get(call) == cost for call, cost in ledger.items() if cost),
        "billed_and_not_in_the_ledger": len(bill.keys() - {call for call, cost in ledger.items() if cost}),
    }


def answer_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a job found, also where a person is to look at it."""
    return row["value"] or {}


def wrong_and_done(
    rows: Mapping[str, Any], answers: Mapping[str, Any], gold: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Values that are stored as done and are not gold's, with whether OCR's text has gold's."""
    return [
        f"{row['file']} {name}: {answers[row['file']].get(name)} for {row[wanted]}"
        f" (in OCR: {holds(rows[row['file']]['text'] or '', row[wanted])})"
        for row in gold
        if rows[row["file"]]["state"] == "done"
        for name, wanted in FIELDS.items()
        if row[wanted] is not None and not is_right(answers[row["file"]].get(name), row[wanted])
    ]


def is_right(found: object, gold: object) -> bool:
    """Whether a value is gold's; what gold does not know is not asked."""
    if gold is None or found is None:
        return False
    if isinstance(gold, int | float):
        return isinstance(found, int | float) and abs(found - gold) < 0.005
    return str(found) == str(gold)


def of_places(
    rows: Mapping[str, Any], answers: Mapping[str, Any], gold: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Of the values that are right, and whose places gold knows, those whose evidence points there."""
    judged = {
        f"{row['file']} {name}": stands_there(rows[row["file"]]["evidence"], name, row["places"])
        for row in gold
        for name, wanted in FIELDS.items()
        if name in row["places"] and is_right(answers[row["file"]].get(name), row[wanted])
    }
    missed = [name for name, is_there in judged.items() if not is_there]
    share = round(1 - len(missed) / len(judged), 3) if judged else None
    return {"places": len(judged), "places_share": share, "places_missed": missed}


def stands_there(
    evidence: Mapping[str, Any] | None, name: str, places: Mapping[str, Sequence[Sequence[Box]]]
) -> bool:
    """Whether the first box of a value's evidence is one of the lines in which gold has the value."""
    boxes = (evidence or {}).get(name, {}).get("boxes") or []
    return bool(boxes) and any(is_on(boxes[0], line) for run in places[name] for line in run)


def is_on(box: Box, line: Box) -> bool:
    """Whether a box lies on a line: its middle within it, and as high to within half."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    high, wanted = box[3] - box[1], line[3] - line[1]
    return line[0] <= x <= line[2] and line[1] <= y <= line[3] and abs(high - wanted) <= wanted / 2


def of_faults(rows: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Calls that met a fault, and the jobs among them whose last call it was and that are done all the same."""
    faulty = {line["id"]: line["fault"] for line in lines(f"{url}/faults")}
    met = [name for name, row in rows.items() if set(row["calls"] or ()) & faulty.keys()]
    past = [name for name in met if rows[name]["state"] == "done" and set(rows[name]["calls"]) <= faulty.keys()]
    return {"faulty_calls": len(faulty), "faulty_jobs": len(met), "faulty_and_done": past}


def lines(url: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in httpx.get(url, timeout=30).text.splitlines()]


if __name__ == "__main__":
    main()
