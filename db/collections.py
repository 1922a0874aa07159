"""Collections: sets of documents that are searched together, of one tenant, with one embedding model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from docmill.errors import CollectionUnknown, Misconfigured

__all__ = [
    "Collection",
    "change_model",
    "delete_document",
    "documents_of",
    "find",
    "leave_collection",
    "listed",
    "made",
    "model_id",
    "models_of",
    "names_of",
]

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


FIELDS = "id, tenant, name, model, next_model, languages, chunks"


def find(connection: Connection, tenant: str, name: str) -> Collection:
    """The tenant's collection of that name. Raises CollectionUnknown."""
    row = (
        connection.execute(
            text(f"select {FIELDS} from collections where tenant = :tenant and name = :name"),
            {"tenant": tenant, "name": name},
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise CollectionUnknown(
            f"there is no collection {name!r}: `docmill index PATH… --collection {name}` makes it"
        )
    return Collection(**row)


def made(connection: Connection, tenant: str, name: str, model: str) -> Collection:
    """The tenant's collection of that name, new if need be. Raises Misconfigured for what is no name.

    ``model`` is for a new one; another's is changed by :func:`change_model` alone.
    """
    if NAME.fullmatch(name) is None:
        raise Misconfigured(
            f"a collection's name is letters, digits, '.', '_' and '-', at most 100: not {name[:120]!r}"
        )
    connection.execute(
        text(
            "insert into collections (tenant, name, model) values (:tenant, :name, :model)"
            " on conflict (tenant, name) do nothing"
        ),
        {"tenant": tenant, "name": name, "model": model},
    )
    return find(connection, tenant, name)


def listed(connection: Connection, tenant: str) -> list[Mapping[str, Any]]:
    """The tenant's collections, with their documents and chunks counted."""
    return [
        dict(row)
        for row in connection.execute(
            text(
                "select name, model, next_model, languages,"
                " (select count(*) from collection_documents d where d.collection_id = c.id) as documents,"
                " (select count(*) from chunks where collection_id = c.id) as chunks"
                " from collections c where tenant = :tenant order by name"
            ),
            {"tenant": tenant},
        ).mappings()
    ]


def models_of(connection: Connection, collection_id: int) -> list[str]:
    """Whose vectors a chunk of the collection needs: two while one model takes over from another."""
    row = connection.execute(
        text("select model, next_model from collections where id = :id"), {"id": collection_id}
    ).one_or_none()
    return [] if row is None else list(dict.fromkeys(filter(None, row)))


def model_id(connection: Connection, name: str, dimensions: int) -> int:
    """The number of an embedding model. Raises Misconfigured where it has given vectors of another length."""
    row = connection.execute(
        text(
            "with made as (insert into embedding_models (name, dimensions) values (:name, :dimensions)"
            " on conflict (name) do nothing returning id, dimensions)"
            " select id, dimensions from made union all"
            " select id, dimensions from embedding_models where name = :name limit 1"
        ),
        {"name": name, "dimensions": dimensions},
    ).one()
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
    connection.execute(
        text("update collections set next_model = :model where id = :id"), {"model": model, "id": collection.id}
    )
    rows = connection.execute(
        text("select document_id from collection_documents where collection_id = :id order by document_id"),
        {"id": collection.id},
    )
    return [row.document_id for row in rows]


def names_of(connection: Connection, documents: Sequence[int]) -> dict[int, str | None]:
    """The documents' names by their ids."""
    rows = connection.execute(
        text("select id, name from documents where id = any(cast(:ids as bigint[]))"), {"ids": list(documents)}
    )
    return {row.id: row.name for row in rows}


def documents_of(
    connection: Connection, collection: Collection, *, limit: int, after: int = 0
) -> list[Mapping[str, Any]]:
    """Its documents by their ids, from the one after ``after``: what a search, a deletion or a filter names."""
    rows = connection.execute(
        text(
            "select d.document_id as id, documents.name, d.language, d.meta, d.indexed_at,"
            " (select count(*) from chunks where chunks.collection_id = d.collection_id"
            " and chunks.document_id = d.document_id) as chunks"
            " from collection_documents d join documents on documents.id = d.document_id"
            " where d.collection_id = :collection and d.document_id > :after order by d.document_id limit :limit"
        ),
        {"collection": collection.id, "after": after, "limit": limit},
    )
    return [dict(row) for row in rows.mappings()]


def leave_collection(connection: Connection, collection: Collection, document_id: int) -> bool:
    """Takes a document out of a collection; False where it is not in it."""
    values = {"collection": collection.id, "document": document_id}
    connection.execute(
        text(FORGET.format(which="document_id = :document and collection_id = :collection")), values
    )
    gone = connection.execute(
        text("delete from collection_documents where collection_id = :collection and document_id = :document"),
        values,
    )
    return bool(gone.rowcount)


def delete_document(connection: Connection, tenant: str, document_id: int) -> bool:
    """Deletes a document with its text, its chunks and their vectors, in every collection; False for none.

    What jobs have found in it stays: it is theirs.
    """
    values = {"tenant": tenant, "document": document_id}
    connection.execute(text(FORGET.format(which="document_id = :document and tenant = :tenant")), values)
    gone = connection.execute(text("delete from documents where tenant = :tenant and id = :document"), values)
    return bool(gone.rowcount)


# An embedding is kept by its text's hash, and goes with the last chunk that has the text. Their vectors cascade.
FORGET = (
    "with gone as (delete from chunks where {which} returning id, sha256)"
    " delete from embeddings using gone where embeddings.sha256 = gone.sha256 and not exists ("
    "select 1 from chunks where chunks.sha256 = gone.sha256 and chunks.id not in (select id from gone))"
)
