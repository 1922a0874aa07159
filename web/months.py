"""The month of a tenant: what it has cost so far, and where it will end."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

import db.costs
from db import budget_admin, forecasts
from db.budget_admin import Budget
from docmill import money
from docmill.errors import Misconfigured
from docmill.money import Load, Spread
from docmill.settings import Settings
from tasks.loads import load_of
from web.access import Caller

__all__ = ["Month", "outlook"]

MEASURED_DAYS = 90
NOTHING_YET = "no call was answered yet, so that there is nothing to measure"


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month as far as it has come."""

    days: int
    today: float
    """Days that have passed."""
    spent: list[Decimal]
    """Sums at the end of each day so far, today's as of now."""
    known: bool

    @property
    def before_today(self) -> Decimal:
        return self.spent[-2] if len(self.spent) > 1 else Decimal(0)

    @property
    def of_today(self) -> Decimal:
        return self.spent[-1] - self.before_today


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """A month so far, and what is to come as far as the ledger says."""

    now: datetime
    """In the time zone of the settings."""
    month: Month
    load: Load | None
    """None where there is nothing to measure yet."""
    why: str
    """Why there is none."""
    band: list[Spread]
    """What the month will have cost at the end of each day from today on."""
    budgets: list[Budget]
    """Those that the caller may see."""
    cap: Decimal | None

    @property
    def end(self) -> Spread | None:
        """What the month will have cost at its end."""
        return self.band[-1] if self.band else None


def outlook(connection: Connection, settings: Settings, asking: Caller) -> Outlook:
    """Reads the month of the caller's tenant, and looks ahead to its end."""
    now = datetime.now(ZoneInfo(settings.timezone))
    month = _month(connection, asking.tenant, now, settings.timezone)
    load, why = _measured(connection, settings, asking.tenant, now.date())
    budgets = [each for each in budget_admin.listed(connection) if asking.sees(each)]
    return Outlook(
        now=now,
        month=month,
        load=load,
        why=why,
        band=_band(month, load),
        budgets=budgets,
        cap=_cap(budgets, asking.tenant),
    )


def _month(connection: Connection, tenant: str, now: datetime, timezone: str) -> Month:
    rows = db.costs.costs(
        connection, ("day",), timezone=timezone, tenant=tenant, since=now.date().replace(day=1), until=now.date()
    )
    by_day = {row.group["day"]: row.cost_usd for row in rows}
    days = [by_day.get(now.date().replace(day=day).isoformat(), Decimal(0)) for day in range(1, now.day + 1)]
    return Month(
        days=calendar.monthrange(now.year, now.month)[1],
        today=now.day - 1 + (now.hour * 60 + now.minute) / 1440,
        spent=list(accumulate(days)),
        known=not any(row.unpriced or row.possibly_billed for row in rows),
    )


def _measured(connection: Connection, settings: Settings, tenant: str, today: date) -> tuple[Load | None, str]:
    """The tenant's load so far; or why it cannot be measured."""
    found = forecasts.measured(
        connection, timezone=settings.timezone, today=today, days=MEASURED_DAYS, tenant=tenant
    )
    if found is None or not found.tokens:
        return None, NOTHING_YET
    try:
        return Load(**load_of(settings, found)), ""
    except Misconfigured as error:
        return None, str(error)


def _band(month: Month, load: Load | None) -> list[Spread]:
    """What the month will have cost at the end of each day from today on, with what today has cost already."""
    if load is None:
        return []
    coming = money.ahead(load, month.days - int(month.today))
    spent = month.spent[-1] - coming[0].p50 * Decimal(month.today % 1)
    return [Spread(p50=max(month.spent[-1], spent + each.p50), p95=spent + each.p95) for each in coming]


def _cap(budgets: list[Budget], tenant: str) -> Decimal | None:
    """The lowest of what may be spent in a month: by the tenant, or by all together."""
    caps = [
        each.cap_usd
        for each in budgets
        if each.span == "month" and (each.scope == "all" or (each.scope, each.subject) == ("tenant", tenant))
    ]
    return min(caps, default=None)
