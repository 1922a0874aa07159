"""Documents of a stack's prompt whose answers people stand for, and what it costs to ask about them again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cli.console import usd
from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.jobs import Document

__all__ = ["Case", "cases_of", "price_of"]

FAR_BACK = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A document with the answer that a person stands for."""

    job_id: int
    document: Document
    params: dict[str, Any]
    right: Any


def cases_of(connection: Connection, name: str, limit: int, *, tenant: str) -> list[Case]:
    """Finds a tenant's latest ones of a prompt whose document is still there. Raises Misconfigured for none."""
    from db import quality, reports

    found = []
    for each in quality.cases_of(connection, tenant, name, datetime.now(UTC) - FAR_BACK, limit=limit):
        document = None if each.document_id is None else _document(connection, each.document_id, tenant)
        if document is not None:
            right = reports.job_report(connection, each.job_id).value
            found.append(Case(job_id=each.job_id, document=document, params=dict(each.params or {}), right=right))
    if not found:
        raise Misconfigured(
            f"nobody has accepted or corrected an answer of {name} yet: the review desk makes cases"
        )
    return found


def _document(connection: Connection, document_id: int, tenant: str) -> Document | None:
    """As it was read; None where its text is gone. Where its file is gone, its pages cannot be drawn."""
    from db import documents
    from db.jobs import Document

    text = documents.text_of(connection, document_id, tenant)
    known = documents.shown(connection, document_id, tenant)
    file = documents.original(connection, document_id, tenant)
    if text is None or known is None or file is None:
        return None
    return Document(
        id=0,
        name=known.name,
        media_type=known.media_type if file.body is not None else "text/plain",
        body=file.body,
        text=text,
        pages=known.pages,
        layout=known.layout,
    )


def price_of(connection: Connection, name: str, cases: int, timezone: str, *, tenant: str) -> str:
    """Says about what two versions will cost, by what a document of the prompt has cost so far."""
    from db.costs import costs

    rows = costs(connection, ("prompt",), timezone=timezone, tenant=tenant, only={"prompt": name})
    each = rows[0].usd_per_accepted if rows else None
    return (
        "nobody knows what it costs"
        if each is None
        else f"about {usd((each * cases * 2).quantize(Decimal('1e-6')))} USD"
    )
