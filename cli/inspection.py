"""``docmill jobs show``: what a job went through, and what the models saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from cli.console import open_stack, print_json, print_table, usd
from cli.table import made_console
from docmill.visible import visible, visible_lines

if TYPE_CHECKING:
    from db.inspection import Call, Inspection

__all__ = ["show_job"]


def show_job(job_id: int, *, messages: bool, as_json: bool, data: Path | None) -> None:
    """Prints all that is on record of a job. Raises JobUnknown."""
    from db import inspection

    with open_stack(data) as (_, database), database.work() as connection:
        found = inspection.inspect(connection, job_id)
    if as_json:
        print_json(inspection.as_json(found))
    else:
        print_inspection(found, messages=messages)


def print_inspection(found: Inspection, *, messages: bool) -> None:
    """The job, its stages and calls, what was said, what was wrong, and where its values stand."""
    print_table(f"Job {found.job.id}", ("", ""), list(_facts(found)))
    _print_calls(found)
    if messages:
        for number, call in enumerate(found.calls, start=1):
            _print_said(number, call)
    _print_checks(found)
    if found.job.value is not None:
        _headline("Answer")
        typer.echo(visible_lines(json.dumps(found.job.value, ensure_ascii=False, indent=2)))
    _print_places(found)
    _print_drives(found)


def _facts(found: Inspection) -> Iterator[tuple[str, object]]:
    job = found.job
    yield "document", job.path or job.name or ""
    yield "prompt", f"{job.prompt}/{job.version}" if job.version else job.prompt
    yield "feature", job.feature
    yield "user", job.usr
    yield "state", job.state
    yield "stages", " → ".join(f"{each.stage} ({each.state})" for each in found.stages)
    yield "submitted", f"{job.created_at:%Y-%m-%d %H:%M:%S %Z}"
    yield "seconds", "" if job.seconds is None else f"{job.seconds:.1f}"
    yield "USD", usd(job.cost_usd)
    if job.failure is not None:
        yield "why", f"{job.failure.get('kind', '')}: {job.failure.get('message', '')}"
    if found.shown is not None and found.shown.left_out_chars:
        yield "not shown to the model", f"{found.shown.left_out_chars} characters"


def _print_calls(found: Inspection) -> None:
    columns = (
        *("call", "attempt", "purpose", "state", "model", "tokens in", "tokens out", "USD", "ms", "failure"),
        "what was done",
    )
    rows = [(number, *_figures(call)) for number, call in enumerate(found.calls, start=1)]
    if rows:
        typer.echo()
        print_table("Calls", columns, rows)


def _figures(call: Call) -> tuple[object, ...]:
    """Unknown is not zero."""
    counts = ("unknown" if count is None else count for count in (call.input_tokens, call.output_tokens))
    state = f"{call.state}, possibly billed" if call.possibly_billed else call.state
    return (
        call.attempt,
        f"{call.purpose} {call.part}" if call.part else call.purpose,
        state,
        call.model,
        *counts,
        usd(call.cost_usd),
        "" if call.latency_ms is None else call.latency_ms,
        call.failure_kind or "",
        call.remedy or call.wasted or "",
    )


def _print_said(number: int, call: Call) -> None:
    for message in call.messages:
        _headline(f"Call {number}: {message.role}")
        typer.echo(visible_lines(message.content))
    if call.reply is not None:
        _headline(f"Call {number}: reply ({call.reply.finish_reason})")
        typer.echo(visible_lines(call.reply.text))
    if call.erased:
        _headline(f"Call {number}")
        typer.echo("what was said is erased: it is kept as long as DOCMILL_KEEP_EXCHANGES_DAYS says")


def _print_checks(found: Inspection) -> None:
    rows: list[tuple[object, ...]] = [
        (
            "" if check.attempt is None else check.attempt,
            check.purpose,
            check.kind,
            "; ".join(check.problems) or check.message,
            check.remedy or "",
        )
        for check in found.checks
    ]
    if rows:
        typer.echo()
        print_table("What was wrong", ("attempt", "purpose", "kind", "problem", "what was done"), rows)


def _print_places(found: Inspection) -> None:
    rows = [
        (place.path, _brief(place.value), "" if place.page is None else place.page, _quoted(place))
        for place in found.places
    ]
    if rows:
        typer.echo()
        print_table("Where the values stand", ("field", "value", "page", "in the document"), rows)


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quoted(place: Any) -> str:
    if place.quote is None:
        return "the document's text is gone"
    return " ".join(f"…{place.before[-30:]}[{place.quote}]{place.after[:30]}…".split())


def _print_drives(found: Inspection) -> None:
    rows = [
        (drive.epoch, f"{drive.at:%Y-%m-%d %H:%M:%S}", drive.stage, drive.cause, _late(drive.late_s))
        for drive in found.drives
    ]
    if rows:
        typer.echo()
        print_table("Drives", ("epoch", "at", "stage", "cause", "late s"), rows)


def _late(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _headline(words: str) -> None:
    typer.echo()
    made_console().print(Text(visible(words), style="bold"))
