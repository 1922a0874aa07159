"""Collections, and what is found in one, with why."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from db import collections
from docmill.errors import EmbeddingAway
from tasks.calls.embedding.call import Asker
from tasks.question import passages_for
from tasks.services import Services
from web.access import OWN_SITE, Asking, Caller, Database
from web.pages.rendering import render
from web.schemas import LARGEST_ID, CollectionName, Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

DOCUMENTS = 50
HITS = 20
FEATURE = "search page"
"""Under which a question's vector is in the ledger, where a model is asked for it."""
Mode = Literal["hybrid", "vector", "text"]


@router.get("/collections", response_class=HTMLResponse)
def show_list(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """The tenant's collections."""
    asking.check("read")
    found = database.run(collections.listed, asking.tenant)
    return render(request, "collections.html", {"collections": found})


@router.get("/collections/{collection}", response_class=HTMLResponse)
def show(
    collection: CollectionName,
    request: Request,
    database: Database,
    asking: Asking,
    q: Annotated[Storable, Query(max_length=1000)] = "",
    mode: Mode = "hybrid",
    after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
) -> HTMLResponse:
    """A collection's documents; with ``q`` the passages that say most about it.

    A question's vector may be paid for: a link on another site fills the form in, and asks nothing.
    """
    asking.check("read")
    with database.work() as connection:
        found = collections.find(connection, asking.tenant, collection)
        rows = collections.documents_of(connection, found, limit=DOCUMENTS + 1, after=after)
    words = q.strip()
    asks = bool(words) and request.headers.get("sec-fetch-site", "none") in OWN_SITE
    hits, told = _hits(request, asking, collection, words, mode) if asks else ([], "")
    content = {
        "collection": found,
        "documents": rows[:DOCUMENTS],
        "more": rows[DOCUMENTS - 1]["id"] if len(rows) > DOCUMENTS else None,
        "after": after,
        "words": words,
        "mode": mode,
        "asked": asks,
        "hits": hits,
        "told": told,
    }
    return render(request, "collection.html", content)


def _hits(request: Request, asking: Caller, collection: str, words: str, mode: Mode) -> tuple[list[object], str]:
    """What was found, or why the question's vector could not be had."""
    services: Services = request.app.state.services
    asker = Asker(tenant=asking.tenant, feature=FEATURE, usr=asking.name if asking.signed_in else "")
    try:
        found = passages_for(services, collection, words, asker=asker, limit=HITS, mode=mode)
    except EmbeddingAway as error:
        return [], str(error)
    return list(found), ""
