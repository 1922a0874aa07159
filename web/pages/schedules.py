"""Schedules: what is submitted again and again, when next, and what came of the latest slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from db import schedules
from db.schedules import Schedule
from web.access import Asking, Database
from web.pages.rendering import render
from web.problems import Problem

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

SLOTS = 10
MOST_SCHEDULES = 200


@router.get("/schedules", response_class=HTMLResponse)
def show_list(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """The tenant's schedules, each with its latest slots."""
    asking.check("read")
    rows = []
    with database.work() as connection:
        found = schedules.listed(connection, tenant=asking.tenant)
        for schedule, _ in found[:MOST_SCHEDULES]:
            slots = schedules.slots_of(connection, schedule.name, limit=SLOTS)
            rows.append({"schedule": schedule, "slots": slots, "submits": _submits(schedule)})
    return render(request, "schedules.html", {"rows": rows, "more": len(found) - len(rows)})


@router.post("/schedules")
def act(
    database: Database,
    asking: Asking,
    name: Annotated[str, Form(max_length=1000)],
    action: Annotated[str, Form(pattern="^(pause|resume)$")],
) -> RedirectResponse:
    """Pauses a schedule, or lets it run again."""
    asking.check("operate")
    with database.work() as connection:
        if all(each.name != name for each, _ in schedules.listed(connection, tenant=asking.tenant)):
            raise Problem(404, "there is no such schedule")
        schedules.pause(connection, name, paused=action == "pause")
    return RedirectResponse("/schedules", status_code=303)


def _submits(schedule: Schedule) -> list[tuple[str, str]]:
    """What it submits, of a row that may hold anything."""
    kept: object = schedule.submit
    said: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {}
    told = [(name, said.get(name)) for name in ("prompt", "version", "feature", "user")]
    paths = said.get("paths")
    told.append(("paths", ", ".join(map(str, paths)) if isinstance(paths, list) else None))
    return [(name, str(value)[:300]) for name, value in told if value]
