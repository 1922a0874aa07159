"""Questions to collections of a model that is called: one call for each, in the ledger, and none without words."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from bench.collection import filled
from db import budget_admin, collections, embeddings, jobs, statistics
from db.budget_admin import Wanted
from db.chunks import digest
from db.database import Database
from db.submit import Submission, submit
from docmill.errors import CollectionUnknown, EmbeddingAway, Misconfigured
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.retrieval.offline import NAME
from docmill.settings import load_settings
from docmill.simulator.server import Simulator
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.calls.embedding.call import Asker
from tasks.calls.embedding.question import vector_for
from tasks.question import passages_for
from tasks.services import Caller, Services
from tasks.stages.searching import passages_beside
from tasks.stages.step import Stop

MODEL = "sim-embed"
DOCUMENTS = [
    ("tide", "The harbour gate closes when the tide is above four metres."),
    ("oven", "Bake the bread for forty minutes."),
]


@pytest.fixture
def services(engine: Engine, tmp_path: Path) -> Iterator[Services]:
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread())
        simulator = loop.run(Simulator().__aenter__())
        stack.callback(lambda: loop.run(simulator.__aexit__(None, None, None)))
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))
        yield Services(
            settings=load_settings(llm_url=simulator.url),
            database=Database(engine),
            registry=Registry([BUILT_IN]),
            publish=lambda _: None,
            owner="test",
            caller=Caller(loop=loop, transport=transport),
        )


@pytest.fixture
def asker() -> Asker:
    return Asker(tenant="bench", usr=str(uuid4()))


def calls_of(services: Services, asker: Asker) -> list[Any]:
    with services.database.engine.connect() as connection:
        return list(
            connection.execute(
                text("select state, job_id, purpose, prompt, input_tokens, cost_usd from calls where usr = :usr"),
                {"usr": asker.usr},
            )
        )


def taken_over(services: Services, asker: Asker) -> str:
    """A collection whose vectors are the simulator's."""
    name = f"c-{uuid4()}"
    with services.database.engine.begin() as connection:
        made = filled(connection, name, DOCUMENTS)
    vectors = {body: vector_for(services, MODEL, body, asker=replace(asker, usr="")) for _, body in DOCUMENTS}
    with services.database.engine.begin() as connection:
        collections.change_model(connection, made, MODEL)
        for body in vectors:
            connection.execute(
                text(
                    "insert into vectors (chunk_id, model_id, collection_id, v)"
                    " select chunks.id, m.id, collection_id, e.v from chunks join embeddings e using (sha256)"
                    " join embedding_models m on m.name = e.model"
                    " where chunks.text = :body and e.model = :model and collection_id = :id"
                ),
                {"body": body, "model": MODEL, "id": made.id},
            )
        connection.execute(
            text(
                "update collection_documents set models = models || cast(:model as text) where collection_id = :id"
            ),
            {"model": MODEL, "id": made.id},
        )
        assert name in statistics.take_over(connection)
    return name


def test_a_question_is_embedded_by_its_collections_model_and_paid_once(services: Services, asker: Asker) -> None:
    name = taken_over(services, asker)
    words = f"{DOCUMENTS[1][1]} {uuid4()}"
    for _ in range(2):
        hits = passages_for(services, name, words, asker=asker, mode="vector")
        assert hits[0].document == "oven"
        assert hits[0].cosine is not None
    (call,) = calls_of(services, asker)
    assert (call.state, call.job_id, call.purpose) == ("answered", None, "embed")
    assert call.cost_usd == Decimal("0.00000002") * call.input_tokens


def test_what_one_tenant_has_paid_for_another_pays_for_itself(services: Services, asker: Asker) -> None:
    """What it costs says nothing of whether somebody else has the text."""
    words = f"The merger is called {uuid4()}"
    others = [replace(asker, tenant=tenant, usr=str(uuid4())) for tenant in ("default", "acme", "rival", "acme")]
    for other in others:
        vector_for(services, MODEL, words, asker=other)
    costs = [[call.cost_usd for call in calls_of(services, other)] for other in others]
    assert costs[0] == costs[1] == costs[2] != []
    assert costs[3] == [], "the same tenant pays once"
    with services.database.engine.begin() as connection:
        connection.execute(
            text("update embeddings set claimed_until = now() - interval '8 days' where sha256 = :digest"),
            {"digest": digest(words, "rival")},
        )
        embeddings.forget_questions(connection, after_days=7)
        known = [embeddings.vector_of(connection, MODEL, digest(words, tenant)) for tenant in ("acme", "rival")]
    assert [vector is not None for vector in known] == [True, False]


def test_the_same_question_at_once_is_one_call(services: Services, asker: Asker) -> None:
    words = f"What does the harbour cost? {uuid4()}"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: vector_for(services, MODEL, words, asker=asker), range(8)))
    assert len({tuple(vector)[:3] for vector in found}) <= 2, "the vector as answered, and as halfvec keeps it"
    assert len(calls_of(services, asker)) == 1


def test_searching_by_words_calls_nobody(services: Services, asker: Asker) -> None:
    name = taken_over(services, asker)
    assert passages_for(services, name, "harbour", asker=asker, mode="text")[0].document == "tide"
    assert calls_of(services, asker) == []


def test_a_budget_without_room_refuses_and_leaves_nothing_claimed(services: Services, asker: Asker) -> None:
    wanted = Wanted(cap_usd=Decimal("0.0000000001"), scope="user", subject=asker.usr, span="total", policy="hold")
    with services.database.engine.begin() as connection:
        budget = budget_admin.put(connection, wanted, timezone="UTC")
    words = str(uuid4())
    with pytest.raises(EmbeddingAway, match="budget") as refused:
        vector_for(services, MODEL, words, asker=asker)
    assert refused.value.failure.kind == "budget"
    assert calls_of(services, asker) == []
    with services.database.engine.begin() as connection:
        budget_admin.remove(connection, budget.id)
    assert vector_for(services, MODEL, words, asker=asker)


def test_a_prompts_budget_covers_what_its_jobs_ask_a_collection(services: Services, asker: Asker) -> None:
    name, words = taken_over(services, asker), f"ovens {uuid4()}"
    wanted = Wanted(cap_usd=Decimal(0), scope="prompt", subject="answer", span="total", policy="hold")
    with services.database.work() as connection:
        question = Submission(
            prompt="answer", body=words.encode(), tenant="bench", usr=asker.usr, params={"collection": name}
        )
        job_id = submit(connection, question)
        epoch = connection.execute(text("select epoch from jobs where id = :id"), {"id": job_id}).scalar_one()
        job = jobs.load(connection, job_id, epoch, "validate")
        budget = budget_admin.put(connection, wanted, timezone="UTC")
    assert job is not None
    prompt = services.registry.get("answer")
    assert passages_beside(services, job, prompt, words) == Stop("held: budget")
    assert calls_of(services, asker) == []
    with services.database.work() as connection:
        budget_admin.remove(connection, budget.id)
    assert isinstance(passages_beside(services, job, prompt, words), list)
    (call,) = calls_of(services, asker)
    assert call.prompt == "answer"


def test_a_provider_that_does_not_answer_is_named(services: Services, asker: Asker) -> None:
    away = replace(services, settings=load_settings(llm_url="http://127.0.0.1:9/v1"))
    words = str(uuid4())
    with pytest.raises(EmbeddingAway, match=r"sim-embed.*nothing answers.*--mode text"):
        vector_for(away, MODEL, words, asker=asker)
    assert [call.state for call in calls_of(services, asker)] == ["failed"]
    assert vector_for(services, MODEL, words, asker=asker), "its claim is free again"


def test_a_model_that_nobody_configured_is_named(services: Services, asker: Asker) -> None:
    with pytest.raises(Misconfigured, match="nobody is not configured"):
        vector_for(services, "nobody", "tide", asker=asker)
    with pytest.raises(CollectionUnknown):
        passages_for(services, "no-such", "tide", asker=asker)


def test_the_offline_model_calls_nobody(services: Services, asker: Asker) -> None:
    assert len(vector_for(services, NAME, "tide", asker=asker)) == 256
    assert calls_of(services, asker) == []


def test_vectors_of_old_questions_go_unless_a_document_has_the_words(services: Services, asker: Asker) -> None:
    lone, shared = str(uuid4()), DOCUMENTS[0][1]
    taken_over(services, asker)
    vector_for(services, MODEL, lone, asker=asker)
    with services.database.engine.begin() as connection:
        connection.execute(text("update embeddings set claimed_until = now() - interval '8 days' where question"))
        embeddings.forget_questions(connection, after_days=7)
        assert embeddings.vector_of(connection, MODEL, digest(lone, asker.tenant)) is None
        assert embeddings.vector_of(connection, MODEL, digest(shared, asker.tenant)) is not None
