"""``docmill submit``: files become jobs; with ``--wait``, jobs become answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from docmill.cli.console import AsJson, Data, console, deadline_of, open_stack, print_json, print_table, usd
from docmill.errors import DocmillError, Misconfigured

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from db.reports import JobReport
    from db.submit import Submission

__all__ = [
    "Wanted",
    "batched_files",
    "body_of",
    "files_in",
    "print_end",
    "print_reports",
    "submit",
    "submit_files",
    "tell_refused",
    "tell_submitted",
    "wait_for",
]

FILES_A_COMMIT = 500
POLL_S = 0.2
"""How often ended jobs are looked for."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of each file."""

    prompt: str
    version: str
    feature: str = "default"
    user: str = ""
    lane: str = "bulk"
    deadline_at: datetime | None = None
    params: Mapping[str, str]


def submit(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    prompt: Annotated[str, typer.Option(help="`docmill prompts list` shows them.")],
    version: str | None = None,
    feature: Annotated[str, typer.Option(help="For cost reports.")] = "default",
    user: Annotated[str, typer.Option(help="For cost reports.")] = "",
    lane: Annotated[str, typer.Option(help="interactive or bulk.")] = "bulk",
    deadline: Annotated[str | None, typer.Option(help="As in 90s, 15m, 2h, or a time of ISO 8601.")] = None,
    param: Annotated[list[str], typer.Option(help="NAME=VALUE, for the prompt's template.")] = [],
    wait: Annotated[bool, typer.Option("--wait", help="Until every job has ended.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Submit documents. Exit code 1 says that a file was refused, or a job failed."""
    with open_stack(data) as (settings, engine):
        from db.submit import check_answerable
        from workers.services import registry_of

        version = registry_of(settings).get(prompt, version).version
        with engine.connect() as connection:
            check_answerable(connection, prompt, version)
        wanted = Wanted(
            prompt=prompt,
            version=version,
            feature=feature,
            user=user,
            lane=_lane(lane),
            deadline_at=deadline_of(deadline),
            params=dict(map(_param, param)),
        )
        files = list(files_in(paths))
        submitted, refused = submit_files(engine, files, wanted)
        tell_refused(refused, as_json=as_json)
        if not wait:
            tell_submitted(submitted, as_json=as_json)
            raise typer.Exit(1 if refused else 0)
        reports = wait_for(engine, submitted, quiet=as_json, on_end=print_end if as_json else None)
    if not as_json:
        print_reports("Jobs", [(submitted[report.id], report) for report in reports])
    failed = any(report.state not in ("done", "needs_review") for report in reports)
    raise typer.Exit(1 if failed or refused else 0)


def files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those below the folders, hidden ones left out. Raises Misconfigured."""
    for path in paths:
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and not _hidden(file, path))
        elif path.exists():
            yield path
        else:
            raise Misconfigured(f"there is no {path}: give files, or folders of files")


def submit_files(
    engine: Engine, files: Sequence[Path], wanted: Wanted
) -> tuple[dict[int, Path], dict[Path, DocmillError]]:
    """The jobs by id, and the files that were refused, each with its reason. What is returned is committed."""
    from db.submit import submit_many

    submitted: dict[int, Path] = {}
    refused: dict[Path, DocmillError] = {}
    for batch in batched_files(files):
        taken: list[Path] = []
        with engine.begin() as connection:
            made = submit_many(connection, _submissions(batch, wanted, taken, refused))
        submitted.update(zip(made, taken, strict=True))
    return submitted, refused


def _submissions(
    files: Sequence[Path], wanted: Wanted, taken: list[Path], refused: dict[Path, DocmillError]
) -> Iterator[Submission]:
    """One file in memory at a time; which were taken and which not is told on the way."""
    for path in files:
        try:
            submission = _submission(path, wanted)
        except Misconfigured as error:
            refused[path] = error
            continue
        taken.append(path)
        yield submission


def wait_for(engine: Engine, submitted: Mapping[int, Path], *, quiet: bool, on_end: Any = None) -> list[JobReport]:
    """Polls until every job has ended; ``on_end(path, report)`` is called as they do."""
    from db.reports import ended

    waiting = set(submitted)
    reports: list[JobReport] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as progress:
        bar = progress.add_task("documents", total=len(waiting))
        while waiting:
            with engine.connect() as connection:
                fresh = ended(connection, sorted(waiting))
            for report in fresh:
                waiting.discard(report.id)
                reports.append(report)
                if on_end is not None:
                    on_end(submitted[report.id], report)
            progress.update(bar, completed=len(reports))
            if waiting and not fresh:
                time.sleep(POLL_S)
    return reports


def print_reports(title: str, reports: Sequence[tuple[Path, JobReport]]) -> None:
    """A table with a line a job."""
    rows = [
        (
            report.id,
            path.name,
            report.state,
            _fields(report),
            report.model or "",
            report.input_tokens + report.output_tokens,
            usd(report.cost_usd),
            f"{report.seconds:.1f}" if report.seconds is not None else "",
        )
        for path, report in reports
    ]
    print_table(title, ("job", "document", "state", "fields", "model", "tokens", "USD", "s"), rows)


def _fields(report: JobReport) -> str:
    """The answer in brief, and what is wrong."""
    answer = report.value if isinstance(report.value, dict) else {}
    parts = [f"{name}: {_brief(value)}" for name, value in answer.items() if value not in (None, [], "")]
    if report.failure:
        detail = f" ({report.failure['detail']})" if report.failure.get("detail") else ""
        parts.append(f"{report.failure['kind']}{detail}: {report.failure['message'][:160]}")
    return ", ".join(parts)


def _brief(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(_brief, value[:3])) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values() if each is not None)[:40]
    return " ".join(str(value).split())[:60]


def _submission(path: Path, wanted: Wanted) -> Submission:
    from db.submit import Submission

    return Submission(
        prompt=wanted.prompt,
        version=wanted.version,
        body=body_of(path),
        name=path.name,
        feature=wanted.feature,
        usr=wanted.user,
        lane=wanted.lane,  # type: ignore[arg-type] # checked by _lane
        deadline_at=wanted.deadline_at,
        params=wanted.params,
    )


def body_of(path: Path) -> bytes:
    """The file's bytes. Raises Misconfigured for one that is too large, or cannot be read."""
    from docmill.reading import Limits

    size = path.stat().st_size
    if size > Limits().max_bytes:
        raise Misconfigured(f"{path} has {size:,} bytes; {Limits().max_bytes:,} are allowed: split it")
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read ({error.strerror})") from error


def print_end(path: Path, report: JobReport) -> None:
    plain = report.as_json()
    named = ("id", "state", "value", "failure", "cost_usd", "model", "input_tokens", "output_tokens", "seconds")
    print_json({"path": str(path), **{name: plain[name] for name in named}})


def tell_refused(refused: Mapping[Path, DocmillError], *, as_json: bool) -> None:
    for path, error in refused.items():
        failure = {"kind": "too_large", "message": str(error)}
        if as_json:
            print_json({"id": None, "path": str(path), "state": "refused", "failure": failure, "cost_usd": "0"})
        else:
            typer.echo(f"refused: {error}", err=True)


def tell_submitted(submitted: Mapping[int, Path], *, as_json: bool) -> None:
    for job_id, path in submitted.items():
        if as_json:
            print_json({"id": job_id, "path": str(path), "state": "queued"})
        else:
            typer.echo(f"{job_id}\t{path}")


def _lane(name: str) -> str:
    if name not in ("interactive", "bulk"):
        raise Misconfigured(f"--lane is interactive or bulk, and not {name!r}")
    return name


def _param(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals:
        raise Misconfigured(f"--param is NAME=VALUE, and not {option!r}")
    return name, value


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def batched_files(files: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (files[at : at + FILES_A_COMMIT] for at in range(0, len(files), FILES_A_COMMIT))
