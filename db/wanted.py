"""Which jobs are asked for, as conditions of a query of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import TIMESTAMP, ColumnElement, Date, FromClause, cast, func, literal_column, select

from db.tables import calls, documents, jobs, one_of

__all__ = ["Days", "Wanted"]


@dataclass(frozen=True, kw_only=True)
class Days:
    """Days in a time zone, both included; None has no end."""

    since: date | None = None
    until: date | None = None
    timezone: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which jobs are asked for; what is None, or empty, asks for nothing."""

    states: Sequence[str] = ()
    tenant: str | None = None
    feature: str | None = None
    user: str | None = None
    prompt: str | None = None
    name: str | None = None
    """What the file's name or path holds, in whatever case."""
    cause: str | None = None
    """The kind of the failure."""
    run: int | None = None
    version: str | None = None
    document: int | None = None
    """The document's id."""
    model: str | None = None
    """The provider's name of one that answered it."""
    ids: Sequence[int] | None = None
    """No others than these."""
    since: datetime | None = None
    """Submitted then, or later."""
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    before: int | None = None
    """Of a smaller id."""
    after: int | None = None
    """Of a larger id."""
    stuck: bool = False
    """Those that somebody should have looked at, or that broke workers."""
    called: Days | None = None
    """The days on one of which a call was made for them."""

    def conditions(self, row: FromClause = jobs) -> list[ColumnElement[bool]]:
        """As a query of jobs, or of what has their columns, takes them."""
        return _conditions(self, row)


def _conditions(wanted: Wanted, row: FromClause) -> list[ColumnElement[bool]]:
    same = (
        (row.c.tenant, wanted.tenant),
        (row.c.feature, wanted.feature),
        (row.c.usr, wanted.user),
        (row.c.prompt, wanted.prompt),
        (row.c.run_id, wanted.run),
        (row.c.version, wanted.version),
        (row.c.document_id, wanted.document),
    )
    found = [column == value for column, value in same if value is not None]
    if wanted.states:
        found.append(row.c.state.in_(wanted.states))
    if wanted.name is not None:
        known = select(documents.c.name).where(documents.c.id == row.c.document_id).scalar_subquery()
        path = func.coalesce(row.c.path, known, "")
        found.append(func.strpos(func.lower(path), wanted.name.lower()) > 0)
    if wanted.cause is not None:
        found.append((row.c.failure["kind"].astext == wanted.cause) & row.c.wait.is_(None))
    if wanted.ids is not None:
        found.append(one_of(row.c.id, wanted.ids))
    if wanted.model is not None:
        found.append(_has_call(row, calls.c.state == "answered", calls.c.model == wanted.model))
    found += _times(wanted, row)
    if wanted.before is not None:
        found.append(row.c.id < wanted.before)
    if wanted.after is not None:
        found.append(row.c.id > wanted.after)
    if wanted.stuck:
        found.append(_stuck(row))
    if wanted.called is not None and (wanted.called.since or wanted.called.until):
        found.append(_called(wanted.called, row))
    return found


def _times(wanted: Wanted, row: FromClause) -> list[ColumnElement[bool]]:
    given = (
        (row.c.created_at, wanted.since, wanted.created_before),
        (row.c.finished_at, wanted.finished_after, wanted.finished_before),
    )
    since = [column >= first for column, first, _ in given if first is not None]
    return since + [column < end for column, _, end in given if end is not None]


def _stuck(row: FromClause) -> ColumnElement[bool]:
    late = row.c.wake_at < func.clock_timestamp() - timedelta(seconds=30)
    return row.c.wait.is_not(None) & (
        (row.c.crashes > 0) | (row.c.redrives > 2) | ((row.c.wait != "unsent") & late)
    )


def _called(days: Days, row: FromClause) -> ColumnElement[bool]:
    # As a sum, so that no index of times is asked for all calls of those days, and that for each of the jobs.
    began = calls.c.started_at + literal_column("interval '0'")
    made = []
    if days.since is not None:
        made.append(began >= _begin(cast(days.since, Date), days.timezone))
    if days.until is not None:
        made.append(began < _begin(cast(days.until, Date) + 1, days.timezone))
    return _has_call(row, *made)


def _has_call(row: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a job has such a call; with ``offset`` it is asked of its own calls, job by job."""
    its = select(calls.c.id).where(calls.c.job_id == row.c.id, *conditions).offset(literal_column("0"))
    return its.correlate(row).exists()


def _begin(day: ColumnElement[Any], timezone: str) -> ColumnElement[Any]:
    """When a day begins in a time zone: as Postgres says, where the clocks change at midnight."""
    return func.timezone(timezone, cast(day, TIMESTAMP))
