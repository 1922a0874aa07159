"""What people ask of jobs; reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from docmill.errors import JobUnknown

__all__ = ["Days", "JobReport", "drives", "ended", "job_report", "recent", "saved_by_layer", "timeline"]


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """A job as people see it."""

    id: int
    name: str | None
    """Of its document."""
    prompt: str
    version: str | None
    feature: str
    usr: str
    state: str
    stage: str
    wait: str | None
    value: Any
    """Of the latest result; None where there is none."""
    evidence: Mapping[str, Any] | None
    """Where its values stand in the document's text: place in the answer to ``start`` and ``end``."""
    failure: Mapping[str, Any] | None
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

    def as_json(self) -> dict[str, Any]:
        plain = dict(vars(self))
        plain["cost_usd"] = None if self.cost_usd is None else f"{self.cost_usd.normalize():f}"
        plain["created_at"] = self.created_at.isoformat()
        plain["user"] = plain.pop("usr")
        return plain


REPORT = """
select j.id, d.name, j.prompt, j.version, j.feature, j.usr, j.state, j.stage, j.wait, j.failure, j.created_at,
  r.value, r.evidence, c.model, coalesce(c.input_tokens, 0)::int as input_tokens,
  coalesce(c.output_tokens, 0)::int as output_tokens,
  coalesce(c.calls, 0)::int as calls,
  case when coalesce(c.unknown, 0) = 0 then coalesce(c.cost_usd, 0) end as cost_usd,
  extract(epoch from j.finished_at - j.created_at)::float as seconds
from jobs j
left join documents d on d.id = j.document_id
left join lateral (
  select value, evidence from results where job_id = j.id order by revision desc limit 1) r on true
left join lateral (
  select count(*) as calls, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    sum(cost_usd) as cost_usd,
    count(*) filter (where possibly_billed or (state in ('answered', 'surplus') and cost_usd is null)) as unknown,
    (array_agg(model order by started_at desc) filter (where state = 'answered'))[1] as model
  from calls where job_id = j.id) c on true
"""


def job_report(connection: Connection, job_id: int, *, tenant: str | None = None) -> JobReport:
    """Raises JobUnknown, also for another tenant's job."""
    row = (
        connection.execute(
            text(f"{REPORT} where j.id = :id and (cast(:tenant as text) is null or j.tenant = :tenant)"),
            {"id": job_id, "tenant": tenant},
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise JobUnknown(job_id)
    return _report(row)


def drives(connection: Connection, job_id: int) -> list[dict[str, Any]]:
    """Each publication of a job's chain: ``epoch``, ``stage``, ``cause``, ``at``, and ``late_s``.

    ``late_s`` is for a job that got stuck: seconds from when somebody had to look at it until it was driven again.
    Raises JobUnknown.
    """
    rows = connection.execute(
        text(
            "select d.epoch, d.stage, cause, at, extract(epoch from at - due_at)::float as late_s"
            " from jobs j left join drives d on d.job_id = j.id where j.id = :id order by d.epoch"
        ),
        {"id": job_id},
    )
    found = [dict(row) for row in rows.mappings()]
    if not found:
        raise JobUnknown(job_id)
    return [row for row in found if row["epoch"] is not None]


def timeline(connection: Connection, job_id: int) -> dict[str, list[dict[str, Any]]]:
    """How a job came to its end: ``stages`` (each publication of its chain) and ``attempts`` (each call)."""
    calls = connection.execute(
        text(
            "select id, purpose, attempt, try, state, provider, model, input_tokens, cached_tokens, output_tokens,"
            " cost_usd, cache_layer, remedy, failure_kind, http_status, possibly_billed, latency_ms, started_at"
            " from calls where job_id = :id order by started_at"
        ),
        {"id": job_id},
    )
    return {
        "stages": drives(connection, job_id),
        "attempts": [_plain(row) for row in calls.mappings()],
    }


def _plain(row: RowMapping) -> dict[str, Any]:
    return {name: f"{value.normalize():f}" if isinstance(value, Decimal) else value for name, value in row.items()}


def ended(connection: Connection, job_ids: Sequence[int]) -> list[JobReport]:
    """Those of the jobs that have ended."""
    rows = connection.execute(
        text(f"{REPORT} where j.id = any(:ids) and j.wait is null order by j.finished_at"), {"ids": list(job_ids)}
    )
    return [_report(row) for row in rows.mappings()]


@dataclass(frozen=True, kw_only=True)
class Days:
    """Days in a time zone, both included; None has no end."""

    since: date | None = None
    until: date | None = None
    timezone: str


def recent(
    connection: Connection,
    *,
    limit: int,
    stuck: bool = False,
    state: str | None = None,
    tenant: str | None = None,
    feature: str | None = None,
    user: str | None = None,
    before: int | None = None,
    called: Days | None = None,
) -> list[JobReport]:
    """The latest jobs, the newest first; None leaves a condition out.

    ``stuck`` are those that somebody should have looked at, or that broke workers; ``called`` are the days on one
    of which a call was made for them.
    """
    conditions = [
        f"j.{column} {sign} :{name}"
        for name, column, sign, value in (
            ("state", "state", "=", state),
            ("tenant", "tenant", "=", tenant),
            ("feature", "feature", "=", feature),
            ("user", "usr", "=", user),
            ("before", "id", "<", before),
        )
        if value is not None
    ]
    if stuck:
        conditions.append(STUCK)
    if called is not None and (called.since or called.until):
        conditions.append(CALLED)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    values = {"state": state, "tenant": tenant, "feature": feature, "user": user, "before": before, "limit": limit}
    values |= asdict(called) if called else {}
    rows = connection.execute(text(f"{REPORT} {where} order by j.id desc limit :limit"), values)
    return [_report(row) for row in rows.mappings()]


CALLED = (
    "exists (select from calls where calls.job_id = j.id"
    " and (cast(:since as date) is null"
    " or started_at >= cast(:since as date)::timestamp at time zone :timezone)"
    " and (cast(:until as date) is null"
    " or started_at < (cast(:until as date) + 1)::timestamp at time zone :timezone))"
)
STUCK = (
    "j.wait is not null and (j.crashes > 0 or j.redrives > 2"
    " or (j.wait <> 'unsent' and j.wake_at < clock_timestamp() - interval '30 s'))"
)


def _report(row: RowMapping) -> JobReport:
    return JobReport(**row)


def saved_by_layer(connection: Connection) -> dict[str, tuple[int, Decimal | None]]:
    """Calls that were not made because a layer knew their answer, and the USD that they saved; None is unknown."""
    rows = connection.execute(
        text(
            "select cache_layer, count(*) as calls, sum(saved_usd) as usd from calls"
            " where state = 'cached' group by cache_layer order by cache_layer"
        )
    )
    return {row.cache_layer: (row.calls, row.usd) for row in rows}
