"""The first page: what needs somebody, how the work moves, where it is, and what it costs today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

import db.costs
from db.concerns import Concern, concerns
from db.overview import MOVED, PARTS, Snapshot, snapshot
from db.stages import CHAINS
from web import chart
from web.access import Asking, Caller, Database, Scope
from web.pages.rendering import budget_bar, render

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

STAGES = tuple(dict.fromkeys(stage for chain in CHAINS.values() for stage in chain))
FOR: Mapping[str, Scope] = {"upkeep": "operate", "budget": "money"}
"""The scope that a concern is for; others are for whoever reads."""


@router.get("/", response_class=HTMLResponse)
def page(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """Looks at the work of the caller's tenant."""
    asking.check("read")
    timezone: str = request.app.state.settings.timezone
    today = datetime.now(ZoneInfo(timezone)).date()
    with database.work() as connection:
        found = snapshot(connection, [asking.tenant])
        spent = db.costs.costs(connection, (), timezone=timezone, tenant=asking.tenant, since=today)
    content = {
        "found": found,
        "concerns": [each for each in concerns(found) if _may_see(each, asking)],
        "figures": _figures(found),
        "stages": [(stage, found.under_way.get(stage, 0)) for stage in STAGES],
        "spent": spent[0] if spent else None,
        "budgets": [budget_bar(budget) for budget in found.budgets if asking.sees(budget)],
        "timezone": timezone,
    }
    return render(request, "overview.html", content)


def _may_see(concern: Concern, asking: Caller) -> bool:
    """What the fleet's parts tell is for those who look after it, and sums of money for those who mind it."""
    return asking.may(FOR.get(concern.kind, "read"))


def _figures(found: Snapshot) -> list[dict[str, object]]:
    """What moved in the last hour, each with its parts of five minutes."""
    ended = sum(sum(parts) for parts in found.ends.values())
    told: list[tuple[str, str, Sequence[int], int | None]] = [("Came in", "submitted", found.submitted, None)]
    told += [
        (words, state, found.ends.get(state, [0] * PARTS), ended if share else None)
        for words, state, share in (
            ("Done", "done", False),
            ("To a person", "needs_review", True),
            ("Failed", "failed", True),
        )
    ]
    return [
        {
            "words": words,
            "state": state,
            "jobs": sum(parts),
            "more": max(sum(found.submitted), ended) >= MOVED,
            "share": None if not of else 100 * sum(parts) / of,
            "line": chart.spark(parts),
            "parts": ", ".join(map(str, parts)),
        }
        for words, state, parts, of in told
    ]
