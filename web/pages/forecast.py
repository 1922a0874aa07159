"""The month: what it has cost so far, where it will end, and what another load would cost."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from pydantic import BeforeValidator, Field
from sqlalchemy import Connection

import db.costs
from db import budget_admin, forecasts
from db.budget_admin import Budget
from docmill import money
from docmill.errors import Misconfigured
from docmill.money import Forecast, Load, Spread
from docmill.settings import Settings
from tasks.loads import load_of, prices_of
from web import chart
from web.access import Asking, Database
from web.pages.models import is_seen
from web.pages.rendering import budget_bar, render
from web.schemas import Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

MEASURED_DAYS = 90
NOTHING_YET = "no call was answered yet, so that there is nothing to measure"


def _said(value: object) -> object:
    """A field of a form that was left empty says nothing."""
    return value or None


Left = BeforeValidator(_said)
Share = Annotated[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None, Left]


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """What is to be different; None is as it was measured."""

    requests_per_day: float | None = None
    scale: float | None = None
    cache_hit_rate: float | None = None
    retry_rate: float | None = None
    escalation_rate: float | None = None
    model: str | None = None
    """The only one that is asked first, as ladders name it."""

    @property
    def asks(self) -> bool:
        return any(value is not None for value in vars(self).values())


def what_if(
    requests_per_day: Annotated[Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None, Left] = None,
    scale: Annotated[Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None, Left] = None,
    cache_hit_rate: Share = None,
    retry_rate: Annotated[Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None, Left] = None,
    escalation_rate: Share = None,
    model: Storable | None = None,
) -> WhatIf:
    """As the address has it."""
    return WhatIf(
        requests_per_day=requests_per_day,
        scale=scale,
        cache_hit_rate=cache_hit_rate,
        retry_rate=retry_rate,
        escalation_rate=escalation_rate,
        model=model or None,
    )


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


@router.get("/forecast", response_class=HTMLResponse)
def page(
    request: Request, database: Database, asking: Asking, wish: Annotated[WhatIf, Depends(what_if)]
) -> HTMLResponse:
    """What the month has cost and will; with numbers of one's own, what a load of these would cost."""
    asking.check("read")
    settings: Settings = request.app.state.settings
    now = datetime.now(ZoneInfo(settings.timezone))
    with database.work() as connection:
        month = _month(connection, asking.tenant, now, settings.timezone)
        load, why = _measured(connection, settings, asking.tenant, now.date())
        budgets = [each for each in budget_admin.listed(connection) if is_seen(each, asking)]
        last = forecasts.score(connection) if asking.may("admin") else None
    band = _band(month, load)
    cap = _cap(budgets, asking.tenant)
    told, refused = _told(settings, load, why, wish) if wish.asks else (None, "")
    content: dict[str, Any] = {
        "month": month,
        "now": now,
        "why": why,
        "load": load,
        "end": band[-1] if band else None,
        "chart": _drawn(month, band, cap),
        "cap": cap,
        "budgets": [budget_bar(each) for each in budgets if each.span != "total"],
        "wish": wish,
        "models": settings.models.names(),
        "told": told,
        "refused": refused,
        "last": last,
        "timezone": settings.timezone,
    }
    return render(request, "forecast.html", content)


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


def _drawn(month: Month, band: list[Spread], cap: Decimal | None) -> chart.Month:
    return chart.draw_month(
        [float(usd) for usd in month.spent],
        [(float(each.p50), float(each.p95)) for each in band],
        days=month.days,
        today=month.today,
        cap=None if cap is None else float(cap),
    )


def _cap(budgets: list[Budget], tenant: str) -> Decimal | None:
    """The lowest of what may be spent in a month: by the tenant, or by all together."""
    caps = [
        each.cap_usd
        for each in budgets
        if each.span == "month" and (each.scope == "all" or (each.scope, each.subject) == ("tenant", tenant))
    ]
    return min(caps, default=None)


def _told(settings: Settings, load: Load | None, why: str, wish: WhatIf) -> tuple[Forecast | None, str]:
    """What that would cost, or why nobody can say."""
    if load is None:
        return None, why
    given = {name: value for name, value in vars(wish).items() if value is not None and name != "model"}
    try:
        if wish.model is not None:
            if wish.model not in settings.models.names():
                return None, f"there is no model {wish.model}"
            asked, answered = prices_of(settings, settings.models.find(wish.model).model)
            given |= {"input_price": asked, "output_price": answered}
        return money.forecast(replace(load, **given)), ""
    except (Misconfigured, ValueError) as error:
        return None, str(error)
