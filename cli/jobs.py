"""``docmill jobs`` with its verbs, and ``result``, ``retry`` and ``cancel``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, get_args

import typer

from cli.console import AsJson, Data, deadline_of, open_stack, print_json, print_table, since_of, usd
from docmill.errors import FailureKind, JobNotFit, Misconfigured
from docmill.visible import visible

__all__ = ["cancel", "jobs", "result", "retry"]

jobs = typer.Typer(help="Documents on their way through prompts.")

STATES = ("queued", "running", "held", "done", "needs_review", "failed", "cancelled")


@jobs.command("list")
def list_jobs(
    stuck: Annotated[bool, typer.Option("--stuck", help="Only those that broke workers or got lost.")] = False,
    state: Annotated[list[str], typer.Option(help="As in failed; several by giving it again.")] = [],
    feature: str | None = None,
    prompt: str | None = None,
    user: str | None = None,
    name: Annotated[str | None, typer.Option(help="What the file's path holds, in whatever case.")] = None,
    cause: Annotated[str | None, typer.Option(help="The kind of the failure, as in unreadable.")] = None,
    since: Annotated[str | None, typer.Option(help="A span back as in 2h or 30d, or a time of ISO 8601.")] = None,
    limit: int = 50,
    drives: Annotated[
        int | None, typer.Option("--drives", metavar="ID", help="Each time that job was sent on its way, and why.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """The latest jobs; or what recovery did for one."""
    from db.reports import Wanted, recent

    if drives is not None:
        _show_drives(drives, as_json=as_json, data=data)
        return
    _known("state", state, STATES)
    _known("cause", [] if cause is None else [cause], get_args(FailureKind))
    wanted = Wanted(
        states=state,
        feature=feature,
        prompt=prompt,
        user=user,
        name=name,
        cause=cause,
        since=since_of(since),
        stuck=stuck,
    )
    with open_stack(data) as (_, database), database.work() as connection:
        found = recent(connection, wanted, limit=limit)
    if as_json:
        for report in found:
            print_json(report.as_json())
        return
    rows = [
        (
            report.id,
            report.name or "",
            f"{report.prompt}/{report.version}" if report.version else report.prompt,
            report.state,
            report.stage if report.wait else "",
            (report.failure or {}).get("kind", ""),
            usd(report.cost_usd),
        )
        for report in found
    ]
    print_table("Jobs", ("job", "document", "prompt", "state", "at", "failure", "USD"), rows)


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


def _known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
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
    job_id: Annotated[int, typer.Argument(metavar="ID")], as_json: AsJson = False, data: Data = None
) -> None:
    """The answer of a job. Exit code 1 says that there is none."""
    from db.reports import job_report
    from prompts.order import in_prompts_order
    from workers.services import registry_of

    with open_stack(data) as (settings, database), database.work() as connection:
        found = job_report(connection, job_id)
        value = in_prompts_order(registry_of(settings), found.prompt, found.version, found.value)
        report = replace(found, value=value)
    if as_json:
        print_json(report.as_json())
    elif report.value is not None:
        typer.echo(json.dumps(report.value, ensure_ascii=False, indent=2))
    if report.state == "needs_review" and not as_json:
        typer.echo(visible(f"needs review: {(report.failure or {}).get('message', '')}"), err=True)
    if report.value is None:
        why = (report.failure or {}).get("message", "")
        if not as_json:
            raise JobNotFit(f"job {job_id} has no result: it is {report.state}{': ' + why if why else ''}")
        raise typer.Exit(1)


def retry(
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    fresh: Annotated[bool, typer.Option("--fresh", help="A new job, which pays again.")] = False,
    deadline: str | None = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Try a failed job again."""
    from db import submit, transitions

    until = deadline_of(deadline)
    with open_stack(data) as (_, database), database.work() as connection:
        if fresh:
            made = submit.submit_fresh(connection, job_id, deadline_at=until)
        else:
            transitions.retry(connection, job_id, deadline_at=until)
            made = job_id
    if as_json:
        print_json({"id": made, "of": job_id, "fresh": fresh})
    else:
        typer.echo(f"job {made} is new, and pays again" if fresh else f"job {job_id} is on its way again")


def cancel(
    job_id: Annotated[int, typer.Argument(metavar="ID")], as_json: AsJson = False, data: Data = None
) -> None:
    """Start no further call for a job; one that is open is let finish, and paid."""
    from db import transitions

    with open_stack(data) as (_, database), database.work() as connection:
        transitions.cancel(connection, job_id)
    if as_json:
        print_json({"id": job_id, "state": "cancelled"})
    else:
        typer.echo(f"job {job_id} is cancelled")


jobs.command("retry")(retry)
jobs.command("cancel")(cancel)
