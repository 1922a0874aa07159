"""``docmill jobs`` with its verbs, and ``result``, ``retry`` and ``cancel``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from cli.console import AsJson, Data, agree, deadline_of, open_stack, print_json, print_table, time_of, usd
from docmill.errors import FailureKind, JobNotFit, Misconfigured
from docmill.reading.values import reading_warning
from docmill.visible import visible

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.bulk import Done
    from db.reports import Counts, JobReport, Wanted

__all__ = ["Cause", "Name", "Run", "Since", "State", "cancel", "jobs", "known", "result", "retry", "wanted_jobs"]

jobs = typer.Typer(help="Documents on their way through prompts.")

State = Annotated[list[str], typer.Option(help="As in failed; several by giving it again.")]
Run = Annotated[int | None, typer.Option(metavar="ID", help="Only those of this run.")]
Name = Annotated[str | None, typer.Option(help="What the file's path holds, in whatever case.")]
Cause = Annotated[
    str | None, typer.Option("--cause", "--failure", help="The kind of the failure, as in unreadable.")
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", "--created-after", help="Submitted since: a span back as in 2h, or a time of ISO 8601."
    ),
]

JobIds = Annotated[list[int], typer.Argument(metavar="ID")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

ROWS_A_PAGE = 500
STATES = ("queued", "running", "held", "done", "needs_review", "failed", "cancelled")


@jobs.command("list")
def list_jobs(
    stuck: Annotated[bool, typer.Option("--stuck", help="Only those that broke workers or got lost.")] = False,
    state: State = [],
    run: Run = None,
    feature: str | None = None,
    prompt: str | None = None,
    version: str | None = None,
    user: str | None = None,
    name: Name = None,
    document: Annotated[int | None, typer.Option(help="The document's id.")] = None,
    model: Annotated[str | None, typer.Option(help="One that answered, as its provider names it.")] = None,
    cause: Cause = None,
    since: Since = None,
    created_before: Annotated[str | None, typer.Option(help="Submitted before then.")] = None,
    finished_after: Annotated[str | None, typer.Option(help="Ended then or later.")] = None,
    finished_before: Annotated[str | None, typer.Option(help="Ended before then.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many of them, the latest.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="ID", help="The next page: those of a smaller id.")] = None,
    values: Annotated[bool, typer.Option("--values", help="Their answers, too, with --json.")] = False,
    counts: Annotated[bool, typer.Option("--counts", help="How many there are, by state and by reason.")] = False,
    drives: Annotated[
        int | None, typer.Option("--drives", metavar="ID", help="Each time that job was sent on its way, and why.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """The latest jobs; or how many there are; or what recovery did for one."""
    from db.reports import counted, page

    if drives is not None:
        _show_drives(drives, as_json=as_json, data=data)
        return
    wanted = replace(
        wanted_jobs(
            state=state, run=run, feature=feature, prompt=prompt, user=user, name=name, cause=cause, since=since
        ),
        version=version,
        document=document,
        model=model,
        created_before=time_of(created_before, "created-before"),
        finished_after=time_of(finished_after, "finished-after"),
        finished_before=time_of(finished_before, "finished-before"),
        stuck=stuck,
        before=before,
    )
    with open_stack(data) as (_, database), database.snapshot() as connection:
        if counts:
            _print_counts(counted(connection, wanted), as_json=as_json)
            return
        found = page(connection, wanted, limit=limit + 1, values=values)
    _print_jobs(found.jobs[:limit], values=values, as_json=as_json)
    if len(found.jobs) > limit:
        typer.echo(f"there are more: --before {found.jobs[limit - 1].id} shows the next ones", err=True)
    elif found.looked_to is not None:
        typer.echo(f"there may be more: --before {found.looked_to} looks further", err=True)


def wanted_jobs(
    *,
    state: Sequence[str] = (),
    run: int | None = None,
    feature: str | None = None,
    prompt: str | None = None,
    user: str | None = None,
    name: str | None = None,
    cause: str | None = None,
    since: str | None = None,
) -> Wanted:
    """The jobs that the options ask for. Raises Misconfigured: a list of nothing would look like an answer."""
    from db.reports import Wanted

    known("state", state, STATES)
    known("cause", [] if cause is None else [cause], get_args(FailureKind))
    return Wanted(
        states=state,
        run=run,
        feature=feature,
        prompt=prompt,
        user=user,
        name=name,
        cause=cause,
        since=time_of(since, "since"),
    )


def _print_jobs(found: Sequence[JobReport], *, values: bool, as_json: bool) -> None:
    if as_json:
        for report in found:
            answers = ("value", "evidence")
            plain = report.as_json()
            print_json({name: plain[name] for name in plain if values or name not in answers})
        return
    columns = ("job", "run", "document", "prompt", "state", "at", "why", "USD")
    print_table("Jobs", columns, [_listed(report) for report in found])


def _listed(report: JobReport) -> tuple[object, ...]:
    why = report.held.waits_for if report.held else (report.failure or {}).get("kind", "")
    return (
        report.id,
        "" if report.run_id is None else report.run_id,
        report.name or "",
        f"{report.prompt}/{report.version}" if report.version else report.prompt or "index",
        report.state,
        report.stage if report.wait else "",
        why,
        usd(report.cost_usd),
    )


def _print_counts(counts: Counts, *, as_json: bool) -> None:
    if as_json:
        print_json(vars(counts))
        return
    print_table("Jobs by state", ("state", "jobs"), list(counts.states.items()), total=("total", counts.total))
    if counts.reasons:
        typer.echo()
        print_table("Why", ("reason", "jobs"), list(counts.reasons.items()))


@jobs.command("show")
def show(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    messages: Annotated[bool, typer.Option(help="What was said to models, and by them, word for word.")] = True,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """What a job went through: stages, calls with messages and replies, checks, evidence, costs, drives."""
    from cli.inspection import show_job

    show_job(job_id, messages=messages, as_json=as_json, data=data)


def known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raises Misconfigured: a list of nothing would look like an answer."""
    for each in given:
        if each not in known:
            near = difflib.get_close_matches(each, known, n=1)
            meant = f": did you mean {near[0]}?" if near else ""
            raise Misconfigured(f"--{option} is one of {', '.join(known)}, and not {each!r}{meant}")


def _show_drives(job_id: int, *, as_json: bool, data: Path | None) -> None:
    from db.reports import drives

    with open_stack(data) as (_, database), database.work() as connection:
        found = drives(connection, job_id)
    if as_json:
        for drive in found:
            print_json({**drive, "at": drive["at"].isoformat()})
        return
    rows = [
        (
            drive["epoch"],
            f"{drive['at']:%Y-%m-%d %H:%M:%S}",
            drive["stage"],
            drive["cause"],
            "" if drive["late_s"] is None else f"{drive['late_s']:.1f}",
        )
        for drive in found
    ]
    print_table(f"Drives of job {job_id}", ("epoch", "at", "stage", "cause", "late s"), rows)


def result(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    overlay: Annotated[
        Path | None, typer.Option(help="A PDF to write: pages with a frame around each value.")
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(help="One of its lists, as `bookings`: an item a line, as JSON with its evidence."),
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """The answer of a job. Exit code 1 says that there is none."""
    if rows is not None:
        _print_rows(job_id, rows, data)
        return
    from db.reports import job_report
    from prompts.order import in_prompts_order
    from workers.registry import registry_of

    with open_stack(data) as (settings, database), database.work() as connection:
        found = job_report(connection, job_id)
        value = in_prompts_order(registry_of(settings), found.prompt, found.version, found.value)
        report = replace(found, value=value)
        if overlay is not None:
            _write_overlay(connection, report, overlay)
    if as_json:
        print_json(report.as_json())
    elif report.value is not None:
        typer.echo(json.dumps(report.value, ensure_ascii=False, indent=2))
    if not as_json:
        for warning in report.warnings:
            typer.echo(visible(f"reading: {reading_warning(warning)}"), err=True)
    if report.state == "needs_review" and not as_json:
        typer.echo(visible(f"needs review: {(report.failure or {}).get('message', '')}"), err=True)
    if report.value is None:
        why = (report.failure or {}).get("message", "")
        if not as_json:
            raise JobNotFit(f"job {job_id} has no result: it is {report.state}{': ' + why if why else ''}")
        raise typer.Exit(1)


def _print_rows(job_id: int, path: str, data: Path | None) -> None:
    """Page by page: a list may have thousands of items."""
    from db.reports import job_report
    from web.shown import rows_of
    from workers.registry import registry_of

    with open_stack(data) as (settings, database):
        registry = registry_of(settings)
        cursor: int | None = 0
        while cursor is not None:
            with database.work() as connection:
                report = job_report(connection, job_id, values=False)
                page = rows_of(connection, registry, report, path, first=cursor, most=ROWS_A_PAGE)
            for row in page.rows:
                print_json(row.model_dump(mode="json"))
            cursor = page.next


def _write_overlay(connection: Connection, report: JobReport, file: Path) -> None:
    from cli.overlay import write_overlay
    from db.documents import original

    found = report.document_id and original(connection, report.document_id, report.tenant)
    if not found or found.body is None:
        raise JobNotFit(f"the document of job {report.id} is not there any more")
    pages = write_overlay(
        file, bytes(found.body), report.evidence or {}, name=found.name, media_type=found.media_type
    )
    typer.echo(f"{file} has {pages} {'page' if pages == 1 else 'pages'}", err=True)


def retry(
    job_ids: JobIds = [],
    run: Run = None,
    state: State = [],
    feature: str | None = None,
    prompt: str | None = None,
    user: str | None = None,
    name: Name = None,
    cause: Cause = None,
    since: Since = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="New jobs, also of reviewed ones, which pay again.")
    ] = False,
    deadline: str | None = None,
    yes: Yes = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Try failed jobs again: those of the ids, or those that a filter names. What it costs is said before."""
    from db import bulk

    said = {"run": run, "state": state, "feature": feature, "prompt": prompt, "user": user, "name": name}
    wanted = _meant(job_ids, {**said, "cause": cause, "since": since})
    until = deadline_of(deadline)
    with open_stack(data) as (_, database):
        with database.work() as connection:
            states = bulk.AFRESH if fresh else bulk.AGAIN
            ids = list(job_ids) or bulk.ids_of(connection, wanted, states)
            stood_for = 0 if job_ids else len(bulk.ids_of(connection, wanted, states, stood_for=True))
            price = bulk.price_of_retry(connection, ids, fresh=fresh)
        if stood_for:
            typer.echo(
                f"{stood_for:,} more were asked afresh before, and are left alone, as new jobs stand for them:"
                " name their ids to ask them again",
                err=True,
            )
        if len(ids) > 1 or fresh:
            agree(f"{'anew' if fresh else 'again'}, {price.told}", yes=yes)
        done = bulk.retry(database, ids, fresh=fresh, deadline_at=until, once=not job_ids)
    if as_json:
        for job_id, made in done.made.items():
            print_json({"id": made, "of": job_id, "fresh": fresh})
    elif len(ids) == 1:
        for job_id, made in done.made.items():
            typer.echo(f"job {made} is new, and pays again" if fresh else f"job {job_id} is on its way again")
    else:
        typer.echo(f"{len(done.made):,} jobs are {'new, and pay again' if fresh else 'on their way again'}")
    _tell_refused(done, as_json=as_json)


def cancel(
    job_ids: JobIds = [],
    run: Run = None,
    state: State = [],
    feature: str | None = None,
    prompt: str | None = None,
    user: str | None = None,
    name: Name = None,
    cause: Cause = None,
    since: Since = None,
    yes: Yes = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Start no further call for jobs: those of the ids, or open ones that a filter names.

    A call that is open is let finish, and paid.
    """
    from db import bulk

    said = {"run": run, "state": state, "feature": feature, "prompt": prompt, "user": user, "name": name}
    wanted = _meant(job_ids, {**said, "cause": cause, "since": since})
    with open_stack(data) as (_, database):
        with database.work() as connection:
            ids = list(job_ids) or bulk.ids_of(connection, wanted, bulk.OPEN)
        if len(ids) > 1:
            agree(
                f"cancel {len(ids):,} jobs: what they cost so far is paid, and calls that are open are too",
                yes=yes,
            )
        done = bulk.cancel(database, ids)
    if as_json:
        for job_id in done.made:
            print_json({"id": job_id, "state": "cancelled"})
    elif len(ids) == 1:
        for job_id in done.made:
            typer.echo(f"job {job_id} is cancelled")
    else:
        typer.echo(f"{len(done.made):,} jobs are cancelled")
    _tell_refused(done, as_json=as_json)


def _meant(job_ids: Sequence[int], filters: Mapping[str, Any]) -> Wanted:
    """Raises Misconfigured for ids beside a filter, and for neither: everything is meant by nobody."""
    filtered = {name for name, given in filters.items() if given not in (None, [])}
    if job_ids and filtered:
        raise Misconfigured(f"give ids, or a filter (--{min(filtered)}), and not both")
    if not job_ids and not filtered:
        raise Misconfigured("which jobs? give their ids, or a filter as --run, --cause or --since")
    return wanted_jobs(**filters)


def _tell_refused(done: Done, *, as_json: bool) -> None:
    """What nothing was done of, and why; exit code 1 where there is some."""
    if len(done.refused) == 1 and not done.made and not as_json:
        raise JobNotFit(next(iter(done.refused.values())))
    for job_id, why in done.refused.items():
        if as_json:
            print_json({"id": job_id, "failure": {"kind": "refused", "message": why}})
        else:
            typer.echo(visible(why), err=True)
    if done.refused:
        raise typer.Exit(1)


jobs.command("retry")(retry)
jobs.command("cancel")(cancel)
