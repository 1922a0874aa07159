"""What it cost: as JSON, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pygal
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel, ConfigDict, Field
from pygal.style import Style

from db import reports
from db.reports import CostRow
from docmill import money
from web.access import Database, Tenant

__all__ = ["router"]

router = APIRouter(tags=["costs"])
pages = Jinja2Templates(Path(__file__).parent / "pages")

STYLE = Style(
    background="transparent", plot_background="transparent", font_family="system-ui, sans-serif",
    label_font_size=14, major_label_font_size=14, legend_font_size=14, tooltip_font_size=14,
    colors=("#2f5d62", "#c8553d", "#588157", "#7d5ba6", "#d4a373", "#457b9d"),
)  # fmt: skip


@router.get("/v1/costs", summary="The ledger, summed")
def costs(
    request: Request,
    engine: Database,
    tenant: Tenant,
    by: Annotated[
        str, Query(description="Some of feature, user, day, model, prompt, parted by commas")
    ] = "feature",
) -> dict[str, Any]:
    """`unpriced` are answers whose cost is unknown: they are not in `cost_usd`."""
    names = [name.strip() for name in by.split(",") if name.strip()]
    with engine.connect() as connection:
        rows = reports.costs(connection, names, timezone=request.app.state.settings.timezone, tenant=tenant)
    return {"by": names, "rows": [row.as_json() for row in rows], "total_usd": f"{_total(rows):f}"}


class LoadWanted(BaseModel):
    """What is asked of the models, a day."""

    model_config = ConfigDict(extra="forbid")

    requests_per_day: float = Field(ge=0)
    input_tokens: float = Field(ge=0, description="Of one request")
    output_tokens: float = Field(ge=0, description="Of one request")
    input_price: Decimal = Field(ge=0, description="USD a million tokens")
    output_price: Decimal = Field(ge=0, description="USD a million tokens")
    cache_hit_rate: float = Field(0, ge=0, le=1)
    retry_rate: float = Field(0, ge=0)
    escalation_rate: float = Field(0, ge=0, le=1)
    scale: float = Field(1, ge=0)


@router.post("/v1/forecast", summary="What a load will cost")
def forecast(load: LoadWanted, _: Tenant) -> dict[str, Any]:
    """At most `p50` half of the times, at most `p95` 95 times in a hundred, in USD."""
    found = money.forecast(money.Load(**dict(load)))
    spans = {"day": found.day, "month": found.month}
    told = {name: {"p50": f"{span.p50:f}", "p95": f"{span.p95:f}"} for name, span in spans.items()}
    return {**told, "formula": found.formula}


@router.get("/costs", response_class=HTMLResponse, include_in_schema=False)
def page(
    request: Request, engine: Database, tenant: Tenant, feature: str | None = None, user: str | None = None
) -> HTMLResponse:
    """Costs by feature, user and day, with the jobs behind a figure."""
    timezone = request.app.state.settings.timezone
    with engine.connect() as connection:
        tables = {
            name: reports.costs(connection, [name], timezone=timezone, tenant=tenant)
            for name in ("feature", "user", "day")
        }
        daily = reports.costs(connection, ["day", "feature"], timezone=timezone, tenant=tenant)
        by_model = reports.costs(connection, ["model"], timezone=timezone, tenant=tenant)
        behind = reports.recent(connection, limit=50, tenant=tenant, feature=feature, user=user)
    return pages.TemplateResponse(
        request,
        "costs.html",
        {
            "tables": tables,
            "chart": _chart(daily),
            "jobs": behind,
            "feature": feature,
            "user": user,
            "total": _total(tables["feature"]),
            "unpriced": sum(row.unpriced for row in tables["feature"]),
            "timezone": timezone,
            "simulated": sorted(row.group["model"] for row in by_model if row.group["model"].startswith("sim-")),
        },
    )


def _total(rows: Sequence[CostRow]) -> Decimal:
    return sum((row.cost_usd for row in rows), Decimal(0))


def _chart(rows: Sequence[CostRow]) -> str:
    """Cost a day, a colour a feature, as SVG."""
    days = sorted({row.group["day"] for row in rows})
    chart = pygal.StackedBar(style=STYLE, js=(), height=320, legend_at_bottom=True, show_y_guides=True)
    chart.x_labels = days
    chart.value_formatter = lambda value: f"{value:.4f} USD"
    for feature in sorted({row.group["feature"] for row in rows}):
        found = {row.group["day"]: row.cost_usd for row in rows if row.group["feature"] == feature}
        chart.add(feature, [float(found.get(day, 0)) for day in days])
    return str(chart.render(is_unicode=True, disable_xml_declaration=True)) if rows else ""
