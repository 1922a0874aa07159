"""Searches in real collections, by words, by vectors and by both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.dialects import postgresql

import db.search
from bench.collection import filled
from db import collections, statistics
from db.chunks import digest
from db.collections import Collection
from db.search import Mode, Question, search
from docmill.errors import CollectionUnknown, Misconfigured
from docmill.retrieval.languages import searchable
from docmill.retrieval.offline import DIMENSIONS, embed_offline

DOCUMENTS = [
    ("tide", "The harbour gate closes when the tide is above four metres, and opens at low water."),
    ("oven", "Bake the bread for forty minutes, and let it cool before you cut it."),
    ("rent", "The tenant pays the rent on the third working day of each month."),
    ("miete", "Der Mieter zahlt die Häuser am dritten Werktag eines jeden Monats."),
    ("court", "本合同受其签订地法律的管辖，争议由当地法院解决。"),
]


@pytest.fixture
def as_owner(owner: Engine) -> Iterator[Connection]:
    with owner.connect() as made:
        yield made
        made.rollback()


@pytest.fixture
def collection(connection: Connection) -> Collection:
    return filled(connection, f"c-{uuid4()}", DOCUMENTS)


def asked(words: str, mode: Mode = "hybrid") -> Question:
    return Question(words=searchable(words), vector=embed_offline([words])[0], mode=mode, limit=3)


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_the_chunk_that_answers_comes_first(connection: Connection, collection: Collection, mode: Mode) -> None:
    hit = search(connection, collection, asked("when does the harbour gate open?", mode))[0]
    assert (hit.document, hit.position) == ("tide", 0)
    assert DOCUMENTS[0][1][hit.start : hit.end] == hit.text


@pytest.mark.parametrize(
    ("words", "document"), [("paying rents", "rent"), ("zahlt Haus", "miete"), ("法院 管辖", "court")]
)
def test_each_language_has_its_own_stems(
    connection: Connection, collection: Collection, words: str, document: str
) -> None:
    assert [hit.document for hit in search(connection, collection, asked(words, "text"))] == [document]


def test_words_are_scored_by_bm25(connection: Connection) -> None:
    collection = filled(
        connection, f"c-{uuid4()}", [("a", "tide tide tide"), ("b", "tide"), ("c", "gate"), ("d", "x1")]
    )
    hits = search(connection, collection, asked("tide gate", "text"))
    # idf of a word in 2 and in 1 of 4 chunks, and the weights of 3 of 3 words and of 1 of 1.
    rare, common = 1.203973, 0.693147
    short = 2.2 / (1 + 1.2 * (0.25 + 0.75 / 80))
    long = 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 3 / 80))
    assert [hit.document for hit in hits] == ["c", "a", "b"]
    assert [hit.word_score for hit in hits] == pytest.approx(
        [rare * short, common * long, common * short], rel=1e-4
    )


def test_what_is_in_no_document_is_not_found_by_words(connection: Connection, collection: Collection) -> None:
    assert search(connection, collection, asked("zeppelin", "text")) == []


@pytest.mark.parametrize("nothing", ["", "the of and", "\x01", "'; drop table chunks; --", ":* & | !"])
def test_a_question_without_words_is_no_error(
    connection: Connection, collection: Collection, nothing: str
) -> None:
    assert search(connection, collection, asked(nothing, "text")) == []
    assert len(search(connection, collection, replace(asked("bread"), words=nothing))) == 3


def test_another_tenants_chunks_are_not_found(connection: Connection, collection: Collection) -> None:
    with pytest.raises(CollectionUnknown):
        collections.find(connection, "somebody", collection.name)
    other = filled(connection, f"c-{uuid4()}", [("lone", "A lighthouse keeper counts the ships.")])
    assert {hit.document for hit in search(connection, other, asked("harbour tide gate bread"))} == {"lone"}


@pytest.mark.parametrize("looked_at_one_by_one", [True, False])
def test_a_filter_is_exact_with_and_without_the_index(
    as_owner: Connection, looked_at_one_by_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, collection = as_owner, filled(as_owner, f"c-{uuid4()}", DOCUMENTS)
    for table in ("chunks", "vectors"):
        connection.execute(
            text(f"update {table} set meta = '{{\"shelf\": 7}}' where collection_id = :id"), {"id": collection.id}
        )
    connection.execute(
        text(
            "update vectors set meta = '{}' where chunk_id in (select id from chunks where text like 'The harbour%')"
        )
    )
    connection.execute(text("update chunks set meta = '{}' where text like 'The harbour%'"))
    if not looked_at_one_by_one:
        statement = db.search.LOOKED_AT.replace(f"> {db.search.EXACT_MOST}", "> -1")
        monkeypatch.setattr(db.search, "LOOKED_AT", statement)
        indexed(connection, collections.model_id(connection, collection.model, DIMENSIONS), DIMENSIONS)
        connection.execute(text("set local enable_seqscan = off"))
        connection.execute(text("set local enable_bitmapscan = off"))
        connection.execute(text("set local enable_sort = off"))
    question = replace(asked("when does the harbour gate open?"), filter={"shelf": 7}, limit=10)
    for mode in ("hybrid", "vector"):
        found = {hit.document for hit in search(connection, collection, replace(question, mode=mode))}
        assert found == {"oven", "rent", "miete", "court"}


def test_a_large_collection_beside_many_small_ones_is_searched_by_its_indexes(as_owner: Connection) -> None:
    """The statement is planned once for all questions; a plan for a collection of the usual size would sort it all."""
    connection = as_owner
    connection.execute(text("set local session_replication_role = replica"))  # vectors without chunks will do
    model = collections.model_id(connection, f"m-{uuid4()}", 8)
    large = replace(collections.ensure(connection, "bench", f"c-{uuid4()}", "any"), chunks=40_000)
    many = {"model": model, "large": large.id}
    connection.execute(
        text(
            "insert into vectors (chunk_id, model_id, collection_id, v)"
            " select 1000000000 + n, :model, case when n <= 40000 then :large else 1000000 + n / 40 end,"
            " array(select random() + n * 0 from generate_series(1, 8))::real[]::halfvec"
            " from generate_series(1, 60000) as n"
        ),
        many,
    )
    indexed(connection, model, 8)
    connection.execute(text("analyze vectors"))
    question = Question(words="", vector=[1.0] * 8, mode="vector")
    found = planned_once(connection, large, db.search._Model(id=model, dimensions=8), question)
    assert found.count("Order By: ((v)::halfvec(8)") == db.search.SLICES
    assert "vectors_collection" not in found


def indexed(connection: Connection, model: int, dimensions: int) -> None:
    """As the librarian does it, but within a transaction, and with small graphs."""
    for number in range(db.search.SLICES):
        connection.execute(
            text(
                f"create index on vectors using hnsw ((v::halfvec({dimensions:d})) halfvec_cosine_ops)"
                " with (m = 4, ef_construction = 8)"
                f" where model_id = {model:d} and chunk_id % {db.search.SLICES} = {number}"
            )
        )


def planned_once(connection: Connection, collection: Collection, model: Any, question: Question) -> str:
    """The plan for any values."""
    statement = db.search._statement(collection, model, question, by_words=False)
    dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    prepared = text(statement).compile(dialect=dialect)
    values = {
        "languages": "'{}'",
        "words": "''",
        "chunks": "40000",
        "each": "10",
        "vector": f"'{question.vector}'",
    }
    connection.execute(db.search.PLANNED_ONCE)
    connection.exec_driver_sql("prepare searched as " + str(prepared).replace("%", "%%"))
    told = connection.exec_driver_sql(
        f"explain execute searched ({', '.join(values[name] for name in prepared.positiontup or ())})"
    )
    return "\n".join(told.scalars())


def test_a_document_gives_no_more_chunks_than_asked_for(connection: Connection) -> None:
    body = "\n\n".join(f"# Tide {number}\n\n" + "The tide rises in the harbour. " * 30 for number in range(4))
    collection = filled(connection, f"c-{uuid4()}", [("long", body), ("short", "A tide table.")])
    question = asked("tide in the harbour")
    assert [hit.document for hit in search(connection, collection, question)].count("long") > 1
    found = search(connection, collection, replace(question, each_document=1))
    assert sorted(str(hit.document) for hit in found) == ["long", "short"]


def test_a_deleted_document_is_gone_from_everywhere(connection: Connection, collection: Collection) -> None:
    shared = filled(connection, f"c-{uuid4()}", [*DOCUMENTS[:1], ("twin", DOCUMENTS[1][1])])
    hit = search(connection, collection, asked("bake bread", "text"))[0]
    tide = search(connection, shared, asked("harbour tide", "text"))[0]
    kept = "select count(*) from embeddings where sha256 = :digest"
    assert collections.delete_document(connection, "bench", hit.document_id)
    assert collections.delete_document(connection, "bench", tide.document_id)
    assert not search(connection, collection, asked("bake bread", "text"))
    for table in ("chunks", "collection_documents"):
        left = connection.execute(
            text(f"select count(*) from {table} where document_id = any(:ids)"),
            {"ids": [hit.document_id, tide.document_id]},
        )
        assert left.scalar_one() == 0
    assert connection.execute(text(kept), {"digest": digest(hit.text, "bench")}).scalar_one() == 1, (
        "its twin has the same text"
    )
    assert connection.execute(text(kept), {"digest": digest(tide.text, "bench")}).scalar_one() == 0
    assert not collections.delete_document(connection, "somebody", tide.document_id)


def test_a_model_takes_over_when_every_document_has_its_vectors(
    connection: Connection, collection: Collection
) -> None:
    again = collections.change_model(connection, collection, "other")
    assert len(again) == len(DOCUMENTS)
    assert statistics.take_over(connection) == []
    assert collections.find(connection, "bench", collection.name).model == "wordllama"
    connection.execute(text("update collection_documents set models = models || array['other']"))
    assert collection.name in statistics.take_over(connection)
    assert collections.find(connection, "bench", collection.name).model == "other"


def test_a_model_that_changes_its_length_is_refused(connection: Connection) -> None:
    name = f"m-{uuid4()}"
    assert collections.model_id(connection, name, DIMENSIONS) == collections.model_id(connection, name, DIMENSIONS)
    with pytest.raises(Misconfigured, match="256 dimensions before, and now of 8"):
        collections.model_id(connection, name, 8)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 101, "../up"])
def test_a_collections_name_is_plain(connection: Connection, name: str) -> None:
    with pytest.raises(Misconfigured, match="a collection's name"):
        collections.ensure(connection, "bench", name, "wordllama")


def test_an_index_is_wanted_once_a_model_has_enough_vectors(
    connection: Connection, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert statistics.unindexed(connection) == []
    monkeypatch.setattr(statistics, "INDEXED_FROM", len(DOCUMENTS))
    model = collections.model_id(connection, collection.model, DIMENSIONS)
    missing = [each.number for each in statistics.unindexed(connection) if each.model_id == model]
    assert missing == list(range(db.search.SLICES))
