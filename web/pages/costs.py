"""The page of costs: figures, a chart, and the jobs behind a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

import db.costs
from db import reports
from db.costs import CostRow
from web import chart
from web.access import Database, Tenant
from web.pages.rendering import render
from web.schemas import LARGEST_ID, Day, Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

TABLES = ("feature", "user", "day")
PERIODS = (None, 90, 30, 7)
JOBS = 50


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows: a period, and perhaps the jobs behind one figure of it."""

    days: int | None = None
    feature: str | None = None
    user: str | None = None
    day: date | None = None
    before: int | None = None

    def link(self, part: str = "", **changes: object) -> str:
        """The same page with something changed; None takes it away."""
        found = {name: value for name, value in asdict(replace(self, **changes)).items() if value is not None}  # type: ignore[arg-type] # names of fields
        return f"/costs{'?' + urlencode(found) if found else ''}{'#' + part if part else ''}"

    def behind(self, table: str, row: CostRow) -> str:
        """The link to the jobs behind a row."""
        none: dict[str, object] = dict.fromkeys((*TABLES, "before"))
        return self.link("jobs", **{**none, table: row.group[table]})

    def shows(self, table: str, row: CostRow) -> bool:
        chosen = getattr(self, table)
        return chosen is not None and str(chosen) == row.group[table]

    def since(self, today: date) -> date | None:
        return None if self.days is None else today - timedelta(days=self.days - 1)


@router.get("/costs", response_class=HTMLResponse)
def page(
    request: Request,
    database: Database,
    tenant: Tenant,
    days: Annotated[int | None, Query(ge=1, le=3660)] = None,
    feature: Storable | None = None,
    user: Storable | None = None,
    day: Day | None = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> HTMLResponse:
    """Costs by feature, user and day, with the jobs behind a figure."""
    timezone: str = request.app.state.settings.timezone
    view = View(days=days, feature=feature, user=user, day=day, before=before)
    since = view.since(datetime.now(ZoneInfo(timezone)).date())

    def costs(connection: Connection, *by: str) -> list[CostRow]:
        return db.costs.costs(connection, by, timezone=timezone, tenant=tenant, since=since)

    with database.work() as connection:
        tables = {name: costs(connection, name) for name in TABLES}
        by_day = costs(connection, "day", "feature")
        models = {row.group["model"] for row in costs(connection, "model")}
        jobs = reports.recent(
            connection,
            reports.Wanted(
                tenant=tenant,
                feature=feature,
                user=user,
                before=before,
                called=reports.Days(since=day or since, until=day, timezone=timezone),
            ),
            limit=JOBS + 1,
        )
    tables["day"].sort(key=lambda row: row.group["day"], reverse=True)
    content = {
        "view": view,
        "tables": tables,
        "chart": _drawn(by_day),
        "total": Total.of(tables["feature"]),
        "jobs": jobs[:JOBS],
        "older": jobs[JOBS - 1].id if len(jobs) > JOBS else None,
        "timezone": timezone,
        "periods": PERIODS,
        "simulated": sorted(model for model in models if model.startswith("sim-")),
    }
    return render(request, "costs.html", content)


@dataclass(frozen=True, kw_only=True)
class Total:
    """All rows of a table together."""

    cost_usd: Decimal
    saved_usd: Decimal
    wasted_usd: Decimal
    calls: int
    cached: int
    failed: int
    accepted: int
    unpriced: int
    possibly_billed: int
    known: bool

    @classmethod
    def of(cls, rows: Sequence[CostRow]) -> Total:
        return cls(
            cost_usd=sum((row.cost_usd for row in rows), Decimal(0)),
            saved_usd=sum((row.saved_usd for row in rows), Decimal(0)),
            wasted_usd=sum((row.wasted_usd for row in rows), Decimal(0)),
            calls=sum(row.calls for row in rows),
            cached=sum(row.cached for row in rows),
            failed=sum(row.failed for row in rows),
            accepted=sum(row.accepted for row in rows),
            unpriced=sum(row.unpriced for row in rows),
            possibly_billed=sum(row.possibly_billed for row in rows),
            known=any(row.known for row in rows) or not rows,
        )

    @property
    def usd_per_accepted(self) -> Decimal | None:
        return self.cost_usd / self.accepted if self.accepted and self.known else None


def _drawn(rows: Sequence[CostRow]) -> chart.Chart | None:
    return chart.draw({(row.group["day"], row.group["feature"]): float(row.cost_usd) for row in rows})
