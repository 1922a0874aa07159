"""The search of the header: straight to what has an id, a key or a hash; else to the jobs of a file's name."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from db import finding
from db.finding import Found
from web.access import Asking, Database
from web.pages.rendering import render
from web.schemas import PathText

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@router.get("/search")
def search(request: Request, database: Database, asking: Asking, q: PathText = "") -> Response:
    """What is called so; where one thing alone is, that itself."""
    asking.check("read")
    words = q.strip()
    if not words:
        return RedirectResponse("/jobs", status_code=303)
    named = f"/jobs?{urlencode({'name': words})}"
    found = [(each, _address(each)) for each in database.run(finding.find, asking.tenant, words)]
    if words in request.app.state.registry.names():
        found.append((Found(kind="prompt", id=0, name=words, by="name"), f"/prompts/{quote(words, safe='')}"))
    addresses = {address for _, address in found}
    if len(addresses) < 2:
        return RedirectResponse(next(iter(addresses), named), status_code=303)
    content = {"words": words, "found": found, "named": named, "most": finding.MOST_LATEST}
    return render(request, "search.html", content)


def _address(found: Found) -> str:
    if found.kind == "collection":
        return f"/collections/{quote(found.name or '', safe='')}"
    return f"/{found.kind}s/{found.id}"
