"""``docmill runs``: documents that were submitted together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table, usd
from cli.jobs import Cause, State, Yes, cancel, retry
from cli.waiting import exit_code, print_end, wait_for
from docmill.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from db.database import Database
    from db.reports import JobReport
    from db.runs import Run, RunCounts, RunProgress

__all__ = ["runs"]

runs = typer.Typer(help="Documents that were submitted together.")

RunId = Annotated[int, typer.Argument(metavar="ID", help="As `docmill runs` shows it.")]
ENDS = ("done", "needs_review", "failed", "cancelled")


@runs.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, help="So many of them, the latest.")] = 20,
    before: Annotated[int | None, typer.Option(metavar="ID", help="The next page: those of a smaller id.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """The latest runs, and how far they are."""
    from db.runs import listed, state_of

    with open_stack(data) as (_, database), database.work() as connection:
        found = listed(connection, before=before, limit=limit + 1)
    if as_json:
        for run, counts in found[:limit]:
            print_json({**run.as_json(), **vars(counts), "state": state_of(run, counts)})
        return
    columns = ("run", "name", "cause", "submitted", "jobs", "open", "done", "review", "failed")
    print_table("Runs", columns, [_listed(run, counts) for run, counts in found[:limit]])
    if len(found) > limit:
        typer.echo(f"there are more: --before {found[limit - 1][0].id} shows the next ones", err=True)


def _listed(run: Run, counts: RunCounts) -> tuple[object, ...]:
    ended = {state: counts.states.get(state, 0) for state in ENDS}
    failed = ended["failed"] + ended["cancelled"]
    return (
        run.id,
        run.name,
        run.cause,
        f"{run.created_at:%Y-%m-%d %H:%M}",
        counts.total,
        counts.total - sum(ended.values()),
        ended["done"],
        ended["needs_review"],
        failed,
    )


@runs.command("show")
def show(run_id: RunId, as_json: AsJson = False, data: Data = None) -> None:
    """How far a run is, what it cost, what stands in its way, and its first failures."""
    import db.runs

    with open_stack(data) as (_, database), database.work() as connection:
        run, progress = db.runs.find(connection, run_id), db.runs.progress(connection, run_id)
        failures = db.runs.first_failures(connection, run_id)
    if as_json:
        first = [{"id": each.id, "path": each.path, "failure": each.failure} for each in failures]
        state = db.runs.state_of(run, progress.counts)
        print_json({**run.as_json(), **progress.as_json(), "state": state, "first_failures": first})
        return
    _print(run, progress, failures)


def _print(run: Run, progress: RunProgress, failures: Sequence[JobReport]) -> None:
    facts: list[tuple[str, object]] = [
        ("name", run.name),
        ("cause", run.cause),
        ("prompt", f"{run.submit.get('prompt', '')}/{run.submit.get('version', '')}"),
        ("feature", run.submit.get("feature", "")),
        ("submitted", f"{run.created_at:%Y-%m-%d %H:%M:%S %Z}"),
        (
            "documents",
            progress.counts.documents
            if run.expected is None
            else f"{progress.counts.documents} of {run.expected}",
        ),
        *((state, number) for state, number in sorted(progress.counts.states.items())),
        ("USD", usd(progress.cost_usd)),
        ("USD each", "" if progress.accepted_usd_each is None else usd(progress.accepted_usd_each)),
        ("a minute", progress.per_minute),
        ("seconds left", "unknown" if progress.eta_s is None else progress.eta_s),
    ]
    print_table(f"Run {run.id}", ("", ""), facts)
    if progress.counts.reasons:
        typer.echo()
        print_table("Why", ("reason", "jobs"), list(progress.counts.reasons.items()))
    if failures:
        typer.echo()
        rows = [(each.id, each.path or "", *_why(each.failure)) for each in failures]
        print_table("First failures", ("job", "document", "kind", "message"), rows)


def _why(failure: Mapping[str, object] | None) -> tuple[object, object]:
    return (failure or {}).get("kind", ""), (failure or {}).get("message", "")


@runs.command("wait")
def wait(run_id: RunId, as_json: AsJson = False, data: Data = None) -> None:
    """Wait until each of its jobs has ended. Exit code 1 says that some failed, 3 that some need a person."""
    with open_stack(data) as (_, database):
        jobs = _paths(database, run_id)
        try:
            reports = wait_for(database, jobs, quiet=as_json, on_end=print_end if as_json else None)
        except KeyboardInterrupt:
            typer.echo(f"\ninterrupted: the jobs go on; `docmill runs wait {run_id}` comes back to them", err=True)
            raise typer.Exit(130) from None
        if not as_json:
            import db.runs

            with database.work() as connection:
                found = db.runs.find(connection, run_id), db.runs.progress(connection, run_id)
                _print(*found, db.runs.first_failures(connection, run_id))
    raise typer.Exit(exit_code(reports))


def _paths(database: Database, run_id: int) -> dict[int, Path]:
    """The run's jobs with their paths. Raises RunUnknown."""
    import db.runs

    with database.work() as connection:
        db.runs.find(connection, run_id)
        return {job: Path(visible(path)) for job, path in db.runs.paths(connection, run_id).items()}


@runs.command("close")
def close(run_id: RunId, as_json: AsJson = False, data: Data = None) -> None:
    """Say that a run takes no more documents: once all its jobs have ended, so has it. `submit` closes its own."""
    import db.runs

    with open_stack(data) as (_, database), database.work() as connection:
        db.runs.find(connection, run_id)
        db.runs.close(connection, run_id)
        run = db.runs.find(connection, run_id)
    if as_json:
        print_json(run.as_json())
    else:
        typer.echo(f"run {run_id} takes no more documents")


@runs.command("retry")
def retry_run(
    run_id: RunId,
    cause: Cause = None,
    state: State = [],
    fresh: Annotated[bool, typer.Option("--fresh", help="New jobs, also of reviewed ones: paid again.")] = False,
    deadline: str | None = None,
    yes: Yes = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Try its failed jobs again, or those of one cause. What it costs is said before."""
    retry(
        run=run_id, cause=cause, state=state, fresh=fresh, deadline=deadline, yes=yes, as_json=as_json, data=data
    )


@runs.command("cancel")
def cancel_run(run_id: RunId, yes: Yes = False, as_json: AsJson = False, data: Data = None) -> None:
    """Start no further call for its jobs."""
    cancel(run=run_id, yes=yes, as_json=as_json, data=data)
