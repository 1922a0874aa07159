"""``docmill demo``: the example documents, through real workers, on servers that end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.console import console, print_table
from cli.costs import print_costs
from cli.sources import Source, files_in
from cli.submitting import Submitted, Wanted, submit_files
from cli.waiting import print_reports, wait_for
from docmill.errors import ServiceAway

if TYPE_CHECKING:
    from db.reports import JobReport

__all__ = ["demo", "print_places"]

EXAMPLES = Path(__file__).parents[1] / "examples" / "documents"
FEATURES = {"invoice": "bookkeeping", "receipt": "bookkeeping", "nda": "contracts"}
"""Prompt to feature; the others are the inbox's."""

REAL = """The answers above come from a simulator: rules over the text, and no language model.
For a real one, name a server that speaks the OpenAI chat shape:

    DOCMILL_LLM_URL=https://…/v1 DOCMILL_LLM_API_KEY=… make demo

and, where its models are not called `small` and `large`, name them in docmill.toml (README, "A real model")."""


def demo(
    documents: Path = EXAMPLES,
) -> None:
    """Run the example documents, a folder for each prompt, and show what became of each and what it cost."""
    from db.costs import costs
    from db.database import open_database

    with ExitStack() as stack:
        addresses = stack.enter_context(_stack())
        database = stack.enter_context(open_database(addresses["database_url"], pool_size=2))
        jobs: dict[int, Source] = {}
        for folder in sorted(path for path in documents.iterdir() if path.is_dir()):
            wanted = _wanted(folder.name)
            submitted = Submitted()
            submit_files(database, list(files_in([folder])), wanted, submitted=submitted)
            jobs |= submitted.jobs
        reports = wait_for(database, jobs, quiet=False)
        named = sorted(((jobs[report.id], report) for report in reports), key=lambda pair: pair[1].id)
        print_reports("Documents", named)
        print_places(named)
        with database.work() as connection:
            print_costs("Cost by feature", ["feature"], costs(connection, ["feature"], timezone="UTC"))
    console.print("torn.pdf, empty.txt and picture.png are broken on purpose.")
    if addresses["simulator"]:
        console.print(REAL, highlight=False)


def _wanted(prompt: str) -> Wanted:
    from prompts import Registry

    version = Registry().get(prompt).version
    return Wanted(prompt=prompt, version=version, feature=FEATURES.get(prompt, "inbox"), params={})


def print_places(named: Sequence[tuple[Source, JobReport]]) -> None:
    """Where values stand that OCR read: page and place of each; ``docmill result ID --overlay`` draws them."""
    rows = [
        (source.name, path, place["quote"], place["page"], _place(place["boxes"][0]))
        for source, report in named
        for path, place in (report.evidence or {}).items()
        if place.get("by") == "ocr" and place.get("boxes")
    ]
    if rows:
        heading = ("document", "field", "as it stands there", "page", "place")
        print_table("Where values stand on scans", heading, rows)


def _place(box: Sequence[float]) -> str:
    across, down = (100 * (box[at] + box[at + 2]) / 2 for at in (0, 1))
    return f"{across:.0f} % from the left, {down:.0f} % from the top"


@contextmanager
def _stack() -> Iterator[dict[str, Any]]:
    """``docmill up`` on a folder that goes with it; what it tells of its parts is told here."""
    from workers.stack.places import scratch

    with scratch("demo") as data:
        log, ready = data / "up.log", data / "up.json"
        with log.open("wb") as out:
            up = subprocess.Popen(
                [sys.executable, "-m", "docmill", "up", "--data", str(data / "stack"), "--ready-file", str(ready)],
                env=_environment(),
                stdout=out,
                stderr=out,
            )
        try:
            _await(ready, up, log)
            yield json.loads(ready.read_text(encoding="utf-8"))
        finally:
            with console.status("stopping"):
                up.send_signal(signal.SIGTERM)
                up.wait()


def _environment() -> dict[str, str]:
    """This one's, with OCR where it is installed: two of the documents are scans, and one is a photograph."""
    from docmill.reading.engines import installed

    env = {name: value for name, value in os.environ.items() if name != "DOCMILL_DATA"}
    return {"DOCMILL_OCR": "on"} | env if installed() else env


def _await(ready: Path, up: subprocess.Popen[bytes], log: Path) -> None:
    """Shows what the stack tells until it is up. Raises ServiceAway with its last words where it ends instead."""
    with console.status("starting servers and workers"), log.open(encoding="utf-8", errors="replace") as told:
        while not ready.exists():
            for line in told:
                console.print(line.rstrip(), style="dim", highlight=False, markup=False)
            if up.poll() is not None:
                raise ServiceAway(f"the stack did not come up: {log.read_text(errors='replace').strip()[-500:]}")
            time.sleep(0.05)
