"""Runs: documents that were submitted together, while they go and afterwards."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

from db import runs
from db.reports import HELD_FOR
from db.runs import RunProgress
from web.access import Asking, Database
from web.pages.rendering import render
from web.schemas import LARGEST_ID

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

RUNS = 50
SUMMED = 2_000
"""Jobs of a run whose costs are summed; of a larger one, as many of those that are done."""
STATES = ("done", "needs_review", "failed", "cancelled", "running", "held", "queued")
"""In the order of a run's bar."""


@router.get("/runs", response_class=HTMLResponse)
def show_list(
    request: Request,
    database: Database,
    asking: Asking,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> HTMLResponse:
    """The latest runs."""
    asking.check("read")
    with database.work() as connection:
        found = runs.listed(connection, tenant=asking.tenant, before=before, limit=RUNS + 1)
    shown = found[:RUNS]
    older = shown[-1][0].id if len(found) > RUNS else None
    return render(request, "runs.html", {"runs": shown, "older": older, "before": before})


@router.get("/runs/{run_id}", response_class=HTMLResponse)
def show(
    run_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], request: Request, database: Database, asking: Asking
) -> HTMLResponse:
    """How far a run is, what it costs, and what its jobs fail of, wait for, or go to a person for."""
    asking.check("read")
    with database.work() as connection:
        found = runs.find(connection, run_id, tenant=asking.tenant)
        progress = runs.progress(connection, run_id, at_most=SUMMED)
        failures = runs.first_failures(connection, run_id)
    content = {"run": found, "progress": progress, "failures": failures, "parts": _parts(progress)}
    return render(request, "run.html", {**content, "behind": partial(_behind, run_id, progress)})


def _behind(run_id: int, progress: RunProgress, cause: str) -> str:
    """Where the run's jobs of that cause are listed, to be tried again: those that wait for it, or ended of it."""
    held = cause in HELD_FOR.values() and "held" in progress.counts.states
    return "/jobs?" + urlencode({"run": run_id, **({"state": "held"} if held else {"cause": cause})})


def _parts(progress: RunProgress) -> list[dict[str, Any]]:
    """Each state's part of the bar, in percent."""
    parts: list[dict[str, Any]] = []
    before = 0.0
    for state in STATES:
        jobs = progress.counts.states.get(state, 0)
        share = 100 * jobs / progress.counts.total if jobs else 0.0
        if jobs:
            parts.append({"state": state, "jobs": jobs, "x": round(before, 2), "width": round(share, 2)})
        before += share
    return parts
