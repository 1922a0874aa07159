"""Search in a collection: vectors and words, fused in one statement.

Words are scored by BM25 as an inner product: a chunk's ``terms`` hold the weight of each of its words, the
question's side how rare the word is (``terms``, counted now and then). The candidates are the chunks that have one
of the question's words, the rarest words first, until there are enough of them: a word that half of all chunks
have finds nothing that a rarer one does not, and still counts in the score.

Vectors come from the HNSW index of their model, which goes on past what a filter refuses, or, where the filter
leaves few chunks, from a look at each of these; so a filter is always exact.

The score is a weighted mean of both: words as a share of the best match, and the cosine. That was better on every
collection tried than the fusion of ranks, which forgets how much better the first is than the second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, select, text

from db.collections import Collection
from db.tables import embedding_models

__all__ = ["Hit", "Question", "search"]

Mode: TypeAlias = Literal["hybrid", "vector", "text"]

CANDIDATES = 200
"""Of each kind that are fused."""
EXACT_MOST = 12_000
"""Chunks that a filter may leave for each to be looked at: as fast as the index there, and without a miss."""
WORD_CANDIDATES = 4_000
"""Chunks that are scored by their words, at most about so many."""
WORDS_SHARE = 0.6
"""Of the score. Best for Cranfield were 0.5, for XQuAD 0.5 to 0.7, for spans of long texts 0.6 to 0.7."""
SLICES = 4
"""Indexes of one model, each over the chunks whose ids leave the same rest: docs/decisions/0070."""
EF_SEARCH = 120
"""Vectors that a walk through one of them keeps at hand."""
SCANNED_MOST = 40_000
"""Vectors the index is asked for, at most, where a filter refuses most of them."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is looked for: words, a vector of the collection's model, or both."""

    words: str
    """As :func:`docmill.retrieval.languages.searchable` gives them."""
    vector: Sequence[float] | None
    limit: int = 10
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] = field(default_factory=dict)
    """What a chunk's ``meta`` must contain."""
    each_document: int | None = None
    """The most chunks of one document."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A chunk that was found, and where it stands: characters of its document's text."""

    chunk_id: int
    document_id: int
    document: str | None
    """Its name."""
    position: int
    start: int
    end: int
    text: str
    meta: Mapping[str, Any]
    score: float
    word_score: float | None
    """BM25."""
    cosine: float | None


def search(connection: Connection, collection: Collection, question: Question) -> list[Hit]:
    """The best chunks, the best first; none where nothing has a word or a vector in common."""
    by_words = question.mode != "vector"
    model = _model(connection, collection) if question.vector is not None and question.mode != "text" else None
    values = {
        "languages": collection.languages,
        "words": question.words if by_words else "",
        "filter": json.dumps(dict(question.filter)),
        "chunks": max(1, collection.chunks),
        "each": question.each_document or question.limit,
        "vector": None if question.vector is None else str(list(question.vector)),
    }
    statement = _statement(collection, model, question, by_words=by_words)
    if not question.filter:
        connection.execute(PLANNED_ONCE)
    rows = connection.execute(text(statement), values).mappings()
    return [Hit(**row) for row in rows]


# Postgres would plan the statement for each question anew, which takes 3 ms. What a plan depends on stands in the
# statement itself, but for how much a filter keeps. (The setting ends with the transaction.)
PLANNED_ONCE = text("select set_config('plan_cache_mode', 'force_generic_plan', true)")


def _statement(collection: Collection, model: _Model | None, question: Question, *, by_words: bool) -> str:
    """The model's number and dimensions stand in the statement itself: only so its index is found.

    So do limits, and the collection: a plan for any number of rows, or for a collection of the usual size, would
    read whole tables.
    """
    large = collection.chunks > EXACT_MOST
    candidates = max(CANDIDATES if by_words else 0, question.limit)
    each_slice = min(candidates, 2 * candidates // SLICES + 10)
    named: dict[str, Any] = {
        "collection": f"{collection.id:d}",
        "candidates": candidates,
        "each_slice": each_slice,
        "ef_search": min(1000, max(EF_SEARCH, each_slice)),
        "limit": question.limit,
        "kept": "and meta @> cast(:filter as jsonb)" if question.filter else "",
        "found": BY_WORDS,
        "score": "word_score",
        "cosine": "null::float8",
        "vectors": "",
    }
    near = ""
    if model is not None:
        named |= {"id": model.id, "distance": DISTANCE.format(dimensions=model.dimensions), "score": "cosine"}
        slices = (SLICE.format(slice=number, **named) for number in range(SLICES))
        named |= {"slices": "\n    union all".join(slices)}
        named |= {"cosine": "1 - {distance}".format(**named), "vectors": VECTORS.format(**named)}
        named["found"] = f"{BY_WORDS} union {BY_VECTOR}" if by_words else BY_VECTOR
        if by_words:
            named["score"] = f"{WORDS_SHARE} * words + {1 - WORDS_SHARE} * coalesce(cosine, 0)"
        named["dimensions"] = model.dimensions
        near = GIVEN + (INDEXED if large and not question.filter else LOOKED_AT)
    return (WORDED + near + FUSED + TOP).format(**named)


BY_WORDS = "select id from worded"
BY_VECTOR = "select chunk_id as id from near"
VECTORS = "left join vectors on vectors.chunk_id = chunks.id and vectors.model_id = {id}"
# The question's vector is read from its text once, and not again for every row that it is compared with.
GIVEN = """
, given as materialized (select cast(:vector as halfvec({dimensions})) as q)"""
DISTANCE = "(v::halfvec({dimensions}) <=> (select q from given))"


WORDED = f"""
with words as materialized (
  select key, coalesce(terms.chunks, 0) as chunks
  from unnest(cast(:languages as text[])) as language
  cross join lateral docmill_terms({{collection}}, language, :words)
  left join terms using (key)
), weighed as materialized (
  select key, chunks, ln(1 + (greatest(:chunks, chunks) - chunks + 0.5) / (chunks + 0.5)) as weight,
         sum(chunks) over (order by chunks, key) - chunks as rarer
  from words
), asked as materialized (
  select ('{{{{' || string_agg(key || ':' || weight::real, ',') || '}}}}/1000000000')::sparsevec as terms,
         array_agg(key) filter (where rarer = 0 or rarer + chunks <= {WORD_CANDIDATES}) as keys
  from weighed
), worded as materialized (
  select id from chunks
  where keys && (select keys from asked) {{kept}}
  order by terms <#> (select terms from asked) limit {{candidates}}
)"""

# The settings of the index scans are made by the condition that gates them, so before their first step.
SETTINGS = f"""
       set_config('hnsw.iterative_scan', 'relaxed_order', true) is not null
       and set_config('hnsw.max_scan_tuples', '{SCANNED_MOST // SLICES}', true) is not null
       and set_config('hnsw.ef_search', '{{ef_search}}', true) is not null"""

SLICE = f"""
    (select chunk_id, {{distance}} as distance from vectors
     where (select on_ from gate) and model_id = {{id}} and chunk_id % {SLICES} = {{slice}}
       and collection_id = {{collection}} {{kept}}
     order by {{distance}} limit {{each_slice}})"""

INDEXED = f"""
, gate as materialized (select {SETTINGS} as on_)
, near as materialized (
  select chunk_id from ({{slices}}) as slices order by distance limit {{candidates}}
)"""

LOOKED_AT = f"""
, few as materialized (
  select chunk_id, {{distance}} as distance from vectors
  where collection_id = {{collection}} and model_id = {{id}} {{kept}} limit {EXACT_MOST + 1}
), gate as materialized (
  select count(*) > {EXACT_MOST} and {SETTINGS} as on_ from few
), near as materialized (
  (select chunk_id from few where not (select on_ from gate) order by distance limit {{candidates}})
  union all
  (select chunk_id from ({{slices}}) as slices order by distance limit {{candidates}})
)"""

FUSED = """
, found as ({found}), scored as (
  select chunks.id, chunks.document_id, -(chunks.terms <#> (select terms from asked)) as word_score,
         {cosine} as cosine
  from found join chunks using (id) {vectors}
), fused as (
  select *, coalesce(word_score / nullif(max(word_score) over (), 0), 0) as words from scored
), ranked as (
  select *, {score} as score from fused
), placed as (
  select *, row_number() over (partition by document_id order by score desc, id) as place from ranked
)"""

TOP = """
, top as (
  select * from placed where place <= :each order by score desc, id limit {limit}
)
select chunks.id as chunk_id, chunks.document_id, documents.name as document, position, start_at as start,
       end_at as end, chunks.text, chunks.meta, score, word_score, cosine
from top join chunks using (id) join documents on documents.id = chunks.document_id
order by score desc, chunks.id"""


@dataclass(frozen=True, kw_only=True)
class _Model:
    id: int
    dimensions: int


def _model(connection: Connection, collection: Collection) -> _Model | None:
    """The collection's embedding model; None before its first vector."""
    known = embedding_models.c
    rows = connection.execute(select(known.id, known.dimensions).where(known.name == collection.model))
    return next((_Model(**row) for row in rows.mappings()), None)
