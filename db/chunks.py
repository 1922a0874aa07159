"""Chunks of a collection's documents, and their vectors: written whole, in one transaction a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

__all__ = ["Indexed", "Passage", "Place", "digest", "texts_at", "write"]


def digest(passage: str) -> bytes:
    """What an embedding is kept under."""
    return hashlib.sha256(passage.encode()).digest()


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


def texts_at(connection: Connection, tenant: str, places: Sequence[Place]) -> list[str]:
    """The words at these places of the tenant's documents; none where a document was deleted."""
    rows = connection.execute(
        text(
            "select coalesce(substr(d.text, start_at + 1, end_at - start_at), '') as words"
            " from unnest(cast(:ids as bigint[]), cast(:starts as int[]), cast(:ends as int[]))"
            " with ordinality as places (document_id, start_at, end_at, at)"
            " left join documents d on d.id = places.document_id and d.tenant = :tenant order by at"
        ),
        {
            "tenant": tenant,
            "ids": [place.document_id for place in places],
            "starts": [place.start for place in places],
            "ends": [place.end for place in places],
        },
    )
    return [row.words for row in rows]


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
    connection.execute(ENROLL, {**common, "models": list(models)})
    connection.execute(LANGUAGE, common)
    connection.execute(CHUNKS, {**common, **_columns(passages)})
    connection.execute(SURPLUS, {**common, "kept": len(passages)})
    for model in models:
        connection.execute(VECTORS, {**common, "model": model})
    return True


def _ready(connection: Connection, document: Indexed, passages: Sequence[Passage], models: Sequence[str]) -> bool:
    if connection.execute(LOCK, {"id": document.document_id}).one_or_none() is None:
        return False
    wanted = list({digest(passage.text) for passage in passages})
    return all(
        connection.execute(KNOWN, {"model": model, "wanted": wanted}).scalar_one() == len(wanted)
        for model in models
    )


def _columns(passages: Sequence[Passage]) -> dict[str, list[Any]]:
    return {
        "starts": [passage.start for passage in passages],
        "ends": [passage.end for passage in passages],
        "digests": [digest(passage.text) for passage in passages],
        "texts": [passage.text for passage in passages],
        "searchables": [passage.searchable for passage in passages],
    }


# Two jobs that index one document take turns.
LOCK = text("select id from documents where id = :id for no key update")

KNOWN = text(
    "select count(*) from embeddings where model = :model and v is not null"
    " and sha256 = any(cast(:wanted as bytea[]))"
)

ENROLL = text(
    "insert into collection_documents (collection_id, document_id, language, meta, models)"
    " values (:collection_id, :document_id, :language, cast(:meta as jsonb), cast(:models as text[]))"
    " on conflict (collection_id, document_id) do update set language = excluded.language, meta = excluded.meta,"
    " models = excluded.models, indexed_at = clock_timestamp()"
)

# The collection's row is changed by its first documents, and seldom afterwards: else all would queue for it.
LANGUAGE = text(
    "update collections set changed_at = clock_timestamp(), languages = case when :language = any(languages)"
    " then languages else languages || cast(:language as text) end"
    " where id = :collection_id and (not :language = any(languages)"
    " or changed_at < clock_timestamp() - interval '1 s' and counted_at >= changed_at)"
)

CHUNKS = text(
    "insert into chunks (tenant, collection, collection_id, document_id, position, start_at, end_at, sha256, text,"
    " language, meta, keys, terms)"
    " select :tenant, :collection, :collection_id, :document_id, place - 1, start_at, end_at, sha256, passage,"
    " :language, cast(:meta as jsonb), words.keys, words.terms"
    " from unnest(cast(:starts as int[]), cast(:ends as int[]), cast(:digests as bytea[]), cast(:texts as text[]),"
    " cast(:searchables as text[])) with ordinality"
    " as passages (start_at, end_at, sha256, passage, searchable, place)"
    " cross join lateral docmill_weights(:collection_id, :language, searchable) as words"
    " on conflict (collection, document_id, position) do update set start_at = excluded.start_at,"
    " end_at = excluded.end_at, sha256 = excluded.sha256, text = excluded.text, language = excluded.language,"
    " meta = excluded.meta, keys = excluded.keys, terms = excluded.terms"
)

SURPLUS = text(
    "delete from chunks where collection_id = :collection_id and document_id = :document_id and position >= :kept"
)

# A text without a word has a vector of length zero, which has no angle to any other.
VECTORS = text(
    "insert into vectors (chunk_id, model_id, collection_id, meta, v)"
    " select chunks.id, model.id, chunks.collection_id, chunks.meta, embeddings.v"
    " from chunks join embeddings on embeddings.sha256 = chunks.sha256 and embeddings.model = :model"
    " join embedding_models model on model.name = :model"
    " where chunks.collection_id = :collection_id and chunks.document_id = :document_id"
    " and l2_norm(embeddings.v) > 0"
    " on conflict (chunk_id, model_id) do update set v = excluded.v, meta = excluded.meta"
)
