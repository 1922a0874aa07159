"""Collections: sets of documents that are searched together, of one tenant, with one embedding model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from db.database import one_statement
from db.statements import statements_of
from db.tables import chunks, collection_documents, documents, one_of
from docmill.errors import CollectionUnknown, Misconfigured

__all__ = [
    "Collection",
    "change_model",
    "delete_document",
    "documents_of",
    "ensure",
    "find",
    "leave_collection",
    "listed",
    "model_id",
    "models_of",
    "names_of",
]

SQL = statements_of("collections")

MOST_COUNTED = 1_000
"""Chunks of a collection that are counted each time."""
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection as a search needs it."""

    id: int
    tenant: str
    name: str
    model: str
    """Whose vectors are searched."""
    next_model: str | None
    """Whose vectors are being made."""
    languages: list[str]
    """Text search configurations of its chunks."""
    chunks: int
    """As of the last count."""


@one_statement
def find(connection: Connection, tenant: str, name: str) -> Collection:
    """The tenant's collection of that name. Raises CollectionUnknown."""
    row = SQL["find"].first(connection, {"tenant": tenant, "name": name})
    if row is None:
        raise CollectionUnknown(
            f"there is no collection {name!r}: `docmill index PATH… --collection {name}` makes it"
        )
    return Collection(**row._asdict())


def ensure(connection: Connection, tenant: str, name: str, model: str) -> Collection:
    """Finds the tenant's collection of that name, or makes it. Raises Misconfigured for what is no name.

    ``model`` is for a new one; another's is changed by :func:`change_model` alone.
    """
    if NAME.fullmatch(name) is None:
        raise Misconfigured(
            f"a collection's name is letters, digits, '.', '_' and '-', at most 100: not {name[:120]!r}"
        )
    SQL["add"].count(connection, {"tenant": tenant, "name": name, "model": model})
    return find(connection, tenant, name)


def listed(connection: Connection, tenant: str) -> list[Mapping[str, Any]]:
    """The tenant's collections, with documents and chunks counted; of a large one chunks as of its last count.

    ``chunks_at_least`` says that there are more chunks than were counted, and no count of all of them yet.
    """
    return [row._asdict() for row in SQL["listed"].rows(connection, {"tenant": tenant, "most": MOST_COUNTED})]


@one_statement
def models_of(connection: Connection, collection_id: int) -> list[str]:
    """Returns whose vectors a chunk of the collection needs: two while one model takes over from another."""
    row = SQL["models_of"].first(connection, {"id": collection_id})
    return [] if row is None else list(dict.fromkeys(filter(None, row)))


@one_statement
def model_id(connection: Connection, name: str, dimensions: int) -> int:
    """The number of an embedding model. Raises Misconfigured where it has given vectors of another length."""
    row = SQL["model_id"].one(connection, {"name": name, "dimensions": dimensions})
    if row.dimensions != dimensions:
        raise Misconfigured(
            f"the embedding model {name} gave vectors of {row.dimensions} dimensions before, and now of "
            f"{dimensions}: give the changed model another name in docmill.toml, and index with that"
        )
    return int(row.id)


def change_model(connection: Connection, collection: Collection, model: str) -> list[int]:
    """Begins to take another model: the documents to index again. Searches use the old one until all are done.

    The same model again makes its vectors and chunks anew.
    """
    SQL["change_model"].count(connection, {"model": model, "id": collection.id})
    return [row.document_id for row in SQL["documents_of"].rows(connection, {"id": collection.id})]


def names_of(connection: Connection, ids: Sequence[int]) -> dict[int, str | None]:
    """The documents' names by their ids."""
    found = select(documents.c.id, documents.c.name).where(one_of(documents.c.id, ids))
    return {row.id: row.name for row in connection.execute(found)}


def documents_of(
    connection: Connection, collection: Collection, *, limit: int, after: int = 0
) -> list[Mapping[str, Any]]:
    """Its documents by their ids, from the one after ``after``: what a search, a deletion or a filter names."""
    mine = collection_documents.c
    held = select(func.count()).where(
        chunks.c.collection_id == mine.collection_id, chunks.c.document_id == mine.document_id
    )
    shown = mine.document_id.label("id"), documents.c.name, mine.language, mine.meta, mine.indexed_at
    rows = connection.execute(
        select(*shown, held.scalar_subquery().label("chunks"))
        .join_from(collection_documents, documents, documents.c.id == mine.document_id)
        .where(mine.collection_id == collection.id, mine.document_id > after)
        .order_by(mine.document_id)
        .limit(limit)
    )
    return [dict(row) for row in rows.mappings()]


def leave_collection(connection: Connection, collection: Collection, document_id: int) -> bool:
    """Takes a document out of a collection; False where it is not in it."""
    values = {"tenant": collection.tenant, "collection": collection.id, "document": document_id}
    SQL["drop_chunks"].count(connection, values)
    return bool(SQL["leave"].count(connection, values))


def delete_document(connection: Connection, tenant: str, document_id: int) -> bool:
    """Deletes a document with its text, its chunks and their vectors, in every collection; False for none.

    What jobs have found in it stays: it is theirs.
    """
    values = {"tenant": tenant, "collection": None, "document": document_id}
    SQL["drop_chunks"].count(connection, values)
    return bool(SQL["delete_document"].count(connection, values))
