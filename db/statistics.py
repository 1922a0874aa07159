"""What searches know of a collection beside its chunks: how common words are, and vectors' indexes.

None of it changes what is found to be right or wrong, only how well it is ranked, and how fast. So it is brought
up to date now and then, by upkeep, after collections have changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from db.search import SLICES
from db.statements import Statement, statements_of

__all__ = [
    "INDEXED_FROM",
    "Slice",
    "build_index",
    "count_words",
    "drop_index",
    "may_build",
    "outdated",
    "stale",
    "take_over",
    "try_lead",
    "unindexed",
]

SQL = statements_of("statistics")

LOCK = 0x6C696272
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


def try_lead(connection: Connection) -> bool:
    """Makes this transaction the one that looks after collections now; False where another one is.

    It does nothing else, and may be idle for long. A session's lock would stay for ever behind a pooler in
    transaction mode.
    """
    led = bool(SQL["try_lock"].scalar(connection, {"key": LOCK}))
    # Last, and no query: what a query saw is kept until the next statement, and an index that is built beside
    # writes would wait for that for ever.
    SQL["be_idle"].count(connection)
    return led


def stale(connection: Connection) -> list[int]:
    """Collections that have changed since their words were counted."""
    return [row.id for row in SQL["uncounted"].rows(connection)]


def count_words(connection: Connection, collection_id: int) -> None:
    """Counts in how many of the collection's chunks each word occurs, in a sample of a large one."""
    values = {"collection": collection_id}
    SQL["lock"].count(connection, values)
    chunks = SQL["count_chunks"].scalar(connection, values)
    SQL["forget_terms"].count(connection, values)
    SQL["count_terms"].count(connection, {**values, "share": max(1.0, chunks / SAMPLED_CHUNKS)})
    SQL["note_counted"].count(connection, {**values, "chunks": chunks})


def take_over(connection: Connection) -> list[str]:
    """Collections whose next model has vectors of every document search those from now on; the old ones go."""
    done = SQL["take_over"].rows(connection)
    for row in done:
        SQL["drop_vectors_of_others"].count(connection, {"id": row.id, "model": row.model})
    return [row.name for row in done]


def unindexed(connection: Connection) -> list[Slice]:
    """Slices without an index, of models whose vectors are too many to be looked at one by one."""
    return SQL["unindexed"].rows(connection, {"least": INDEXED_FROM, "slices": SLICES}, of=Slice)


def outdated(connection: Connection) -> list[str]:
    """Indexes of models that were parted in another way, once all that take their place are there."""
    return [row.name for row in SQL["outdated"].rows(connection, {"slices": SLICES})]


def may_build(connection: Connection) -> bool:
    """Tells whether this connection's role owns the vectors, and so may index them."""
    return bool(SQL["may_build"].scalar(connection))


def drop_index(connection: Connection, name: str) -> None:
    """While searches and writes go on; ``connection`` commits each statement by itself."""
    Statement(SQL["dropping_index"].scalar(connection, {"name": name})).count(connection)


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
        SQL["build_alone"].count(connection)
        _build(connection, each)
    finally:
        SQL["build_together"].count(connection)
        SQL["take_memory_back"].count(connection)


def _give_memory(connection: Connection, each: Slice) -> None:
    bytes_each = 2 * each.dimensions + BYTES_A_NODE
    values = {"model_id": each.model_id, "slices": SLICES, "bytes_each": bytes_each, "most_kb": MOST_MEMORY_KB}
    SQL["give_memory"].count(connection, values)


def _build(connection: Connection, each: Slice) -> None:
    values = {**vars(each), "name": each.index, "slices": SLICES, "m": M, "ef_construction": EF_CONSTRUCTION}
    Statement(SQL["building_index"].scalar(connection, values)).count(connection)
