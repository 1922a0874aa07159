"""``docmill submit``: documents become jobs; with ``--wait``, jobs become answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.console import AsJson, Data, console, deadline_of, open_stack, print_json, print_table, usd
from cli.sources import Ready, Source, batched, body_of, ready, sources_in
from docmill.bounds import LANES
from docmill.errors import DocmillError, Misconfigured, NotFetched
from docmill.visible import visible

if TYPE_CHECKING:
    from db.database import Database
    from db.reports import JobReport
    from db.submit import Submission
    from prompts import Registry

__all__ = [
    "Wanted",
    "print_end",
    "print_reports",
    "submit",
    "submit_files",
    "tell_refused",
    "tell_submitted",
    "wait_for",
]

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
    content_hash: bytes | None = None
    """Of the prompt's files as they are now."""


def submit(
    paths: Annotated[list[str], typer.Argument(help="Files, folders of files, or https addresses.")],
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
    with open_stack(data) as (settings, database):
        from db.submit import check_answerable
        from workers.services import registry_of

        registry = registry_of(settings)
        asked = registry.get(prompt, version)
        with database.work() as connection:
            check_answerable(connection, prompt, asked.version)
        wanted = Wanted(
            prompt=prompt,
            version=asked.version,
            content_hash=registry.pin(asked),
            feature=feature,
            user=user,
            lane=_lane(lane),
            deadline_at=deadline_of(deadline),
            params=dict(map(_param, param)),
        )
        sources = list(sources_in(paths, settings))
        submitted, refused = submit_files(database, sources, wanted)
        tell_refused(refused, as_json=as_json)
        if not wait:
            tell_submitted(submitted, as_json=as_json)
            raise typer.Exit(1 if refused else 0)

        def tell(path: Source, report: JobReport) -> None:
            print_end(path, _ordered(registry, report))

        reports = wait_for(database, submitted, quiet=as_json, on_end=tell if as_json else None)
    if not as_json:
        print_reports("Jobs", [(submitted[report.id], _ordered(registry, report)) for report in reports])
    failed = any(report.state not in ("done", "needs_review") for report in reports)
    raise typer.Exit(1 if failed or refused else 0)


def _ordered(registry: Registry, report: JobReport) -> JobReport:
    """Its answer's fields in the order of their schema."""
    from prompts.order import in_prompts_order

    return replace(report, value=in_prompts_order(registry, report.prompt, report.version, report.value))


def submit_files(
    database: Database, sources: Sequence[Source], wanted: Wanted
) -> tuple[dict[int, Source], dict[Source, DocmillError]]:
    """The jobs by id, and the documents that were refused, each with its reason. What is returned is committed."""
    from db.submit import submit_many

    submitted: dict[int, Source] = {}
    refused: dict[Source, DocmillError] = {}
    for batch in batched(sources):
        taken: list[Source] = []
        documents = ready(batch, refused)
        with database.work() as connection:
            made = submit_many(connection, _submissions(documents, wanted, taken, refused))
        submitted.update(zip(made, taken, strict=True))
    return submitted, refused


def _submissions(
    documents: Sequence[Ready], wanted: Wanted, taken: list[Source], refused: dict[Source, DocmillError]
) -> Iterator[Submission]:
    """One file in memory at a time; which were taken and which not is told on the way."""
    for document in documents:
        try:
            submission = _submission(document, wanted)
        except Misconfigured as error:
            refused[document.source] = error
            continue
        taken.append(document.source)
        yield submission


def wait_for(
    database: Database, submitted: Mapping[int, Source], *, quiet: bool, on_end: Any = None
) -> list[JobReport]:
    """Polls until every job has ended; ``on_end(path, report)`` is called as they do."""
    from db.reports import ended

    waiting = set(submitted)
    reports: list[JobReport] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as progress:
        bar = progress.add_task("documents", total=len(waiting))
        while waiting:
            with database.work() as connection:
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


def print_reports(title: str, reports: Sequence[tuple[Source, JobReport]]) -> None:
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


def _submission(document: Ready, wanted: Wanted) -> Submission:
    from db.submit import Submission

    body, name = body_of(document)
    return Submission(
        prompt=wanted.prompt,
        version=wanted.version,
        content_hash=wanted.content_hash,
        body=body,
        name=name,
        feature=wanted.feature,
        usr=wanted.user,
        lane=wanted.lane,  # type: ignore[arg-type] # checked by _lane
        deadline_at=wanted.deadline_at,
        params=wanted.params,
    )


def print_end(path: Source, report: JobReport) -> None:
    plain = report.as_json()
    named = (
        "id",
        "name",
        "document_id",
        "state",
        "value",
        "failure",
        "cost_usd",
        "model",
        "input_tokens",
        "output_tokens",
        "seconds",
    )
    print_json({"path": str(path), **{name: plain[name] for name in named}})


def tell_refused(refused: Mapping[Source, DocmillError], *, as_json: bool) -> None:
    for path, error in refused.items():
        kind = "not_found" if isinstance(error, NotFetched) else "too_large"
        failure = {"kind": kind, "message": str(error)}
        if as_json:
            print_json({"id": None, "path": str(path), "state": "refused", "failure": failure, "cost_usd": "0"})
        else:
            typer.echo(f"refused: {visible(str(error))}", err=True)


def tell_submitted(submitted: Mapping[int, Source], *, as_json: bool) -> None:
    for job_id, path in submitted.items():
        if as_json:
            print_json({"id": job_id, "path": str(path), "state": "queued"})
        else:
            typer.echo(f"{job_id}\t{visible(str(path))}")


def _lane(name: str) -> str:
    if name not in LANES:
        raise Misconfigured(f"--lane is interactive or bulk, and not {name!r}")
    return name


def _param(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals:
        raise Misconfigured(f"--param is NAME=VALUE, and not {option!r}")
    return name, value
