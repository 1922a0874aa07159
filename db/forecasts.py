"""What the ledger says of the load so far, and forecasts that were made of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from db.costs import CostRow, costs
from db.statements import statements_of
from db.tables import calls, jobs
from docmill.money import DAYS_A_MONTH, Forecast

__all__ = ["Measured", "Score", "keep", "measured", "score"]

SQL = statements_of("forecasts")

SAMPLED_JOBS = 3000
SAMPLED_CALLS = 3000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A load as the ledger shows it, whole days only where there are some."""

    requests_per_day: Sequence[int]
    tokens: Sequence[tuple[int, int]]
    """Input and output of the newest requests."""
    model: str
    """The provider's name of the model that most requests go to first."""
    stronger: str | None
    """The one that most are escalated to."""
    cache_hit_rate: float
    retry_rate: float
    escalation_rate: float


@dataclass(frozen=True, kw_only=True)
class Score:
    """The last forecast, held against what was spent since; amounts in USD."""

    made_at: datetime
    days: float
    """How many days of the month have passed, 30 at most."""
    spent: Decimal
    p50: Decimal
    p95: Decimal
    """Both for so many days of the month."""
    unpriced: int
    """Answers whose cost nobody knows, and which ``spent`` leaves out."""
    formula: str


def measured(
    connection: Connection, *, timezone: str, today: date, days: int, tenant: str | None = None
) -> Measured | None:
    """The load of the last ``days`` days before today; of today, if nothing was asked before. None without any.

    Of all tenants, unless one is named.
    """
    for since, until in ((today - timedelta(days=days), today - timedelta(days=1)), (today, today)):
        by = ["day", "model", "remedy"]
        rows = costs(connection, by, timezone=timezone, since=since, until=until, tenant=tenant)
        if any(_asked(row) for row in rows):
            return _measured(rows, _sample(connection, tenant), until)
    return None


def _measured(rows: Sequence[CostRow], tokens: Sequence[tuple[int, int]], until: date) -> Measured:
    """Calls without a remedy are first ones. Further calls are retries, or escalations if to another model."""
    by_day: Counter[date] = Counter()
    first: Counter[str] = Counter()
    further: Counter[str] = Counter()
    for row in rows:
        by_day[date.fromisoformat(row.group["day"])] += _asked(row)
        paid = first if not row.group["remedy"] else further
        paid[row.group["model"]] += row.calls - row.cached - row.failed
    requests, cached = by_day.total(), sum(row.cached for row in rows)
    model = first.most_common(1)[0][0]
    retries = further.pop(model, 0)
    uncached = max(1, requests - cached)
    begun = min(by_day)
    return Measured(
        requests_per_day=[by_day[begun + timedelta(days=day)] for day in range((until - begun).days + 1)],
        tokens=tokens,
        model=model,
        stronger=further.most_common(1)[0][0] if further.total() else None,
        cache_hit_rate=min(1.0, cached / requests),
        retry_rate=retries / uncached,
        escalation_rate=min(1.0, further.total() / uncached),
    )


def _asked(row: CostRow) -> int:
    return row.calls if not row.group["remedy"] else 0


def _sample(connection: Connection, tenant: str | None) -> list[tuple[int, int]]:
    latest = select(jobs.c.id).order_by(jobs.c.id.desc()).limit(SAMPLED_JOBS)
    newest = (latest if tenant is None else latest.where(jobs.c.tenant == tenant)).subquery("newest")
    asked = calls.c.input_tokens, calls.c.output_tokens
    rows = connection.execute(
        select(*asked)
        .join_from(newest, calls, calls.c.job_id == newest.c.id)
        .where(calls.c.purpose == "first", calls.c.state == "answered", *(each.is_not(None) for each in asked))
        .limit(SAMPLED_CALLS)
    )
    return [(row.input_tokens, row.output_tokens) for row in rows]


def keep(connection: Connection, found: Forecast, load: Mapping[str, Any]) -> int:
    """Keeps a forecast for its score; its number."""
    amounts = {
        "day_p50_usd": found.day.p50,
        "day_p95_usd": found.day.p95,
        "month_p50_usd": found.month.p50,
        "month_p95_usd": found.month.p95,
    }
    values = {"load": json.dumps(dict(load), default=str), "formula": found.formula, **amounts}
    return int(SQL["keep"].scalar(connection, values))


def score(connection: Connection) -> Score | None:
    """The last forecast against the ledger since then; None where none was made."""
    row = SQL["score"].first(connection, {"days_a_month": DAYS_A_MONTH})
    if row is None:
        return None
    share = Decimal(row.days) / DAYS_A_MONTH
    return Score(
        made_at=row.made_at,
        days=float(row.days),
        spent=row.usd,
        p50=row.month_p50_usd * share,
        p95=row.month_p95_usd * share,
        unpriced=row.unpriced,
        formula=row.formula,
    )
