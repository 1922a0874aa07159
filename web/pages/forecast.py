"""The month: what it has cost so far, where it will end, and what another load would cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from pydantic import BeforeValidator, Field

from db import forecasts
from docmill import money
from docmill.errors import Misconfigured
from docmill.money import Forecast, Load, Spread
from docmill.settings import Settings
from tasks.loads import prices_of
from web import chart
from web.access import Asking, Database
from web.months import Month, outlook
from web.pages.rendering import budget_bar, render
from web.schemas import Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


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


@router.get("/forecast", response_class=HTMLResponse)
def page(
    request: Request, database: Database, asking: Asking, wish: Annotated[WhatIf, Depends(what_if)]
) -> HTMLResponse:
    """What the month has cost and will; with numbers of one's own, what a load of these would cost."""
    asking.check("read")
    settings: Settings = request.app.state.settings
    with database.work() as connection:
        seen = outlook(connection, settings, asking)
        last = forecasts.score(connection) if asking.may("admin") else None
    told, refused = _told(settings, seen.load, seen.why, wish) if wish.asks else (None, "")
    content: dict[str, Any] = {
        "month": seen.month,
        "now": seen.now,
        "why": seen.why,
        "load": seen.load,
        "end": seen.end,
        "chart": _drawn(seen.month, seen.band, seen.cap),
        "cap": seen.cap,
        "budgets": [budget_bar(each) for each in seen.budgets if each.span != "total"],
        "wish": wish,
        "models": settings.models.names(),
        "told": told,
        "refused": refused,
        "last": last,
        "timezone": settings.timezone,
    }
    return render(request, "forecast.html", content)


def _drawn(month: Month, band: list[Spread], cap: Decimal | None) -> chart.Month:
    return chart.draw_month(
        [float(usd) for usd in month.spent],
        [(float(each.p50), float(each.p95)) for each in band],
        days=month.days,
        today=month.today,
        cap=None if cap is None else float(cap),
    )


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
