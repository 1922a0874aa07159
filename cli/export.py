"""``docmill export``: answers as a file."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, Data, open_stack, print_json
from cli.jobs import Cause, Name, Run, Since, State, wanted_jobs
from docmill.errors import Misconfigured
from docmill.visible import visible

if TYPE_CHECKING:
    from db.database import Database
    from db.reports import JobReport, Wanted
    from prompts import Registry

__all__ = ["export"]

FACTS = ("id", "run_id", "name", "path", "prompt", "version", "feature", "user", "state")
FIGURES = ("model", "cost_usd", "seconds", "created_at", "finished_at")


def export(
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="results.xlsx, .csv or .jsonl; - is JSON lines."),
    ],
    run: Run = None,
    state: State = [],
    feature: str | None = None,
    prompt: str | None = None,
    user: str | None = None,
    name: Name = None,
    cause: Cause = None,
    since: Since = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Write jobs with their answers to a file: a row a job, with its file's name and path; each list is a sheet.

    With .csv each list is a file beside it. Texts that a spreadsheet would take for a formula stay texts.
    """
    wanted = wanted_jobs(
        run=run, state=state, feature=feature, prompt=prompt, user=user, name=name, cause=cause, since=since
    )
    path = Path(output)
    _check(path)
    with open_stack(data) as (settings, database):
        from workers.registry import registry_of

        reports = _reports(database, registry_of(settings), wanted)
        if path.suffix == ".jsonl" or output == "-":
            number, files, cut = _write_lines(reports, path), [path], 0
        else:
            number, files, cut = _write_sheets(reports, path)
    if output == "-":
        return
    if as_json:
        print_json({"jobs": number, "files": [str(file) for file in files], "cut": cut})
        return
    typer.echo(visible(f"{number:,} jobs are in {', '.join(map(str, files))}"))
    if cut:
        typer.echo(
            f"{cut:,} texts are longer than a cell may be, and cut there: .jsonl and .csv have them", err=True
        )


def _check(path: Path) -> None:
    """Raises Misconfigured before anything is read."""
    from docmill.sheets import FORMATS

    if str(path) == "-":
        return
    if path.suffix not in FORMATS:
        raise Misconfigured(f"-o is a file of {', '.join(FORMATS)}, and not {path.name!r}: its ending says which")
    if not path.absolute().parent.is_dir():
        raise Misconfigured(f"there is no folder {path.absolute().parent}: make it first")


def _reports(database: Database, registry: Registry, wanted: Wanted) -> Iterator[tuple[JobReport, Any]]:
    """Each job with its answer, whose fields stand in the order of their schema."""
    from db.reports import each
    from prompts.order import in_prompts_order

    with database.work() as connection:
        for report in each(connection, wanted):
            yield report, in_prompts_order(registry, report.prompt, report.version, report.value)


def _write_lines(reports: Iterator[tuple[JobReport, Any]], path: Path) -> int:
    """Each job as an object of JSON."""
    written_jobs = 0
    with _Whole(path) as written, written.open("w", encoding="utf-8") as file:
        for report, value in reports:
            plain = report.as_json()
            told = {name: plain[name] for name in (*FACTS, *FIGURES, "failure", "metadata")}
            file.write(json.dumps({**told, "value": value}, ensure_ascii=False) + "\n")
            written_jobs += 1
    return written_jobs


def _write_sheets(reports: Iterator[tuple[JobReport, Any]], path: Path) -> tuple[int, list[Path], int]:
    from docmill.sheets import Sheets

    with Sheets() as sheets:
        for report, value in reports:
            sheets.add(_facts(report), value)
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".export") as folder:
            made = sheets.write(Path(folder) / path.name)
            files = [Path(shutil.move(each, path.absolute().parent / each.name)) for each in made]
        return sheets.jobs, files, sheets.cut


def _facts(report: JobReport) -> dict[str, Any]:
    plain = report.as_json()
    failure = report.failure or {}
    return {
        **{name: plain[name] for name in FACTS},
        "failure": failure.get("kind"),
        "message": failure.get("message"),
        **{name: plain[name] for name in FIGURES},
        "cost_usd": None if report.cost_usd is None else float(report.cost_usd),
        **{f"metadata.{name}": said for name, said in report.metadata.items()},
    }


class _Whole:
    """A file that is there once it is whole; - is standard output."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = Path("/dev/stdout") if str(path) == "-" else path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> Path:
        sys.stdout.flush()
        return self._written

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if str(self._path) == "-":
            return
        if kind is None:
            self._written.replace(self._path)
        else:
            self._written.unlink(missing_ok=True)
