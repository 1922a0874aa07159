"""How fast a million chunks are indexed and searched, beside a plain ``order by v <=> q`` over the same rows.

Usage: ``python -m bench.retrieval [--chunks 1000000] [--data ../shared/data] [--keep FOLDER] [--ef 120,140]
[--json]``.

The chunks are sentences and windows of words of the data, each distinct, embedded by the default model; the
questions are the data's own. ``--keep`` names a folder for vectors and database, so that another run need not make
them again. ``--ef`` asks for vectors with other values of ``ef_search``, too: what recall costs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics as stats
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

import db.search
from bench.collection import database, embed_known
from bench.corpora import passages, questions
from db import chunks, collections, statistics
from db.chunks import Indexed, Passage
from db.collections import Collection
from db.search import Hit, Question, search
from docmill.retrieval.languages import searchable
from docmill.retrieval.offline import DIMENSIONS, NAME, embed_offline
from workers.stack.places import scratch

CHUNKS_A_DOCUMENT = 100
SHELVES, RACKS = 100, 20
"""A filter by shelf, or by rack, keeps one document in so many."""
KEPT: Mapping[str, Mapping[str, int]] = {
    "everything": {},
    "1 % kept by a filter": {"shelf": 7},
    "5 % kept by a filter": {"rack": 3},
}
ASKED = 300
WARMING = 300
"""Other questions, asked beforehand: a server that has just begun has nothing in its memory."""
ASKED_PLAINLY = 10
ROUNDED = 1e-3
"""Cosines that differ by less are equal: of half precision, from two programs."""
SETTINGS = ("shared_buffers=4GB", "max_wal_size=8GB", "work_mem=64MB")
"""Of Postgres, as for a server of its own with 16 GB."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--chunks", type=int, default=1_000_000)
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--keep", type=Path)
    options.add_argument("--ef", type=_numbers, default=[])
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    with _folder(chosen.keep) as folder:
        texts = passages(chosen.data, chosen.chunks)
        vectors = _vectors(folder / "vectors.npy", texts)
        drawn = random.Random(0).sample(questions(chosen.data), ASKED + WARMING)
        with database(folder / "database", settings=SETTINGS) as engine:
            _index(engine, texts, vectors)
            _search(engine, vectors, drawn[:ASKED], drawn[ASKED:], chosen.ef)
    if chosen.json:
        print(json.dumps(told))


def _numbers(written: str) -> list[int]:
    return [int(each) for each in written.split(",")]


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(mode=0o711, parents=True, exist_ok=True)
        yield kept.absolute()
        return
    with scratch("bench") as folder:
        yield folder


def _vectors(path: Path, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    if path.exists():
        known: np.ndarray[Any, Any] = np.load(path, mmap_mode="r")
        return known
    started = time.monotonic()
    made = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(len(texts), DIMENSIONS))
    for at in range(0, len(texts), 5000):
        made[at : at + 5000] = embed_offline(texts[at : at + 5000])
    made.flush()
    _tell("embedded by the default model, chunks a second", len(texts) / (time.monotonic() - started))
    return made


def _index(engine: Engine, texts: Sequence[str], vectors: np.ndarray[Any, Any]) -> None:
    with engine.begin() as connection:
        collection = collections.ensure(connection, "bench", "million", NAME)
        model = collections.model_id(connection, NAME, DIMENSIONS)
        known = connection.execute(text("select count(*) from vectors")).scalar_one()
    if known < len(texts):
        _write(engine, collection, texts, vectors)
    with engine.begin() as connection:
        started = time.monotonic()
        statistics.count_words(connection, collection.id)
        _tell("words counted, s", time.monotonic() - started)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze chunks"))
        connection.execute(text("vacuum analyze vectors"))
        started = time.monotonic()
        slices = statistics.unindexed(connection)
        for each in slices:
            statistics.build_index(connection, each)
        if slices:
            _tell("HNSW indexes built, s", time.monotonic() - started)
        for pattern in (f"vectors_hnsw_{model}_%", "vectors", "chunks", "chunks_keys"):
            size = connection.execute(
                text("select sum(pg_relation_size(oid)) from pg_class where relname like :pattern"),
                {"pattern": pattern},
            )
            _tell(f"size of {pattern}, MB", float(size.scalar_one()) / 1e6)


def _write(engine: Engine, collection: Collection, texts: Sequence[str], vectors: np.ndarray[Any, Any]) -> None:
    """Documents of a hundred chunks, each in a transaction of its own, as the index chain's last stage does."""
    seconds = 0.0
    for at in range(0, len(texts), CHUNKS_A_DOCUMENT):
        own = texts[at : at + CHUNKS_A_DOCUMENT]
        with engine.begin() as connection:
            document = _document(connection, collection, at // CHUNKS_A_DOCUMENT)
            embed_known(connection, own, vectors[at : at + CHUNKS_A_DOCUMENT])
        started = time.monotonic()
        with engine.begin() as connection:
            chunks.write(connection, document, [_passage(each) for each in own], [NAME])
        seconds += time.monotonic() - started
        if at % 100_000 == 0:
            print(f"  … {at:,} chunks written", flush=True)
    _tell("indexed by one connection, embedding apart, chunks a second", len(texts) / seconds)


def _document(connection: Connection, collection: Collection, number: int) -> Indexed:
    row = connection.execute(
        text(
            "insert into documents (tenant, sha256, name, media_type, text)"
            " values ('bench', sha256(cast(:name as text)::bytea), :name, 'text/plain', '')"
            " on conflict (tenant, sha256) do update set name = excluded.name returning id"
        ),
        {"name": str(number)},
    ).one()
    return Indexed(
        tenant="bench",
        collection=collection.name,
        collection_id=collection.id,
        document_id=row.id,
        language="english",
        meta={"shelf": number % SHELVES, "rack": number % RACKS},
    )


def _passage(body: str) -> Passage:
    return Passage(start=0, end=len(body), text=body, searchable=searchable(body))


def _search(
    engine: Engine, vectors: np.ndarray[Any, Any], asked: Sequence[str], others: Sequence[str], efs: Sequence[int]
) -> None:
    embedded = embed_offline(asked)
    everything = np.asarray(vectors, dtype=np.float32)
    with engine.connect() as connection:
        collection = collections.find(connection, "bench", "million")
        places = _places(connection)
    for words, vector in zip(others, embed_offline(others), strict=True):
        _searched(engine, collection, Question(words=searchable(words), vector=vector))
    for kept, wanted in KEPT.items():
        mask = _mask(wanted, len(everything))
        true = [_nearest(everything, np.asarray(vector, dtype=np.float32), mask) for vector in embedded]
        for mode in ("vector", "hybrid", "text"):
            questions = [
                Question(words=searchable(words), vector=vector, mode=mode, filter=wanted)
                for words, vector in zip(asked, embedded, strict=True)
            ]
            found = _measure(engine, collection, questions, f"{mode}, {kept}")
            if mode == "vector":
                _tell_recall(found, true, places, f"{mode}, {kept}")
            for ef in efs if mode == "vector" and not wanted else ():
                name = f"{mode}, {kept}, ef_search {ef}"
                with _searching_with(ef):
                    found = _measure(engine, collection, questions, name)
                _tell_recall(found, true, places, name)
        with engine.connect() as connection:
            _plain(connection, embedded[:ASKED_PLAINLY], wanted, f"plain order by, {kept}")


def _mask(wanted: Mapping[str, int], number: int) -> np.ndarray[Any, Any] | None:
    """Which of so many chunks a filter keeps."""
    documents = np.arange(number) // CHUNKS_A_DOCUMENT
    for name, kept in wanted.items():
        mask: np.ndarray[Any, Any] = documents % {"shelf": SHELVES, "rack": RACKS}[name] == kept
        return mask
    return None


@contextmanager
def _searching_with(ef: int) -> Iterator[None]:
    """As if searches were set so."""
    before, db.search.EF_SEARCH = db.search.EF_SEARCH, ef
    try:
        yield
    finally:
        db.search.EF_SEARCH = before


def _tell_recall(
    found: Sequence[Sequence[Hit]], true: Sequence[Mapping[int, float]], places: Mapping[int, int], name: str
) -> None:
    pairs = list(zip(found, true, strict=True))
    same = [len({places[hit.chunk_id] for hit in hits} & best.keys()) for hits, best in pairs]
    near = [sum((hit.cosine or -1) >= min(best.values()) - ROUNDED for hit in hits) for hits, best in pairs]
    _tell(f"{name}: recall@10", stats.mean(same) / 10)
    _tell(f"{name}: as near as the exact tenth, of 10", stats.mean(near) / 10)


def _places(connection: Connection) -> Mapping[int, int]:
    """Where a chunk stands among the vectors, by its id."""
    rows = connection.execute(
        text(
            "select chunks.id, documents.name, position from chunks join documents on documents.id = document_id"
            " where chunks.collection = 'million'"
        )
    )
    return {row.id: int(row.name) * CHUNKS_A_DOCUMENT + row.position for row in rows}


def _nearest(
    everything: np.ndarray[Any, Any], vector: np.ndarray[Any, Any], mask: np.ndarray[Any, Any] | None
) -> dict[int, float]:
    """The ten nearest by an exact look at all, with their cosines."""
    cosines = everything @ vector
    if mask is not None:
        cosines = np.where(mask, cosines, -2)
    return {int(at): float(cosines[at]) for at in np.argpartition(-cosines, 10)[:10]}


def _measure(engine: Engine, collection: Collection, asked: Sequence[Question], name: str) -> list[list[Hit]]:
    for question in asked[:50]:
        _searched(engine, collection, question)
    found, times = _timed(asked, lambda question: _searched(engine, collection, question))
    _tell_times(name, times)
    return found


def _searched(engine: Engine, collection: Collection, question: Question) -> list[Hit]:
    """In a transaction of its own, as in production."""
    with engine.begin() as connection:
        return search(connection, collection, question)


def _plain(
    connection: Connection, embedded: Sequence[Sequence[float]], wanted: Mapping[str, int], name: str
) -> None:
    where = f"where meta @> '{json.dumps(wanted)}'".replace(":", "\\:") if wanted else ""
    connection.execute(text("set local enable_indexscan = off"))

    def ask(vector: Sequence[float]) -> int:
        statement = f"select chunk_id from vectors {where} order by v <=> cast(:q as halfvec) limit 10"
        return len(connection.execute(text(statement), {"q": str(list(vector))}).all())

    _, times = _timed(embedded, ask)
    _tell_times(name, times)
    connection.execute(text("set local enable_indexscan = on"))


def _timed(asked: Sequence[Any], ask: Callable[[Any], Any]) -> tuple[list[Any], list[float]]:
    found, times = [], []
    for question in asked:
        started = time.perf_counter()
        found.append(ask(question))
        times.append((time.perf_counter() - started) * 1000)
    return found, times


def _tell_times(name: str, times: Sequence[float]) -> None:
    _tell(f"{name}: p50, ms", stats.median(times))
    _tell(f"{name}: p95, ms", sorted(times)[int(len(times) * 0.95)])


told: dict[str, float] = {}


def _tell(name: str, figure: float) -> None:
    told[name] = round(figure, 3)
    print(f"{name:<64}{figure:>12,.3f}", flush=True)


if __name__ == "__main__":
    main()
