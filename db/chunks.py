"""Chunks of a collection's documents, and their vectors: written whole, in one transaction a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of

__all__ = ["Indexed", "Passage", "Place", "digest", "texts_at", "write"]


SQL = statements_of("chunks")
DEFAULT_TENANT = "default"


def digest(passage: str, tenant: str) -> bytes:
    """Returns what an embedding is kept under.

    Each tenant pays for its own: a text that costs nothing because somebody has it would say that somebody has it.

    The default tenant's are those of the text alone, as all were before. No text holds a NUL, so none of them is
    another tenant's.
    """
    salt = "" if tenant == DEFAULT_TENANT else f"{tenant}\0"
    return hashlib.sha256(f"{salt}{passage}".encode()).digest()


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A chunk of a document: characters from ``start`` up to ``end`` of its text."""

    start: int
    end: int
    text: str
    searchable: str
    """The text as it is parted into words (:func:`docmill.retrieval.languages.searchable`)."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a passage stands: characters from ``start`` up to ``end`` of a document's text."""

    document_id: int
    start: int
    end: int


@one_statement
def texts_at(connection: Connection, tenant: str, places: Sequence[Place]) -> list[str]:
    """The words at these places of the tenant's documents; none where a document was deleted."""
    columns = {
        "ids": [place.document_id for place in places],
        "starts": [place.start for place in places],
        "ends": [place.end for place in places],
    }
    return [row.words for row in SQL["texts_at"].rows(connection, {"tenant": tenant, **columns})]


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """A document as its collection knows it."""

    tenant: str
    collection: str
    collection_id: int
    document_id: int
    language: str
    """A text search configuration of Postgres."""
    meta: Mapping[str, Any]


def write(connection: Connection, document: Indexed, passages: Sequence[Passage], models: Sequence[str]) -> bool:
    """Makes these the document's chunks in its collection, with vectors of each model from ``embeddings``.

    False, with nothing changed, where a vector is missing, or the document is gone. A chunk that is the same as
    before keeps its id, and the vectors of other models.
    """
    if not _ready(connection, document, passages, models):
        return False
    common = {**vars(document), "meta": json.dumps(dict(document.meta))}
    SQL["enroll"].count(connection, {**common, "models": list(models)})
    SQL["note_language"].count(connection, common)
    SQL["keep"].count(connection, {**common, **_columns(passages, document.tenant)})
    SQL["drop_surplus"].count(connection, {**common, "kept": len(passages)})
    for model in models:
        SQL["keep_vectors"].count(connection, {**common, "model": model})
    return True


def _ready(connection: Connection, document: Indexed, passages: Sequence[Passage], models: Sequence[str]) -> bool:
    if SQL["lock_document"].first(connection, {"id": document.document_id}) is None:
        return False
    digests = list({digest(passage.text, document.tenant) for passage in passages})
    return all(
        SQL["known"].scalar(connection, {"model": model, "digests": digests}) == len(digests) for model in models
    )


def _columns(passages: Sequence[Passage], tenant: str) -> dict[str, list[Any]]:
    return {
        "starts": [passage.start for passage in passages],
        "ends": [passage.end for passage in passages],
        "digests": [digest(passage.text, tenant) for passage in passages],
        "texts": [passage.text for passage in passages],
        "searchables": [passage.searchable for passage in passages],
    }
