"""Waiting for jobs: what became of them, and meanwhile how far they are and what stands in their way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.console import console, print_json, print_table, usd
from cli.sources import Source
from docmill.visible import visible

if TYPE_CHECKING:
    from db.database import Database
    from db.reports import JobReport

__all__ = ["exit_code", "print_end", "print_reports", "wait_for"]

POLL_S = 0.2
"""How often ended jobs are looked for."""
LOOK_S = 1.0
"""How often it is looked what the others wait for."""
FAILURES_TOLD = 20
"""One by one, as they come; all of them stand in the table at the end."""
FAILED, IN_REVIEW = 1, 3
"""Exit codes."""


def wait_for(
    database: Database,
    submitted: Mapping[int, Source],
    *,
    quiet: bool,
    on_end: Callable[[Source, JobReport], None] | None = None,
) -> list[JobReport]:
    """Polls until every job has ended; ``on_end(path, report)`` is called as they do."""
    from db.reports import ended

    waiting = set(submitted)
    pace = Pace(total=len(waiting))
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("documents", total=len(waiting))
        while waiting:
            with database.work() as connection:
                fresh = ended(connection, sorted(waiting))
            for report in fresh:
                waiting.discard(report.id)
                pace.note(report)
                if on_end is not None:
                    on_end(submitted[report.id], report)
                if report.state == "failed" and pace.failed <= FAILURES_TOLD and not quiet and pace.total > 1:
                    progress.console.print(Text(_failure(submitted[report.id], report), style="red"))
            if not quiet and waiting:
                pace.look(database, waiting)
            progress.update(bar, completed=len(pace.reports), description=pace.told)
            if waiting and not fresh:
                time.sleep(POLL_S)
    return pace.reports


def _failure(path: Source, report: JobReport) -> str:
    failure = report.failure or {}
    return visible(f"job {report.id}, {path}: {failure.get('kind', '')}: {str(failure.get('message', ''))[:160]}")


@dataclass(kw_only=True)
class Pace:
    """How far the jobs are."""

    total: int
    reports: list[JobReport] = field(default_factory=list)
    failed: int = 0
    in_review: int = 0
    spent: Decimal | None = Decimal(0)
    """None once a job's cost is unknown."""
    began: float = field(default_factory=time.monotonic)
    _waits: str = ""
    _looked_at: float = 0.0

    def note(self, report: JobReport) -> None:
        """One has ended."""
        self.reports.append(report)
        self.failed += report.state in ("failed", "cancelled")
        self.in_review += report.state == "needs_review"
        known = self.spent is not None and report.cost_usd is not None
        self.spent = self.spent + report.cost_usd if known else None  # type: ignore[operator] # both are known

    def look(self, database: Database, waiting: set[int]) -> None:
        """What the others wait for, not too often: they may be thousands."""
        from db.reports import Wanted, counted

        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        with database.work() as connection:
            counts = counted(connection, Wanted(ids=sorted(waiting)))
        self._looked_at = now
        held = Counter({f"for {name.replace('_', ' ')}": number for name, number in counts.reasons.items()})
        queued = counts.states.get("queued", 0)
        parts = [f"{number} wait {name}" for name, number in held.most_common()]
        self._waits = ", ".join([*parts, *([f"{queued} wait for a worker"] if queued else [])])

    @property
    def told(self) -> str:
        """In one line: failures, reviews, pace, money, time left, what is waited for."""
        parts = ["documents"]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.in_review} in review"] if self.in_review else []
        if self.reports:
            taken_s = max(time.monotonic() - self.began, 0.001)
            left_s = (self.total - len(self.reports)) * taken_s / len(self.reports)
            parts += [f"{len(self.reports) / taken_s * 60:.0f} a minute", f"{usd(self.spent)} USD", _left(left_s)]
        return " · ".join([*parts, *([self._waits] if self._waits else [])])


def _left(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 5400 else f"{seconds / 3600:.1f} h left"


def exit_code(reports: Sequence[JobReport], *, refused: bool = False) -> int:
    """0 where all is done, 1 where something failed or was refused, and else 3 where a person is asked."""
    if refused or any(report.state in ("failed", "cancelled") for report in reports):
        return FAILED
    return IN_REVIEW if any(report.state == "needs_review" for report in reports) else 0


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


def print_end(path: Source, report: JobReport) -> None:
    """One object of JSON, as a job ends."""
    plain: dict[str, Any] = report.as_json()
    named = ("id", "name", "document_id", "run_id", "state", "value", "failure", "cost_usd", "model")
    figures = ("input_tokens", "output_tokens", "seconds")
    print_json({"path": str(path), **{name: plain[name] for name in (*named, *figures)}})
