"""What people ask of jobs; reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Integer,
    RowMapping,
    ScalarSelect,
    Select,
    bindparam,
    case,
    cast,
    func,
    null,
    select,
    true,
)  # fmt: skip

from db import job_search, tables
from db.tables import calls, documents, jobs, one_of, results, scanned_pages
from db.wanted import Days, Wanted
from docmill.errors import JobUnknown

__all__ = [
    "HELD_FOR",
    "Counts",
    "Days",
    "Held",
    "JobReport",
    "Page",
    "Wanted",
    "counted",
    "drives",
    "each",
    "ended",
    "job_report",
    "page",
    "saved_by_layer",
    "timeline",
]


HELD_FOR = {"rate": "provider", "budget": "budget", "flight": "same_work"}
"""What a held job waits for, by its column ``wait``."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Why a job waits in the database."""

    waits_for: str
    """provider (its limits, or the end of a model's hold), budget, or same_work (another job does it just now)."""
    since: datetime | None
    until: datetime | None
    """When it is looked at again, at the latest; None for the end of the same work."""
    message: str

    def as_json(self) -> dict[str, Any]:
        times = {name: at and at.isoformat() for name, at in (("since", self.since), ("until", self.until))}
        return {"for": self.waits_for, **times, "message": self.message}


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """A job as people see it."""

    id: int
    name: str | None
    """Of its file, as submitted."""
    path: str | None
    """As submitted; of jobs of older versions, their document's name."""
    document_id: int | None
    run_id: int | None
    """Of those that it was submitted with."""
    tenant: str
    prompt: str
    version: str | None
    feature: str
    usr: str
    lane: str
    """interactive or bulk."""
    state: str
    stage: str
    wait: str | None
    value: Any
    """Of the latest result; None where there is none."""
    evidence: Mapping[str, Any] | None
    """Where its values stand: place in the answer to what :class:`docmill.parsing.Place` says."""
    failure: Mapping[str, Any] | None
    """Why it failed, or goes to a person."""
    held: Held | None
    """Why it waits, where it does."""
    model: str | None
    """The provider's name of the model that answered last."""
    input_tokens: int
    output_tokens: int
    calls: int
    cost_usd: Decimal | None
    """None where a call's cost is unknown, also whether it is billed at all."""
    seconds: float | None
    """From submit to end."""
    created_at: datetime
    finished_at: datetime | None
    deadline_at: datetime | None
    idem_key: str | None
    metadata: Mapping[str, Any]
    """What the application that submitted it says of it."""
    warnings: Sequence[Mapping[str, Any]]
    """What reading its document left out or only guessed: ``kind``, ``count``, ``where``."""
    progress: str | None
    """How far OCR has come, while it is read."""

    def as_json(self) -> dict[str, Any]:
        plain = dict(vars(self))
        plain["cost_usd"] = None if self.cost_usd is None else f"{self.cost_usd.normalize():f}"
        for name in ("created_at", "finished_at", "deadline_at"):
            plain[name] = None if plain[name] is None else plain[name].isoformat()
        plain["held"] = None if self.held is None else self.held.as_json()
        plain["user"], plain["idempotency_key"] = plain.pop("usr"), plain.pop("idem_key")
        return plain


OF_ROW = (
    "id", "tenant", "document_id", "run_id", "prompt", "version", "feature", "usr", "lane", "state", "stage",
    "wait", "failure", "created_at", "finished_at", "deadline_at", "idem_key", "metadata", "since", "wake_at",
)  # fmt: skip


@cache
def _reports(*, values: bool = True) -> Select[Any]:
    """What a :class:`JobReport` has, of every job; answers and evidence only where somebody wants them."""
    found, spent = _newest_result(), _spent()
    read = (found.c.value, found.c.evidence) if values else (null().label("value"), null().label("evidence"))
    rows = jobs.outerjoin(documents, documents.c.id == jobs.c.document_id).join(spent, true())
    return select(
        *(jobs.c[name] for name in OF_ROW),
        func.coalesce(jobs.c.name, documents.c.name).label("name"),
        func.coalesce(jobs.c.path, documents.c.name).label("path"),
        *read,
        _answering_model().label("model"),
        *(spent.c[name] for name in ("calls", "input_tokens", "output_tokens")),
        case((func.coalesce(spent.c.unknown, False), None), else_=spent.c.usd).label("cost_usd"),
        cast(func.extract("epoch", jobs.c.finished_at - jobs.c.created_at), Float).label("seconds"),
        documents.c.warnings,
        case((jobs.c.stage == "ocr", _progress())).label("progress"),
    ).select_from(rows.outerjoin(found, true()) if values else rows)


def _newest_result() -> FromClause:
    """A job's answer, of the last revision."""
    return (
        select(results.c.value, results.c.evidence)
        .where(results.c.job_id == jobs.c.id)
        .order_by(results.c.revision.desc())
        .limit(1)
        .lateral("found")
    )


def _spent() -> FromClause:
    """What a job's calls came to; whether some of it is unknown."""
    paid = calls.c.state.in_(("answered", "surplus"))
    return (
        select(
            func.count().label("calls"),
            func.coalesce(cast(func.sum(calls.c.input_tokens), Integer), 0).label("input_tokens"),
            func.coalesce(cast(func.sum(calls.c.output_tokens), Integer), 0).label("output_tokens"),
            func.coalesce(func.sum(calls.c.cost_usd), 0).label("usd"),
            func.bool_or(calls.c.possibly_billed | (paid & calls.c.cost_usd.is_(None))).label("unknown"),
        )
        .where(calls.c.job_id == jobs.c.id)
        .lateral("spent")
    )


def _answering_model() -> ScalarSelect[Any]:
    return (
        select(calls.c.model)
        .where(calls.c.job_id == jobs.c.id, calls.c.state == "answered")
        .order_by(calls.c.started_at.desc())
        .limit(1)
        .scalar_subquery()
    )


def _progress() -> ColumnElement[str]:
    """How many of a document's scans are read."""
    tried = scanned_pages.c.text.is_not(None) | scanned_pages.c.failure.is_not(None)
    done = select(func.count()).where(scanned_pages.c.document_id == jobs.c.document_id, tried).scalar_subquery()
    return func.concat("page ", done, " of ", func.jsonb_array_length(documents.c.scans))


def job_report(
    connection: Connection, job_id: int, *, tenant: str | None = None, values: bool = True
) -> JobReport:
    """With its answer where ``values`` says so. Raises JobUnknown, also for another tenant's job."""
    wanted = _report_of_one(values=values, of_tenant=tenant is not None)
    row = connection.execute(wanted, {"one": job_id, "its_tenant": tenant}).mappings().one_or_none()
    if row is None:
        raise JobUnknown(job_id)
    return _report(row)


@cache
def _report_of_one(*, values: bool, of_tenant: bool) -> Select[Any]:
    """Put together once: that takes several times what the database takes to answer it."""
    wanted = _reports(values=values).where(jobs.c.id == bindparam("one"))
    return wanted.where(jobs.c.tenant == bindparam("its_tenant")) if of_tenant else wanted


def drives(connection: Connection, job_id: int) -> list[dict[str, Any]]:
    """Each publication of a job's chain: ``epoch``, ``stage``, ``cause``, ``at``, and ``late_s``.

    ``late_s`` is for a job that got stuck: seconds from when somebody had to look at it until it was driven again.
    Raises JobUnknown.
    """
    published = tables.drives.c
    late_s = cast(func.extract("epoch", published.at - published.due_at), Float).label("late_s")
    rows = connection.execute(
        select(published.epoch, published.stage, published.cause, published.at, late_s)
        .select_from(jobs.outerjoin(tables.drives, published.job_id == jobs.c.id))
        .where(jobs.c.id == job_id)
        .order_by(published.epoch)
    )
    found = [dict(row) for row in rows.mappings()]
    if not found:
        raise JobUnknown(job_id)
    return [row for row in found if row["epoch"] is not None]


SHOWN_OF_CALLS = (
    "id", "purpose", "attempt", "part", "try", "state", "provider", "model", "input_tokens", "cached_tokens",
    "output_tokens", "cost_usd", "cache_layer", "remedy", "failure_kind", "http_status", "possibly_billed",
    "latency_ms", "started_at",
)  # fmt: skip


def timeline(connection: Connection, job_id: int) -> dict[str, Any]:
    """How a job came to its end: ``stages`` (each publication of its chain) and ``attempts`` (each call).

    ``context`` is how much of a document in parts was asked and found; None of another.
    """
    shown = [calls.c[name] for name in SHOWN_OF_CALLS]
    made = connection.execute(select(*shown).where(calls.c.job_id == job_id).order_by(calls.c.started_at))
    return {
        "stages": drives(connection, job_id),
        "attempts": [_plain(row) for row in made.mappings()],
        "context": connection.execute(select(jobs.c.context["coverage"]).where(jobs.c.id == job_id)).scalar(),
    }


def _plain(row: RowMapping) -> dict[str, Any]:
    return {name: f"{value.normalize():f}" if isinstance(value, Decimal) else value for name, value in row.items()}


def ended(connection: Connection, job_ids: Sequence[int]) -> list[JobReport]:
    """Those of the jobs that have ended."""
    those = _reports().where(one_of(jobs.c.id, job_ids), jobs.c.wait.is_(None))
    rows = connection.execute(those.order_by(jobs.c.finished_at))
    return [_report(row) for row in rows.mappings()]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some of the jobs that fit."""

    jobs: list[JobReport]
    looked_to: int | None
    """How far was looked for as many as were asked for; None where there are as many, or no more."""


def page(connection: Connection, wanted: Wanted, *, limit: int, values: bool = True) -> Page:
    """The latest of the jobs, the newest first; answers and evidence are None unless they are wanted too.

    ``connection`` is of a :meth:`db.database.Database.snapshot`, as in :func:`db.job_search.latest`.
    """
    found = job_search.latest(connection, wanted, limit=limit)
    rows = connection.execute(
        _reports(values=values).where(one_of(jobs.c.id, found.ids)).order_by(jobs.c.id.desc())
    )
    return Page(jobs=[_report(row) for row in rows.mappings()], looked_to=found.looked_to)


def each(
    connection: Connection, wanted: Wanted, *, limit: int | None = None, batch: int = 200
) -> Iterator[JobReport]:
    """Every one of the jobs by its id, the oldest first, read a few at a time: they may be a million."""
    reported = _reports().where(*wanted.conditions()).order_by(jobs.c.id).limit(limit)
    with connection.execution_options(yield_per=batch).execute(reported) as rows:
        for row in rows.mappings():
            yield _report(row)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many of the jobs are in each state, and why those failed, wait, or go to a person."""

    total: int
    states: Mapping[str, int]
    reasons: Mapping[str, int]
    """By the kind of the failure; of those that are held, by what they wait for."""


def counted(connection: Connection, wanted: Wanted) -> Counts:
    """Counts all of the jobs, whatever page of them is shown."""
    held_for = case(*((jobs.c.wait == wait, reason) for wait, reason in HELD_FOR.items()), else_=jobs.c.wait)
    ended = func.coalesce(jobs.c.failure["kind"].astext, "")
    reason = case((jobs.c.state == "held", held_for), (jobs.c.wait.is_(None), ended), else_="").label("reason")
    rows = connection.execute(
        select(jobs.c.state, reason, func.count().label("number"))
        .select_from(jobs)
        .where(*replace(wanted, before=None).conditions())
        .group_by(jobs.c.state, reason)
    ).all()
    states, reasons = Counter[str](), Counter[str]()
    for row in rows:
        states[row.state] += row.number
        reasons[row.reason] += row.number
    del reasons[""]
    return Counts(total=states.total(), states=dict(states), reasons=dict(reasons.most_common()))


def _report(row: RowMapping) -> JobReport:
    """A failure is of those that ended: what a held job met is why it waits."""
    fields = dict(row)
    since, wake_at, failure = fields.pop("since"), fields.pop("wake_at"), fields["failure"]
    fields["warnings"] = fields["warnings"] if isinstance(fields["warnings"], list) else []
    held = None
    if row["state"] == "held":
        held = Held(
            waits_for=HELD_FOR.get(row["wait"], row["wait"] or ""),
            since=since,
            until=None if row["wait"] == "flight" else wake_at,
            message=str(failure.get("message", "")) if isinstance(failure, dict) else "",
        )
    return JobReport(**(fields | {"failure": failure if row["wait"] is None else None}), held=held)


def saved_by_layer(connection: Connection) -> dict[str, tuple[int, Decimal | None]]:
    """Calls that were not made because a layer knew their answer, and the USD that they saved; None is unknown."""
    rows = connection.execute(
        select(calls.c.cache_layer, func.count().label("calls"), func.sum(calls.c.saved_usd).label("usd"))
        .where(calls.c.state == "cached")
        .group_by(calls.c.cache_layer)
        .order_by(calls.c.cache_layer)
    )
    return {row.cache_layer: (row.calls, row.usd) for row in rows}
