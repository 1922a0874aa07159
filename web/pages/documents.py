"""Documents: the latest ones, one of them with all that was asked about it, and forgetting it."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from db import collections, documents, reports
from web.access import Asking, Database
from web.pages.papers import paper_of
from web.pages.rendering import render
from web.problems import Problem
from web.schemas import LARGEST_ID, PathText

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

DOCUMENTS = 50
JOBS = 100
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
DocumentId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.get("/documents", response_class=HTMLResponse)
def show_list(
    request: Request,
    database: Database,
    asking: Asking,
    q: PathText | None = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> Response:
    """The documents of the latest jobs, or those of a name; a SHA-256 leads to its document."""
    asking.check("read")
    words = (q or "").strip() or None
    if words is not None and SHA256.fullmatch(words):
        found = database.run(documents.of_content, asking.tenant, bytes.fromhex(words))
        if found is not None:
            return RedirectResponse(f"/documents/{found}", status_code=303)
    rows = database.run(documents.latest, asking.tenant, words=words, before=before, limit=DOCUMENTS + 1)
    content = {
        "documents": rows[:DOCUMENTS],
        "older": rows[DOCUMENTS - 1].last_job if len(rows) > DOCUMENTS else None,
        "before": before,
        "words": words,
        "most": documents.MOST_LATEST,
    }
    return render(request, "documents.html", content)


@router.get("/documents/{document_id}", response_class=HTMLResponse)
def show(document_id: DocumentId, request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """A document: its pages or its text, what reading left out, and every job of it."""
    asking.check("read")
    with database.snapshot() as connection:
        found = documents.shown(connection, document_id, asking.tenant)
        if found is None:
            raise Problem(404, f"there is no document {document_id}")
        ids = documents.jobs_of(connection, document_id, asking.tenant, limit=JOBS)
        wanted = reports.Wanted(tenant=asking.tenant, ids=ids)
        jobs = reports.page(connection, wanted, limit=JOBS, values=False).jobs
        paper = paper_of(connection, document_id, asking.tenant, [])
        enrolled = documents.collections_of(connection, document_id, asking.tenant)
    kept = found.warnings if isinstance(found.warnings, list) else []
    content = {
        "document": found,
        "jobs": jobs,
        "most": JOBS,
        "paper": paper,
        "collections": enrolled,
        "warnings": [each for each in kept if isinstance(each, dict)],
    }
    return render(request, "document.html", content)


@router.post("/documents/{document_id}/forget")
def forget(document_id: DocumentId, database: Database, asking: Asking) -> RedirectResponse:
    """Deletes a document with its text, its passages and their vectors; what jobs found in it stays theirs."""
    asking.check("operate")
    if not database.run(collections.delete_document, asking.tenant, document_id):
        raise Problem(404, f"there is no document {document_id}")
    return RedirectResponse("/documents", status_code=303)
