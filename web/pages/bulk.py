"""Acting on many jobs at once from the list of jobs: what it costs is said first, and done only then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Query, Request
from fastapi.responses import HTMLResponse

from db import bulk, reports
from db.bulk import Price
from db.database import Database as Rows
from web.access import Asking, Caller, Database
from web.pages.jobs import Asked, Cursor, Filters
from web.pages.rendering import render
from web.schemas import LARGEST_ID

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

MOST_AT_ONCE = 1_000
"""Jobs: a browser waits for them. What is left is asked for again."""
MOST_CHOSEN = 200
SHOWN = 10
REFUSALS = 20
Action = Literal["retry", "fresh", "cancel"]
MEANT: dict[Action, tuple[str, ...]] = {"retry": bulk.AGAIN, "fresh": bulk.AFRESH, "cancel": bulk.OPEN}
"""The states that an action is for, where the filter names none."""
POSSIBLE: dict[Action, tuple[str, ...]] = {
    "retry": bulk.AGAIN,
    "fresh": ("done", "needs_review", "failed", "cancelled"),
    "cancel": bulk.OPEN,
}
Chosen = Annotated[
    list[Annotated[int, Query(ge=1, le=LARGEST_ID)]] | None,
    Query(alias="id", max_length=MOST_CHOSEN, description="Jobs that were chosen one by one"),
]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done with which jobs: as the address says it."""

    action: Action
    filters: Filters
    chosen: Sequence[int]
    before: int | None
    """No newer ones than when the price was said."""

    def ids(self, database: Rows, asking: Caller) -> list[int]:
        """The jobs that are meant, the oldest first, one more than are acted on at once."""
        states = [each for each in self.filters.state if each in POSSIBLE[self.action]]
        if self.filters.state and not states:
            return []
        meant = POSSIBLE[self.action] if self.chosen else MEANT[self.action]
        asked = self.filters.wanted(asking.tenant, before=self.before)
        wanted = replace(asked, states=states or meant, ids=list(self.chosen) or None)
        with database.work() as connection:
            return bulk.ids_of(connection, wanted, meant, limit=MOST_AT_ONCE + 1)

    def address(self, newest: int) -> str:
        """Where it is done."""
        said = [f"action={self.action}", f"before={newest + 1}", *(f"id={each}" for each in self.chosen)]
        return "/jobs/act?" + "&".join([*said, *filter(None, [self.filters.query])])


@router.get("/jobs/act", response_class=HTMLResponse)
def show(
    request: Request,
    database: Database,
    asking: Asking,
    filters: Asked,
    action: Action,
    chosen: Chosen = None,
    before: Cursor = None,
) -> HTMLResponse:
    """Says how many jobs are meant, which, and what it costs."""
    asking.check("operate")
    wish = Wish(action=action, filters=filters, chosen=chosen or (), before=before)
    ids = wish.ids(database, asking)
    now = ids[:MOST_AT_ONCE]
    with database.work() as connection:
        price = None if action == "cancel" else bulk.price_of_retry(connection, now, fresh=action == "fresh")
        some = reports.Wanted(tenant=asking.tenant, ids=now[:SHOWN])
        jobs = reports.recent(connection, some, limit=SHOWN, values=False)
    content = {
        **_shared(wish, ids),
        "jobs": jobs,
        "price": price,
        "told": _told(price, len(now)),
        "address": wish.address(max(now, default=0)),
        "done": None,
    }
    return render(request, "act.html", content)


@router.post("/jobs/act", response_class=HTMLResponse)
def act(
    request: Request,
    background: BackgroundTasks,
    database: Database,
    asking: Asking,
    filters: Asked,
    action: Action,
    chosen: Chosen = None,
    before: Cursor = None,
) -> HTMLResponse:
    """Does it, and says what became of it."""
    asking.check("operate")
    wish = Wish(action=action, filters=filters, chosen=chosen or (), before=before)
    ids = wish.ids(database, asking)
    now = ids[:MOST_AT_ONCE]
    fresh = action == "fresh"
    done = bulk.cancel(database, now) if action == "cancel" else bulk.retry(database, now, fresh=fresh)
    background.add_task(request.app.state.fleet.start)
    content = {
        **_shared(wish, ids),
        "jobs": [],
        "told": "",
        "address": "",
        "done": done,
        "refused": list(done.refused.items())[:REFUSALS],
    }
    return render(request, "act.html", content)


def _shared(wish: Wish, ids: Sequence[int]) -> dict[str, object]:
    return {
        "action": wish.action,
        "filters": wish.filters,
        "chosen": wish.chosen,
        "count": len(ids[:MOST_AT_ONCE]),
        "more": len(ids) > MOST_AT_ONCE,
    }


def _told(price: Price | None, jobs: int) -> str:
    """What it costs."""
    if not jobs:
        return "There is no job that this is for."
    if price is not None:
        return f"{price.told}."
    return "It costs nothing. Calls that are open now are let finish, and paid; no further one is made."
