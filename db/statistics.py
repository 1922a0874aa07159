"""What searches know of a collection beside its chunks: how common words are, and vectors' indexes.

None of it changes what is found to be right or wrong, only how well it is ranked, and how fast. So it is brought
up to date now and then, by upkeep, after collections have changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from db.search import SLICES

__all__ = [
    "INDEXED_FROM",
    "Slice",
    "build_index",
    "count_words",
    "drop_index",
    "outdated",
    "stale",
    "take_over",
    "unindexed",
]

SAMPLED_CHUNKS = 50_000
"""More are not counted: how common a word is, a sample tells as well."""
INDEXED_FROM = 20_000
"""Vectors of a model from which on an index is built: fewer are looked at faster one by one."""
M = 24
EF_CONSTRUCTION = 200
"""Of the index: neighbours of a vector on each level, and how many are looked at to find them."""
BYTES_A_NODE = 1200
"""In memory while the index is built, beside the vector itself."""
MOST_MEMORY_KB = 4 * 1024 * 1024
"""Taken for that at most, and only as far as it is needed."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of a model's vectors that has an index of its own."""

    model_id: int
    dimensions: int
    number: int

    @property
    def index(self) -> str:
        return f"vectors_hnsw_{self.model_id:d}_{self.number:d}_of_{SLICES}"


def stale(connection: Connection) -> list[int]:
    """Collections that have changed since their words were counted."""
    rows = connection.execute(
        text("select id from collections where counted_at is null or counted_at < changed_at order by changed_at")
    )
    return [row.id for row in rows]


def count_words(connection: Connection, collection_id: int) -> None:
    """Counts in how many of the collection's chunks each word occurs, in a sample of a large one."""
    values = {"collection": collection_id}
    connection.execute(text("select id from collections where id = :collection for update"), values)
    chunks = connection.execute(
        text("select count(*) from chunks where collection_id = :collection"), values
    ).scalar_one()
    share = max(1.0, chunks / SAMPLED_CHUNKS)
    connection.execute(text("delete from terms where collection_id = :collection"), values)
    connection.execute(
        text(
            "insert into terms (key, chunks, collection_id)"
            " select key, ceil(count(*) * :share), :collection from ("
            "   select keys from chunks where collection_id = :collection"
            "   and (:share = 1.0 or hashint8(id) & 1048575 < 1048576 / :share)) sampled"
            " cross join lateral unnest(keys) as key group by key on conflict (key) do nothing"
        ),
        {**values, "share": share},
    )
    connection.execute(
        text("update collections set chunks = :chunks, counted_at = clock_timestamp() where id = :collection"),
        {**values, "chunks": chunks},
    )


def take_over(connection: Connection) -> list[str]:
    """Collections whose next model has vectors of every document search those from now on; the old ones go."""
    done = connection.execute(
        text(
            "update collections set model = next_model, next_model = null where next_model is not null"
            " and not exists (select 1 from collection_documents d where d.collection_id = collections.id"
            " and not next_model = any(d.models)) returning id, name, model"
        )
    ).all()
    for row in done:
        connection.execute(
            text(
                "delete from vectors using embedding_models where model_id = embedding_models.id"
                " and vectors.collection_id = :id and embedding_models.name <> :model"
            ),
            {"id": row.id, "model": row.model},
        )
    return [row.name for row in done]


def unindexed(connection: Connection) -> list[Slice]:
    """Slices without an index, of models whose vectors are too many to be looked at one by one."""
    rows = connection.execute(
        text(
            # Vectors are counted only for models that lack an index: this runs with every tick.
            "with missing as materialized (select id, dimensions, slice"
            " from embedding_models cross join generate_series(0, :slices - 1) as slice"
            " where not exists (select 1 from pg_index join pg_class on pg_class.oid = indexrelid"
            " where relname = format('vectors_hnsw_%s_%s_of_%s', embedding_models.id, slice, cast(:slices as int))"
            " and indisvalid)),"
            " grown as materialized (select id from (select distinct id from missing) as lacking where"
            " (select count(*) from (select from vectors where model_id = lacking.id limit :least) s) >= :least)"
            " select id, dimensions, slice from missing join grown using (id) order by id, slice"
        ),
        {"least": INDEXED_FROM, "slices": SLICES},
    )
    return [Slice(model_id=row.id, dimensions=row.dimensions, number=row.slice) for row in rows]


def outdated(connection: Connection) -> list[str]:
    """Indexes of models that were parted in another way, once all that take their place are there."""
    rows = connection.execute(
        text(
            "select indexes.relname as name from pg_class indexes"
            " where relkind = 'i' and relname ~ '^vectors_hnsw_[0-9]+_' and relname !~ :now"
            " and (select count(*) from pg_class those join pg_index on indexrelid = those.oid and indisvalid"
            " where those.relname ~ (substring(indexes.relname from '^vectors_hnsw_[0-9]+_')"
            " || '[0-9]+_of_' || cast(:slices as int) || '$')) = :slices order by 1"
        ),
        {"now": f"_of_{SLICES}$", "slices": SLICES},
    )
    return [row.name for row in rows]


def drop_index(connection: Connection, name: str) -> None:
    """While searches and writes go on; ``connection`` commits each statement by itself."""
    connection.execute(text(f"drop index concurrently if exists {name}"))


def build_index(connection: Connection, each: Slice) -> None:
    """Builds a slice's HNSW index while searches and writes go on. One that was broken off is built anew.

    ``connection`` commits each statement by itself.
    """
    drop_index(connection, each.index)
    _give_memory(connection, each)
    try:
        _build(connection, each)
    except OperationalError:
        # Processes that build together share memory that a container may not give; one alone needs none of it.
        drop_index(connection, each.index)
        connection.execute(text("set max_parallel_maintenance_workers = 0"))
        _build(connection, each)
    finally:
        connection.execute(text("reset max_parallel_maintenance_workers"))
        connection.execute(text("reset maintenance_work_mem"))


def _give_memory(connection: Connection, each: Slice) -> None:
    """A graph that does not fit into memory while it is built takes many times as long."""
    connection.execute(
        text(
            "select set_config('maintenance_work_mem', greatest("
            " (select setting::bigint from pg_settings where name = 'maintenance_work_mem'),"
            " least(:most,"
            " 65536 + (select count(*) from vectors where model_id = :model) / :slices * :each / 1024)"
            ")::bigint || 'kB', false)"
        ),
        {
            "model": each.model_id,
            "slices": SLICES,
            "each": 2 * each.dimensions + BYTES_A_NODE,
            "most": MOST_MEMORY_KB,
        },
    )


def _build(connection: Connection, each: Slice) -> None:
    connection.execute(
        text(
            f"create index concurrently {each.index} on vectors"
            f" using hnsw ((v::halfvec({each.dimensions:d})) halfvec_cosine_ops)"
            f" with (m = {M}, ef_construction = {EF_CONSTRUCTION})"
            f" where model_id = {each.model_id:d} and chunk_id % {SLICES} = {each.number:d}"
        )
    )
