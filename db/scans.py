"""Pages that OCR reads: each is claimed, read and kept by itself, once a tenant and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of
from docmill.reading.layout.geometry import BLANK, PageLayout, pack, unpack
from docmill.reading.values import Scan

__all__ = ["Known", "fail", "forget_failed", "keep", "known", "let_go", "spent_s", "take"]

SQL = statements_of("scans")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What came of a document's pages so far."""

    scans: Mapping[int, Scan]
    failed: Mapping[int, str]
    """Why a page could not be read."""

    def __contains__(self, page: int) -> bool:
        return page in self.scans or page in self.failed


@one_statement
def take(connection: Connection, document_id: int, pages: Sequence[int], *, lease_s: float) -> int | None:
    """Claims the first of the pages that nobody has read, or reads just now; None where there is none."""
    values = {"document_id": document_id, "pages": list(pages), "lease_s": lease_s}
    page: int | None = SQL["take"].scalar(connection, values)
    return page


@one_statement
def keep(connection: Connection, document_id: int, page: int, scan: Scan, *, took_s: float) -> None:
    """Keeps what was found on a page."""
    found = {"words": scan.text, "layout": pack([scan.layout]), "failure": None}
    SQL["keep"].count(connection, {"document_id": document_id, "page": page, "took_s": took_s, **found})


@one_statement
def fail(connection: Connection, document_id: int, page: int, why: str, *, took_s: float) -> None:
    """Keeps why nothing was found on a page, so that it is not tried again and again."""
    found = {"words": None, "layout": None, "failure": why}
    SQL["keep"].count(connection, {"document_id": document_id, "page": page, "took_s": took_s, **found})


@one_statement
def forget_failed(connection: Connection, document_id: int) -> None:
    """Lets the pages be tried again of which nothing was read."""
    SQL["forget_failed"].count(connection, {"document_id": document_id})


@one_statement
def let_go(connection: Connection, document_id: int, page: int) -> None:
    """Gives back a claim on a page that was not tried."""
    SQL["let_go"].count(connection, {"document_id": document_id, "page": page})


@one_statement
def known(connection: Connection, document_id: int) -> Known:
    """Reads what came of a document's pages so far."""
    scans: dict[int, Scan] = {}
    failed: dict[int, str] = {}
    for row in SQL["read"].rows(connection, {"document_id": document_id}):
        if row.text is None:
            failed[row.page] = row.failure
        else:
            scans[row.page] = Scan(text=row.text, layout=_layout(row.layout))
    return Known(scans=scans, failed=failed)


def _layout(kept: bytes | None) -> PageLayout:
    try:
        return unpack(bytes(kept))[0] if kept else BLANK
    except (ValueError, IndexError):
        return BLANK


@one_statement
def spent_s(connection: Connection, document_id: int) -> float:
    """Sums the seconds that its pages took."""
    return float(SQL["spent"].scalar(connection, {"document_id": document_id}))
