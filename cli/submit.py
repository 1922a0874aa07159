"""``docmill submit``: documents become jobs; with ``--wait``, jobs become answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.console import AsJson, Data, console, deadline_of, open_stack
from cli.sources import Source, listed_in, sources_in
from cli.submitting import Submitted, Wanted, submit_files, tell_refused, tell_submitted
from cli.waiting import exit_code, print_end, print_reports, wait_for
from docmill.bounds import LANES
from docmill.errors import Misconfigured
from docmill.reading.values import WORDS

if TYPE_CHECKING:
    from db.database import Database
    from db.reports import JobReport
    from prompts import Registry

__all__ = ["submit", "summary_of"]

MOST_ROWS = 100
"""A table of more jobs than that shows those alone that did not go well."""
INTERRUPTED = 130


def submit(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders of files, or https addresses; - is standard input.")
    ] = [],
    *,
    prompt: Annotated[str, typer.Option(help="`docmill prompts list` shows them.")],
    version: str | None = None,
    feature: Annotated[str, typer.Option(help="For cost reports.")] = "default",
    user: Annotated[str, typer.Option(help="For cost reports.")] = "",
    lane: Annotated[str, typer.Option(help="interactive or bulk.")] = "bulk",
    deadline: Annotated[str | None, typer.Option(help="As in 90s, 15m, 2h, or a time of ISO 8601.")] = None,
    param: Annotated[list[str], typer.Option(help="NAME=VALUE, for the prompt's template.")] = [],
    files_from: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file that names more of them, one a line; - as above.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the document on standard input; else, of the run.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also what was submitted before: it is paid again.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until every job has ended.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Submit documents, each once; several are a run.

    Exit code 1 says that a file was refused or a job failed, 3 that some need a person, 130 an interruption.
    """
    given = [*paths, *(listed_in(files_from) if files_from is not None else [])]
    with open_stack(data) as (settings, database):
        from db.submit import check_answerable
        from workers.registry import registry_of

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
            params=dict(map(param_of, param)),
        )
        sources = list(sources_in(given, settings, name=name))
        if not sources:
            raise Misconfigured("there is nothing to submit: give files, folders that hold some, or addresses")
        submitted = Submitted()
        try:
            _submit(database, sources, wanted, submitted, name=name, again=again, quiet=as_json)
            if not wait:
                tell_submitted(submitted.jobs, as_json=as_json)
                _tell_come_back(submitted, len(sources))
                raise typer.Exit(1 if submitted.refused else 0)
            reports = _wait(database, registry, submitted, as_json=as_json)
        except KeyboardInterrupt:
            _tell_interrupted(submitted, len(sources))
            raise typer.Exit(INTERRUPTED) from None
    if not as_json:
        _print_ends(submitted, [_ordered(registry, report) for report in reports])
    raise typer.Exit(exit_code(reports, refused=bool(submitted.refused)))


def _submit(
    database: Database,
    sources: Sequence[Source],
    wanted: Wanted,
    submitted: Submitted,
    *,
    name: str | None,
    again: bool,
    quiet: bool,
) -> None:
    columns = (TextColumn("submitting"), BarColumn(), MofNCompleteColumn())
    is_quiet = quiet or len(sources) == 1 or not console.is_terminal
    with Progress(*columns, console=console, disable=is_quiet, transient=True) as progress:
        bar = progress.add_task("", total=len(sources))

        def tell(so_far: Submitted) -> None:
            progress.update(bar, completed=len(so_far.jobs) + len(so_far.refused))

        submit_files(database, sources, wanted, submitted=submitted, name=name, again=again, tell=tell)
    tell_refused(submitted.refused, as_json=quiet)
    if submitted.before:
        were = f"{submitted.before:,} of {len(sources):,} were" if len(sources) > 1 else "it was"
        typer.echo(f"{were} submitted before, and not again: `--again` submits them anew, and pays anew", err=True)


def _wait(database: Database, registry: Registry, submitted: Submitted, *, as_json: bool) -> list[JobReport]:
    def tell(path: Source, report: JobReport) -> None:
        print_end(path, _ordered(registry, report))

    return wait_for(database, submitted.jobs, quiet=as_json, on_end=tell if as_json else None)


def _ordered(registry: Registry, report: JobReport) -> JobReport:
    """Its answer's fields in the order of their schema."""
    from prompts.order import in_prompts_order

    return replace(report, value=in_prompts_order(registry, report.prompt, report.version, report.value))


def _print_ends(submitted: Submitted, reports: Sequence[JobReport]) -> None:
    """Each job, or of many those that are not done; what was left out; and where all of them are."""
    many = len(reports) > MOST_ROWS
    shown = [report for report in reports if report.state != "done"] if many else reports
    if shown:
        print_reports("Jobs", [(submitted.jobs[report.id], report) for report in shown[:MOST_ROWS]])
    if many:
        typer.echo(summary_of(len(reports), others=len(shown)))
    _tell_warnings(reports)
    if submitted.run_id is not None:
        typer.echo(f"all of them: `docmill export --run {submitted.run_id} -o results.xlsx`", err=True)


def summary_of(jobs: int, *, others: int) -> str:
    """How many of the jobs are done, and how many of the ``others`` are shown."""
    rest = f", {others:,} are not" if others else ""
    cut = f", of which {MOST_ROWS} are shown" if others > MOST_ROWS else ""
    return f"{jobs:,} jobs: {jobs - others:,} are done{rest}{cut}"


def _tell_warnings(reports: Sequence[JobReport]) -> None:
    """A line a kind of what reading left out or only guessed, and in how many documents."""
    kinds = Counter(each["kind"] for report in reports for each in report.warnings)
    for kind, documents in kinds.most_common():
        those = "1 document has" if documents == 1 else f"{documents:,} documents have"
        typer.echo(f"{those} {WORDS.get(kind, kind)}: `docmill result ID` says where", err=True)


def _tell_come_back(submitted: Submitted, number: int) -> None:
    if submitted.run_id is not None:
        run = submitted.run_id
        typer.echo(
            f"{number - len(submitted.refused):,} documents are run {run}: `docmill runs wait {run}` waits for"
            f" them, `docmill export --run {run} -o results.xlsx` writes their answers",
            err=True,
        )


def _tell_interrupted(submitted: Submitted, number: int) -> None:
    """What goes on without this command, and how to come back to it."""
    taken = len(submitted.jobs) + len(submitted.refused)
    kept = f"{len(submitted.jobs):,} of {number:,} documents are submitted, and go on"
    rest = "" if taken == number else "; the same command again submits the rest, and none twice"
    run = submitted.run_id
    back = f": `docmill runs wait {run}` comes back to them" if run is not None else ""
    typer.echo(f"\ninterrupted: {kept}{back}{rest}", err=True)


def _lane(name: str) -> str:
    if name not in LANES:
        raise Misconfigured(f"--lane is interactive or bulk, and not {name!r}")
    return name


def param_of(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals:
        raise Misconfigured(f"--param is NAME=VALUE, and not {option!r}")
    return name, value
