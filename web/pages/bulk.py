"""Acting on many jobs at once from the list of jobs: what it costs is said first, and done only then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from secrets import token_urlsafe
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection

from db import bulk, reports
from db.bulk import Price
from db.database import Database as Rows
from db.reports import JobReport
from web.access import Asking, Caller, Database
from web.pages.jobs import Asked, Cursor, Filters
from web.pages.rendering import render
from web.problems import Problem
from web.schemas import LARGEST_ID

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

MOST_AT_ONCE = 1_000
"""Jobs: a browser waits for them. What is left is asked for again."""
MOST_CHOSEN = 200
SHOWN = 10
REFUSALS = 20
NONCE_BYTES = 16
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
Refused = Annotated[list[Annotated[int, Query(ge=1, le=LARGEST_ID)]] | None, Query(max_length=REFUSALS)]
Figure = Annotated[int, Query(ge=0, le=MOST_AT_ONCE)]
Nonce = Annotated[
    str | None, Query(pattern="^[A-Za-z0-9_-]{16,64}$", description="Of the page that said the price")
]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be done with which jobs: as the address says it."""

    action: Action
    filters: Filters
    chosen: Sequence[int] | None
    """None for all that fit; none at all where nothing was ticked."""
    after: int | None
    """Only newer ones: the next, where some were acted on before."""
    before: int | None
    """No newer ones than when the price was said."""

    def ids(self, database: Rows, asking: Caller, *, nonce: str | None = None) -> list[int]:
        """The jobs that are meant, the oldest first, one more than are acted on at once."""
        states = [each for each in self.filters.state if each in POSSIBLE[self.action]]
        if (self.filters.state and not states) or self.chosen == ():
            return []
        meant = MEANT[self.action] if self.chosen is None else POSSIBLE[self.action]
        asked = self.filters.wanted(asking.tenant, before=self.before, after=self.after)
        wanted = replace(asked, states=states or meant, ids=self.chosen)
        with database.work() as connection:
            return bulk.ids_of(connection, wanted, meant, limit=MOST_AT_ONCE + 1, nonce=nonce)

    def address(self, path: str = "/jobs/act", **said: object) -> str:
        """A page of it, with what else is said there; without what is None."""
        chosen = {} if self.chosen is None else {"chosen": 1, "id": self.chosen}
        query = urlencode(
            {name: value for name, value in {**said, **chosen}.items() if value is not None}, doseq=True
        )
        return f"{path}?" + "&".join(filter(None, [f"action={self.action}", query, self.filters.query]))


def wish_of(
    filters: Asked,
    action: Action,
    ids: Chosen = None,
    chosen: Annotated[bool, Query(description="Only those that were chosen, if any")] = False,
    after: Cursor = None,
    before: Cursor = None,
) -> Wish:
    """As the address has it."""
    named = tuple(ids or ()) if ids or chosen else None
    return Wish(action=action, filters=filters, chosen=named, after=after, before=before)


Wished = Annotated[Wish, Depends(wish_of)]


@router.get("/jobs/act", response_class=HTMLResponse)
def show(request: Request, database: Database, asking: Asking, wish: Wished) -> HTMLResponse:
    """Says how many jobs are meant, which, and what it costs."""
    asking.check("operate")
    ids = wish.ids(database, asking)
    now, more = ids[:MOST_AT_ONCE], len(ids) > MOST_AT_ONCE
    fresh = wish.action == "fresh"
    with database.snapshot() as connection:
        price = None if wish.action == "cancel" else bulk.price_of_retry(connection, now, fresh=fresh)
        jobs = _some(connection, asking, now[:SHOWN])
        until = (wish.before or _newest(connection, asking) + 1) if more else None
    nonce = token_urlsafe(NONCE_BYTES) if fresh else None
    doing = wish.address(after=wish.after, before=max(now, default=0) + 1, until=until, nonce=nonce)
    content = {
        "action": wish.action,
        "filters": wish.filters,
        "chosen": wish.chosen,
        "count": len(now),
        "more": more,
        "jobs": jobs,
        "told": _told(price, wish, len(now)),
        "address": doing,
    }
    return render(request, "act.html", content)


@router.post("/jobs/act")
def act(
    request: Request,
    background: BackgroundTasks,
    database: Database,
    asking: Asking,
    wish: Wished,
    until: Cursor = None,
    nonce: Nonce = None,
) -> RedirectResponse:
    """Does it, once for each page that said the price, and shows what became of it.

    ``until`` bounds the jobs that are left for the next time. Raises Problem where a fresh one has no nonce.
    """
    asking.check("operate")
    if wish.action == "fresh" and nonce is None:
        raise Problem(422, "what is paid again is asked for by the page that says its price: open it first")
    now = wish.ids(database, asking, nonce=nonce)[:MOST_AT_ONCE]
    if wish.action == "cancel":
        done = bulk.cancel(database, now)
    else:
        done = bulk.retry(database, now, fresh=wish.action == "fresh", nonce=nonce, once=wish.chosen is None)
    background.add_task(request.app.state.fleet.start)
    last = None if until is None or wish.before is None else wish.before - 1
    told = {"made": len(done.made), "not": len(done.refused), "refused": list(done.refused)[:REFUSALS]}
    became = replace(wish, chosen=None).address("/jobs/act/done", after=last or None, before=until, **told)
    return RedirectResponse(became, status_code=303)


@router.get("/jobs/act/done", response_class=HTMLResponse)
def show_done(
    request: Request,
    database: Database,
    asking: Asking,
    wish: Wished,
    made: Figure = 0,
    left_alone: Annotated[Figure, Query(alias="not")] = 0,
    refused: Refused = None,
) -> HTMLResponse:
    """What became of it, and where the next ones are acted on, if there are more."""
    asking.check("operate")
    with database.snapshot() as connection:
        jobs = _some(connection, asking, refused or ())
    further = None if wish.after is None else wish.address(after=wish.after, before=wish.before)
    content = {
        "action": wish.action,
        "filters": wish.filters,
        "made": made,
        "left_alone": left_alone,
        "jobs": jobs,
        "further": further,
    }
    return render(request, "acted.html", content)


def _some(connection: Connection, asking: Caller, ids: Sequence[int]) -> list[JobReport]:
    some = reports.Wanted(tenant=asking.tenant, ids=list(ids))
    return reports.page(connection, some, limit=max(SHOWN, REFUSALS), values=False).jobs


def _newest(connection: Connection, asking: Caller) -> int:
    found = reports.page(connection, reports.Wanted(tenant=asking.tenant), limit=1, values=False)
    return max((each.id for each in found.jobs), default=0)


def _told(price: Price | None, wish: Wish, jobs: int) -> str:
    """What it costs."""
    if wish.chosen == ():
        return "Nothing is chosen: go back and tick the jobs that are meant."
    if not jobs:
        return "There is no job that this is for."
    if price is not None:
        return f"{price.told}."
    return "It costs nothing. Calls that are open now are let finish, and paid; no further one is made."
