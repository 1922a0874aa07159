"""The page of costs: figures, a chart, and the jobs behind a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

import db.costs
from db import reports
from db.costs import CostRow
from db.reports import Page
from web import chart
from web.access import Database, Tenant
from web.pages.rendering import render
from web.schemas import LARGEST_ID, Day, Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

TABLES = ("feature", "user", "prompt", "version", "model", "remedy", "day")
FILTERS = TABLES[:-1]
"""What the ledger is narrowed by, beside days."""
PERIODS = (None, 90, 30, 7)
JOBS = 10
ROWS = 100
"""Of a table; the others are told together, unless all are asked for."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows, all of it: a period, and whatever it is narrowed by."""

    days: int | None = None
    feature: str | None = None
    user: str | None = None
    prompt: str | None = None
    version: str | None = None
    model: str | None = None
    remedy: str | None = None
    day: date | None = None
    before: int | None = None
    every: bool | None = None
    """Whether tables have all of their rows."""

    def link(self, part: str = "", **changes: object) -> str:
        """The same page with something changed; None takes it away."""
        found = {name: value for name, value in asdict(replace(self, **changes)).items() if value is not None}  # type: ignore[arg-type] # names of fields
        return f"/costs{'?' + urlencode(found) if found else ''}{'#' + part if part else ''}"

    def behind(self, table: str, row: CostRow) -> str:
        """The page narrowed by a row too; or no more, where it is already."""
        changes: dict[str, object] = {table: None if self.shows(table, row) else row.group[table], "before": None}
        return self.link("", **changes)

    @property
    def only(self) -> dict[str, str]:
        """What the ledger is narrowed by, beside days."""
        found = {name: getattr(self, name) for name in FILTERS}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Each filter that is set: its name, its value, and the page without it."""
        told = {**self.only, **({"day": str(self.day)} if self.day else {})}
        without: dict[str, dict[str, object]] = {name: {name: None, "before": None} for name in told}
        return [(name, value or "none", self.link("", **without[name])) for name, value in told.items()]

    @property
    def jobs(self) -> str:
        """The list of jobs that are narrowed the same way, as far as it can be."""
        found = {name: value for name, value in self.only.items() if name not in ("model", "version", "remedy")}
        return f"/jobs?{urlencode(found)}" if found else "/jobs"

    def shows(self, table: str, row: CostRow) -> bool:
        chosen = getattr(self, table)
        return chosen is not None and str(chosen) == row.group[table]

    def since(self, today: date) -> date | None:
        return None if self.days is None else today - timedelta(days=self.days - 1)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the page asks the database for."""

    view: View
    tenant: str
    timezone: str
    today: date

    def costs(self, connection: Connection, *groups: tuple[str, ...]) -> list[list[CostRow]]:
        """The view's costs by each of the groups."""
        day = self.view.day
        first, last = (day, day) if day else (self.view.since(self.today), None)
        return db.costs.tables(
            connection,
            groups,
            timezone=self.timezone,
            tenant=self.tenant,
            since=first,
            until=last,
            only=self.view.only,
        )

    def jobs(self, connection: Connection) -> Page:
        """The newest jobs that were called for, and one more where there are older ones."""
        view = self.view
        called = reports.Days(since=view.day or view.since(self.today), until=view.day, timezone=self.timezone)
        wanted = reports.Wanted(
            tenant=self.tenant,
            feature=view.feature,
            user=view.user,
            prompt=view.prompt,
            version=view.version,
            model=view.model,
            before=view.before,
            called=called,
        )
        return reports.page(connection, wanted, limit=JOBS + 1, values=False)


def _wasteful(prompts: Sequence[CostRow]) -> list[CostRow]:
    """The prompts whose calls were wasted in part, the most of it first."""
    return sorted((row for row in prompts if row.wasted_usd), key=attrgetter("wasted_usd"), reverse=True)


def _simulated(models: Sequence[CostRow]) -> list[str]:
    return sorted({row.group["model"] for row in models if row.group["model"].startswith("sim-")})


@router.get("/costs", response_class=HTMLResponse)
def page(
    request: Request,
    database: Database,
    tenant: Tenant,
    days: Annotated[int | None, Query(ge=1, le=3660)] = None,
    feature: Storable | None = None,
    user: Storable | None = None,
    prompt: Storable | None = None,
    version: Storable | None = None,
    model: Storable | None = None,
    remedy: Storable | None = None,
    day: Day | None = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    every: bool | None = None,
) -> HTMLResponse:
    """Costs by feature, user, prompt, model and day: one filter narrows figures, chart, tables and jobs."""
    timezone: str = request.app.state.settings.timezone
    view = View(
        days=days,
        feature=feature,
        user=user,
        prompt=prompt,
        version=version,
        model=model,
        remedy=remedy,
        day=day,
        before=before,
        every=every,
    )
    now = datetime.now(ZoneInfo(timezone))
    asked = Asked(view=view, tenant=tenant, timezone=timezone, today=now.date())
    with database.snapshot() as connection:
        *each, by_day = asked.costs(connection, *((name,) for name in TABLES), ("day", "feature"))
        found = asked.jobs(connection)
    tables = dict(zip(TABLES, each, strict=True))
    tables["day"].sort(key=lambda row: row.group["day"], reverse=True)
    content = {
        "view": view,
        "tables": tables,
        "most": None if every else ROWS,
        "others": {} if every else {name: Total.of(rows[ROWS:]) for name, rows in tables.items() if rows[ROWS:]},
        "chart": _drawn(by_day),
        "total": Total.of(tables["feature"]),
        "jobs": found.jobs[:JOBS],
        "older": found.jobs[JOBS - 1].id if len(found.jobs) > JOBS else found.looked_to,
        "looked_to": found.looked_to,
        "timezone": timezone,
        "now": now,
        "periods": PERIODS,
        "today": asked.today,
        "yesterday": asked.today - timedelta(days=1),
        "waste": _wasteful(tables["prompt"]),
        "simulated": _simulated(tables["model"]),
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
