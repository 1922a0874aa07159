"""A tenant's documents, as people look at them; another tenant's is no document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from db.database import one_statement
from db.jobs import Document
from db.statements import statements_of
from docmill.reading import Reading

__all__ = [
    "MOST_LATEST",
    "Original",
    "Recent",
    "Shown",
    "collections_of",
    "jobs_of",
    "latest",
    "of_content",
    "original",
    "reading_of",
    "shown",
    "text_of",
]

SQL = statements_of("documents")

MOST_LATEST = 5_000
"""Jobs among which the latest documents are looked for."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is known of a document."""

    id: int
    name: str | None
    media_type: str
    created_at: datetime
    sha256: str
    bytes: int | None
    """Of the file; None where its content was erased."""
    chars: int | None
    """Of its text; None before it is read."""
    pages: Sequence[int] | None
    """Where each begins in the text."""
    layout: Any
    """Where its words stand on them, packed."""
    warnings: Sequence[Mapping[str, Any]] | None
    """What reading left out or only guessed: ``kind``, ``count``, ``where``. None where nobody noted it."""


@dataclass(frozen=True, kw_only=True)
class Original:
    """A document as it was submitted."""

    name: str | None
    media_type: str
    sha256: bytes
    body: bytes | None
    """None where its content was erased."""


@dataclass(frozen=True, kw_only=True)
class Recent:
    """A document that jobs were submitted for lately."""

    id: int
    name: str | None
    media_type: str
    created_at: datetime
    bytes: int | None
    jobs: int
    """Of those that were looked at."""
    last_job: int


@one_statement
def shown(connection: Connection, document_id: int, tenant: str) -> Shown | None:
    """Returns what is known of the tenant's document."""
    found = SQL["shown"].rows(connection, {"id": document_id, "tenant": tenant}, of=Shown)
    return found[0] if found else None


@one_statement
def original(connection: Connection, document_id: int, tenant: str) -> Original | None:
    """Returns the file."""
    found = SQL["original"].rows(connection, {"id": document_id, "tenant": tenant}, of=Original)
    return found[0] if found else None


@one_statement
def reading_of(connection: Connection, document_id: int, tenant: str) -> Reading | None:
    """Returns what was read of it, with where its words stand; None where it was not read yet."""
    row = SQL["reading"].first(connection, {"id": document_id, "tenant": tenant})
    if row is None:
        return None
    return Document(id=document_id, name=None, body=None, **row._asdict()).reading


@one_statement
def text_of(connection: Connection, document_id: int, tenant: str) -> str | None:
    """Returns what was read of it; None before that, and where there is no such document."""
    text: str | None = SQL["words"].scalar(connection, {"id": document_id, "tenant": tenant})
    return text


@one_statement
def warnings_of(connection: Connection, document_id: int) -> list[Mapping[str, Any]]:
    """Returns what reading the document left out or only guessed."""
    found = SQL["warnings"].scalar(connection, {"id": document_id})
    return found if isinstance(found, list) else []


@one_statement
def latest(
    connection: Connection, tenant: str, *, words: str | None = None, before: int | None = None, limit: int
) -> list[Recent]:
    """The documents of the latest :data:`MOST_LATEST` jobs (before a job, where one is named), the latest first.

    ``words`` is what their names hold, in whatever case.
    """
    values = {"tenant": tenant, "words": words, "before": before, "most": MOST_LATEST, "limit": limit}
    return SQL["latest"].rows(connection, values, of=Recent)


@one_statement
def of_content(connection: Connection, tenant: str, sha256: bytes) -> int | None:
    """The tenant's document of that content."""
    found: int | None = SQL["of_content"].scalar(connection, {"tenant": tenant, "sha256": sha256})
    return found


@one_statement
def jobs_of(connection: Connection, document_id: int, tenant: str, *, limit: int) -> list[int]:
    """The tenant's jobs about a document, the newest first; of those that have not ended the latest alone."""
    values = {"id": document_id, "tenant": tenant, "most": MOST_LATEST, "limit": limit}
    return [row.id for row in SQL["jobs_of"].rows(connection, values)]


@one_statement
def collections_of(connection: Connection, document_id: int, tenant: str) -> list[str]:
    """The collections that a document is in."""
    return [row.name for row in SQL["collections_of"].rows(connection, {"id": document_id, "tenant": tenant})]
