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

__all__ = ["Original", "Shown", "original", "reading_of", "shown", "text_of"]

SQL = statements_of("documents")


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
