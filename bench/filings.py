"""What an answer of more than a thousand values takes, from the provider's reply to the caller.

Usage: ``python -m bench.filings [FOLDER] [--json]``; the folder holds ``NAME.pdf`` beside ``NAME.gold.json``, and
is ../shared/data/6_pages/extract_bench/dev/10kq by default. A simulator that knows gold answers, on a stack of its
own; every value is demanded to stand in the document, so that each is looked for. Told for each document: its
values, how many were located, the seconds from the end of the call to the end of the job (parse, store and the way
between them), those of a ``GET /v1/jobs/{id}`` and how many bytes that sends; and for each process how much memory
it took at most.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import text

from bench.simulator import simulated
from bench.stack import MeasuredStack, stack
from db.submit import Submission, submit_many
from docmill.parsing.bounds import leaves
from docmill.reading import Limits, read
from prompts.registry import BUILT_IN
from workers.stack.places import scratch

GOLD = Path("../shared/data/6_pages/extract_bench/dev/10kq")
PROMPT = "filing"
SETTINGS = """
description = "a filing"
ladder = ["small"]

[limits]
max_output_tokens = 120000

[retrieval]
by = "fields"
"""
HEAD = """
from typing import Annotated, Any

from pydantic import BaseModel

from docmill.parsing import Grounded

Leaf = Annotated[Any, Grounded()]
"""
ANCHOR = 8
"""Words of a document, and of no other, by which its answer is known."""
SPENT = """
select j.name, j.id, j.state, j.failure, r.evidence,
  extract(epoch from j.finished_at - c.finished_at)::float as behind_call_s
from jobs j join calls c on c.job_id = j.id and c.state = 'answered' left join results r on r.job_id = j.id
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="?", type=Path, default=GOLD)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    gold = {
        file: json.loads(file.with_suffix(".gold.json").read_text()) for file in sorted(asked.folder.glob("*.pdf"))
    }
    with scratch("filings") as data:
        write_prompt(data / "prompts" / PROMPT / "v1", list(gold.values()))
        anchors = anchors_of(list(gold))
        known = [json.dumps(line) for file, answer in gold.items() for line in lines(anchors[file], answer)]
        (data / "answers.jsonl").write_text("\n".join(known), encoding="utf-8")
        answering = ("--answers", str(data / "answers.jsonl"), "--context-window", "1000000")
        with (
            simulated(data, *answering) as url,
            stack(DOCMILL_LLM_URL=url, DOCMILL_PROMPTS=str(data / "prompts")) as running,
        ):
            told = measured(running, list(gold))
    print(json.dumps(told) if asked.json else "\n".join(f"{name:<28}{found}" for name, found in told.items()))


def anchors_of(files: Sequence[Path]) -> dict[Path, str]:
    """The first words of each document that stand in no other."""
    texts = {file: " ".join(read(file, limits=Limits(ocr=False)).text.split()) for file in files}
    anchors = {}
    for file, own in texts.items():
        others = [each for other, each in texts.items() if other != file]
        words = own.split()
        runs = (" ".join(words[at : at + ANCHOR]) for at in range(len(words)))
        anchors[file] = next(run for run in runs if not any(run in other for other in others))
    return anchors


def lines(anchor: str, answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the simulator is told of a document."""
    for name, value in answer.items():
        yield {"path": f"/{name}", "anchor": anchor, "value": value}


def measured(running: MeasuredStack, files: Sequence[Path]) -> dict[str, Any]:
    for file in files:  # one after the other: what one takes by itself
        with running.engine.begin() as connection:
            submit_many(connection, [Submission(prompt=PROMPT, body=file.read_bytes(), name=file.stem)])
        running.await_ends()
    with running.engine.connect() as connection:
        rows = connection.execute(text(SPENT)).all()
    told = {row.name: {**spent(row), **fetched(f"{running.addresses['api']}/v1/jobs/{row.id}")} for row in rows}
    return {**told, "memory_mb": {name: most_mb(pid) for name, pid in running.pids.items()}}


def spent(row: Any) -> dict[str, Any]:
    evidence = row.evidence or {}
    located = sum(place["found"] for place in evidence.values())
    return {
        "state": row.state,
        "failure": str(row.failure)[:200] if row.failure else None,
        "values": len(evidence),
        "located": located,
        "behind_call_s": round(row.behind_call_s, 2),
    }


def fetched(url: str) -> dict[str, Any]:
    began = time.monotonic()
    answer = httpx.get(url, timeout=60).raise_for_status()
    told = [value for _, value in leaves(answer.json()["value"]) if value is not None]
    return {"get_s": round(time.monotonic() - began, 2), "get_bytes": len(answer.content), "get_values": len(told)}


def most_mb(pid: int) -> float:
    """Megabytes that a process, or the largest of its children, had in memory at most."""
    parent = psutil.Process(pid)
    pids = [pid, *(child.pid for child in parent.children(recursive=True))]
    found = [re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{each}/status").read_text()) for each in pids]
    return round(max(int(each[1]) for each in found if each) / 1024, 1)


def write_prompt(version: Path, answers: Sequence[Mapping[str, Any]]) -> None:
    """A prompt whose output has the shape of the answers, each value to be found."""
    version.mkdir(parents=True)
    for name in ("user.j2", "correction.j2", "system.j2"):
        (version / name).write_bytes((BUILT_IN / "statement" / "v1" / name).read_bytes())
    (version / "prompt.toml").write_text(SETTINGS, encoding="utf-8")
    classes: list[str] = []
    shape("Output", answers, classes)
    (version / "output.py").write_text("\n\n".join([HEAD, *classes]), encoding="utf-8")


def shape(name: str, values: Sequence[Any], classes: list[str]) -> str:
    """The annotation of all these values; a class that it takes is appended."""
    if any(isinstance(value, dict) for value in values):
        members: dict[str, list[Any]] = {}
        for value in values:
            for key, member in (value or {}).items():
                members.setdefault(key, []).append(member)
        fields = [
            f"    {key}: {shape(f'{name}_{key}', found, classes)} | None = None" for key, found in members.items()
        ]
        classes.append("\n".join([f"class {name}(BaseModel):", *fields]))
        return name
    if any(isinstance(value, list) for value in values):
        return f"list[{shape(f'{name}_item', [item for value in values for item in value or ()], classes)}]"
    return "Leaf"


if __name__ == "__main__":
    main()
