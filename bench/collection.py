"""A collection in a Postgres of its own, filled without workers, for benchmarks of searches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from db import chunks, collections, statistics
from db.collections import Collection
from db.engine import make_engine
from db.migrations import upgrade
from docmill.retrieval.languages import language_of
from docmill.retrieval.offline import DIMENSIONS, NAME, embed_offline
from tasks.stages.chunk import passages_of
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers, ServerName

__all__ = ["database", "embed_known", "filled"]

POSTGRES: tuple[ServerName] = ("postgres",)


@contextmanager
def database(kept: Path | None = None, *, settings: Sequence[str] = ()) -> Iterator[Engine]:
    """A database in ``kept``, or an empty one that is gone at the end; ``settings`` of Postgres as name=value."""
    with scratch("bench") as folder, _postgres(kept or folder / "data", settings) as servers:
        upgrade(servers.owner_url)
        engine = make_engine(servers.owner_url)
        yield engine
        engine.dispose()


def _postgres(data: Path, settings: Sequence[str]) -> EmbeddedServers:
    return EmbeddedServers(data, which=POSTGRES, postgres_settings=settings)


def filled(connection: Connection, name: str, documents: Sequence[tuple[str, str]]) -> Collection:
    """A collection of these (name, text) documents, chunked, embedded and counted as in production."""
    collection = collections.ensure(connection, "bench", name, NAME)
    collections.model_id(connection, NAME, DIMENSIONS)
    for document, body in documents:
        _index(connection, collection, document, body)
    statistics.count_words(connection, collection.id)
    return collections.find(connection, "bench", name)


def _index(connection: Connection, collection: Collection, name: str, body: str) -> None:
    passages = passages_of(body)
    embed(connection, [passage.text for passage in passages])
    document = chunks.Indexed(
        tenant="bench",
        collection=collection.name,
        collection_id=collection.id,
        document_id=_document(connection, name, body),
        language=language_of(body),
        meta={},
    )
    chunks.write(connection, document, passages, [NAME])


def embed(connection: Connection, texts: Sequence[str]) -> None:
    """Vectors of the default model for these texts."""
    embed_known(connection, texts, embed_offline(texts))


def embed_known(connection: Connection, texts: Sequence[str], vectors: Iterable[Iterable[float]]) -> None:
    """The same with vectors that are known."""
    connection.execute(
        text(
            "insert into embeddings (model, sha256, v) select :model, sha256, vector::halfvec from"
            " unnest(cast(:digests as bytea[]), cast(:vectors as text[])) as made (sha256, vector)"
            " on conflict do nothing"
        ),
        {
            "model": NAME,
            "digests": [chunks.digest(each, "bench") for each in texts],
            "vectors": [f"[{','.join(f'{value:.5g}' for value in vector)}]" for vector in vectors],
        },
    )


def _document(connection: Connection, name: str, body: str) -> int:
    return int(
        connection.execute(
            text(
                "insert into documents (tenant, sha256, name, media_type, text)"
                " values ('bench', :sha256, :name, 'text/plain', :text)"
                " on conflict (tenant, sha256) do update set name = excluded.name returning id"
            ),
            {"sha256": hashlib.sha256(f"{name}\0{body}".encode()).digest(), "name": name, "text": body},
        ).scalar_one()
    )
