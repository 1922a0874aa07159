"""Runs: documents that were submitted together, and how far they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, func, select

from db import reports
from db.reports import Counts, JobReport, Wanted
from db.statements import statements_of
from db.tables import jobs, runs
from docmill.errors import RunUnknown

__all__ = [
    "Cause",
    "Run",
    "RunCounts",
    "RunProgress",
    "begin",
    "close",
    "drop_empty",
    "find",
    "first_failures",
    "listed",
    "paths",
    "progress",
    "state_of",
]

SQL = statements_of("runs")

Cause: TypeAlias = Literal["submit", "api", "schedule"]
State: TypeAlias = Literal["running", "ended"]
ENDS = ("done", "needs_review", "failed", "cancelled")
FAILURES_SHOWN = 5
RATED_OVER_S = 60
"""How fast it goes is what ended within so many seconds."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Documents that were submitted together."""

    id: int
    tenant: str
    name: str
    cause: Cause
    submit: Mapping[str, Any]
    """What is wanted of each: prompt, version, feature, user."""
    metadata: Mapping[str, Any]
    expected: int | None
    """How many there will be; None where nobody has said."""
    created_at: datetime
    closed_at: datetime | None
    """When its last document was submitted; None for one that takes more."""

    def as_json(self) -> dict[str, Any]:
        closed_at = None if self.closed_at is None else self.closed_at.isoformat()
        return {**vars(self), "created_at": self.created_at.isoformat(), "closed_at": closed_at}


@dataclass(frozen=True, kw_only=True)
class RunCounts(Counts):
    """How many jobs of a run there are, in each state, and why."""

    afresh: int
    """Of the total: asked once more, so that they are no further documents."""

    @property
    def documents(self) -> int:
        """How many came, as ``expected`` has them."""
        return self.total - self.afresh


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run is, what it cost, and what stands in its way."""

    counts: RunCounts
    cost_usd: Decimal | None
    """None where a call's cost is unknown."""
    cost_of: int | None
    """So many of those that are done were summed, and no others; None where all calls were."""
    accepted_usd_each: Decimal | None
    """For each document that is done; None before the first, and where the cost is unknown."""
    ended: int
    per_minute: float
    """Documents that ended within the last minute."""
    eta_s: float | None
    """Until the last has ended, at that pace; None where nothing ends."""

    @property
    def open(self) -> int:
        return self.counts.total - self.ended

    def as_json(self) -> dict[str, Any]:
        amounts = {
            name: None if amount is None else f"{amount.normalize():f}"
            for name, amount in (("cost_usd", self.cost_usd), ("accepted_usd_each", self.accepted_usd_each))
        }
        figures = {"ended": self.ended, "open": self.open, "per_minute": self.per_minute, "eta_s": self.eta_s}
        return {**vars(self.counts), **amounts, **figures}


def begin(
    connection: Connection,
    *,
    tenant: str,
    name: str,
    cause: Cause,
    submit: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    expected: int | None = None,
    key: str | None = None,
) -> Run:
    """Begins a run; or goes on with one of the same ``key`` that was begun and never closed.

    Of the API's callers a key is one run's for ever: who sends the same request again means no other.
    """
    values: dict[str, object] = {"tenant": tenant, "name": name, "cause": cause, "expected": expected, "key": key}
    written = {"submit": json.dumps(dict(submit)), "metadata": json.dumps(dict(metadata or {}))}
    begun = int(SQL["begin"].scalar(connection, values | written))
    return find(connection, begun if cause != "api" else _first_of_its_key(connection, begun, tenant, key))


def _first_of_its_key(connection: Connection, begun: int, tenant: str, key: str | None) -> int:
    """What was closed just while this one was begun is the run, and this one is none."""
    closed = None if key is None else SQL["closed_meanwhile"].first(connection, {"tenant": tenant, "key": key})
    if closed is None or closed.id == begun:
        return begun
    drop_empty(connection, begun)
    return int(closed.id)


def close(connection: Connection, run_id: int) -> None:
    """Its last document is submitted: the same files again are no part of it. One that is closed stays as it is.

    Who submits to it just now is waited for (:func:`find` with ``fills``), so that no document comes after it.
    """
    SQL["close"].count(connection, {"id": run_id})


def drop_empty(connection: Connection, run_id: int) -> None:
    """Removes a run to which nothing came."""
    SQL["drop_empty"].count(connection, {"id": run_id})


def find(connection: Connection, run_id: int, *, tenant: str | None = None, fills: bool = False) -> Run:
    """Raises RunUnknown, also for another tenant's run. While somebody ``fills`` it, nobody closes it."""
    wanted = select(*_columns()).where(runs.c.id == run_id)
    if fills:
        wanted = wanted.with_for_update(read=True)
    if tenant is not None:
        wanted = wanted.where(runs.c.tenant == tenant)
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise RunUnknown(run_id)
    return Run(**row)


def listed(
    connection: Connection, *, tenant: str | None = None, before: int | None = None, limit: int
) -> list[tuple[Run, RunCounts]]:
    """The latest runs, the newest first, each with how far it is."""
    wanted = select(*_columns()).order_by(runs.c.id.desc()).limit(limit)
    if tenant is not None:
        wanted = wanted.where(runs.c.tenant == tenant)
    if before is not None:
        wanted = wanted.where(runs.c.id < before)
    found = [Run(**row) for row in connection.execute(wanted).mappings()]
    counts = _counted(connection, [run.id for run in found])
    return [(run, counts[run.id]) for run in found]


def _counted(connection: Connection, ids: Sequence[int]) -> dict[int, RunCounts]:
    """As :func:`db.reports.counted` for each of the runs, and without a look at what is done."""
    states = {run: Counter[str]() for run in ids}
    reasons = {run: Counter[str]() for run in ids}
    afresh = Counter[int]()
    for row in SQL["counts"].rows(connection, {"runs": list(ids)}):
        if row.afresh:
            afresh[row.run] = row.jobs
        elif row.state:
            states[row.run][row.state] += row.jobs
        elif row.reason:
            reasons[row.run][reports.HELD_FOR.get(row.reason, row.reason) if row.held else row.reason] += row.jobs
    return {
        run: RunCounts(
            total=states[run].total(),
            states=dict(states[run]),
            reasons=dict(reasons[run].most_common()),
            afresh=afresh[run],
        )
        for run in ids
    }


def _columns() -> list[Any]:
    return [runs.c[name] for name in Run.__dataclass_fields__]


def state_of(run: Run, counts: RunCounts) -> State:
    """``ended`` once all its jobs have, and it takes no more: it is closed, or has as many as were expected."""
    takes_more = run.closed_at is None and (run.expected is None or counts.documents < run.expected)
    return "running" if takes_more or _ended(counts) < counts.total else "ended"


def progress(connection: Connection, run_id: int, *, at_most: int | None = None) -> RunProgress:
    """Returns how far a run is; of one of more jobs than ``at_most`` costs are summed of as many that are done."""
    counts = _counted(connection, [run_id])[run_id]
    some = at_most is not None and counts.total > at_most
    row = SQL["spent_on_some" if some else "spent"].one(connection, {"run": run_id, "most": at_most})
    usd = None if row.unknown else Decimal(row.usd)
    done = counts.states.get("done", 0)
    paid_for = min(done, at_most or done) if some else done
    ended = _ended(counts)
    per_minute = _pace(connection, run_id)
    return RunProgress(
        counts=counts,
        cost_usd=usd,
        cost_of=paid_for if some else None,
        accepted_usd_each=None if usd is None or not paid_for else (usd / paid_for).quantize(Decimal("1e-10")),
        ended=ended,
        per_minute=per_minute,
        eta_s=_eta(counts.total - ended, per_minute),
    )


def _ended(counts: Counts) -> int:
    return sum(counts.states.get(state, 0) for state in ENDS)


def _pace(connection: Connection, run_id: int) -> float:
    """Documents a minute, of late."""
    row = SQL["pace"].one(connection, {"run": run_id, "over_s": RATED_OVER_S})
    return 0.0 if not row.jobs or not row.over_s else round(row.jobs * 60.0 / max(row.over_s, 1.0), 1)


def _eta(left: int, per_minute: float) -> float | None:
    if not left:
        return 0.0
    return round(left / per_minute * 60, 1) if per_minute else None


def first_failures(connection: Connection, run_id: int, *, limit: int = FAILURES_SHOWN) -> list[JobReport]:
    """The first of its jobs that failed, for who looks why."""
    wanted = Wanted(run=run_id, states=("failed",))
    return list(reports.each(connection, wanted, limit=limit))


def paths(connection: Connection, run_id: int) -> dict[int, str]:
    """Its jobs by id, each with its path as submitted."""
    rows = connection.execute(
        select(jobs.c.id, func.coalesce(jobs.c.path, jobs.c.name, ""))
        .where(jobs.c.run_id == run_id)
        .order_by(jobs.c.id)
    )
    return {row[0]: row[1] for row in rows}
