"""A job's way as one trace in a collector: with a rate limit, a correction and an escalation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine, text

from db import collections
from db.database import Database
from db.submit import Indexing, Submission, submit, submit_index, trace
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.settings import load_settings
from docmill.tracing import OtelTracer, parent_of, valid_parent
from prompts import Registry
from tasks.calls.embedding.call import Asker
from tasks.calls.embedding.question import vector_for
from tasks.celery.stage import Handler
from tasks.services import Caller, Services
from tasks.stages.embed import embed
from tests.integration.test_api_edges import app_of, asked
from tests.otlp import Collector, Scripted, Seen, collecting, reply, scripted
from tests.stack import RunningStack, data, start
from tests.walk import RECEIPT, STAGES, Walk, ignore

__all__ = ["data", "start"]

SAID = '{"company": "EXAMPLE TEA HOUSE", "address": "1 Sample Street", "date": "2018-03-09", "total": %s, "currency": null}'
LIMITED = (
    429,
    {"retry-after": "1"},
    {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}},
)
SCRIPT = (
    LIMITED,
    reply("Here it is: not JSON", model="sim-small-1"),
    reply(SAID % "99.75", model="sim-small-1", cached=64),
    reply(SAID % "12.50", model="sim-large-1", cached=32),
)  # fmt: skip
"""A limit; a reply that is corrected; one whose total is not in the document, so that a stronger model is asked."""
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def judge(spans: list[Seen], job: int) -> None:
    """One trace, whole: each span has its parent in it, but for the first."""
    ours = sorted(spans, key=lambda each: each.began)
    assert len({each.trace for each in ours}) == 1
    ids = {each.id for each in ours}
    calls = [each for each in ours if each.name.startswith("chat ")]
    stages = {each.id: each for each in ours if each not in calls and each.name != "submit"}
    assert all(each.parent in ids for each in calls)
    assert {each.attributes["docmill.job.id"] for each in stages.values()} == {job}
    assert [(each.name, each.failed, each.attributes.get("error.type")) for each in calls] == [
        ("chat sim-small", True, "rate_limited"),
        ("chat sim-small", False, None),
        ("chat sim-small", False, None),
        ("chat sim-large", False, None),
    ]
    assert [stages[each.parent].attributes["docmill.purpose"] for each in calls] == [
        "first", "first", "correction", "escalation",
    ]  # fmt: skip
    for call in calls:
        above = stages[call.parent]
        assert above.name == "complete"
        assert above.began <= call.began <= call.ended <= above.ended
    last = calls[-1].attributes
    expected = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "sim-large", "gen_ai.response.model": "sim-large-1",
        "gen_ai.usage.input_tokens": 90, "gen_ai.usage.output_tokens": 20, "gen_ai.usage.cache_read.input_tokens": 32,
        "gen_ai.response.finish_reasons": ["stop"], "server.address": "127.0.0.1",
    }  # fmt: skip
    assert {name: last[name] for name in expected} == expected
    assert "gen_ai.usage.input_tokens" not in calls[0].attributes, "unknown is not told"
    assert [each.name for each in ours if each.name == "store"] == ["store"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def walked(engine: Engine, services: Services, job: int) -> str:
    """Each delivery of the job's messages, by what does it in a worker; its state at the end."""
    way = Walk(engine, services)
    for _ in range(60):
        row = way.job(job)
        if row.wait is None:
            return str(row.state)
        with engine.begin() as connection:
            connection.execute(
                text("update jobs set wait = 'sent', state = 'running' where id = :id"), {"id": job}
            )
        handler = Handler(name=row.stage, function=STAGES[row.stage], lease_s=60)
        handler.run(services, job, row.epoch)
    raise AssertionError(row)


@contextmanager
def tracing(engine: Engine, provider: Scripted, collector: Collector, *, content: bool) -> Iterator[Services]:
    """What an io worker has; at its end all is told."""
    with LoopThread() as loop:
        transport = HttpTransport()
        tracer = OtelTracer(collector.url, owner="io-1", content=content)
        yield Services(
            settings=load_settings(llm_url=provider.url, call_deadline_s=5), database=Database(engine), registry=Registry(),
            publish=ignore, owner="io-1", caller=Caller(loop=loop, transport=transport, tracer=tracer), tracer=tracer,
        )  # fmt: skip
        loop.run(transport.close())
        tracer.close()


@pytest.mark.parametrize("content", [False, True])
def test_a_job_is_one_trace(engine: Engine, collector: Collector, content: bool) -> None:
    with scripted(*SCRIPT) as provider, tracing(engine, provider, collector, content=content) as services:
        with engine.begin() as connection:
            trace(connection, PARENT)
            body = f"{RECEIPT}\n{content}".encode()
            job = submit(
                connection,
                Submission(
                    prompt="receipt", version="v1", body=body, tenant=f"traces-{content}-{time.monotonic()}"
                ),
            )
            connection.execute(text("update jobs set stage = 'context' where id = :id"), {"id": job})
            connection.execute(
                text("update documents set text = :text where id = (select document_id from jobs where id = :id)"),
                {"id": job, "text": body.decode()},
            )
        assert walked(engine, services, job) == "done"
    judge(collector.spans, job)
    assert {each.trace for each in collector.spans} == {"0af7651916cd43dd8448eb211c80319c"}
    told = str(collector.spans)
    assert ("TEA HOUSE" in told) == content
    assert ("not JSON" in told) == content
    if content:
        first, *_ = [each.attributes for each in collector.spans if "not JSON" in str(each.attributes)]
        (said,) = json.loads(first["gen_ai.output.messages"])
        assert said == {"role": "assistant", "parts": [{"type": "text", "content": "Here it is: not JSON"}]}


def vectors(number: int) -> tuple[int, dict[str, str], Any]:
    rows = [{"index": at, "embedding": [0.5, 0.25, 0.125 * at, *[0.0] * 253]} for at in range(number)]
    return 200, {}, {"model": "sim-embed-1", "data": rows, "usage": {"prompt_tokens": 21, "total_tokens": 21}}


def test_calls_for_vectors_have_spans_below_their_stage(engine: Engine, collector: Collector) -> None:
    """Of a document that is indexed, whose provider has a limit; and of a question, which is no job's."""
    tenant, words = f"traces-{uuid4()}", f"Of the TEA HOUSE {uuid4()}"
    with (
        scripted(LIMITED, vectors(1), vectors(1)) as provider,
        tracing(engine, provider, collector, content=True) as services,
    ):
        job = indexed(engine, tenant, words)
        for _ in range(2):
            with engine.begin() as connection:
                connection.execute(text("update jobs set wait = 'sent' where id = :id"), {"id": job})
                (epoch,) = connection.execute(text("select epoch from jobs where id = :id"), {"id": job}).one()
            Handler(name="embed", function=embed, lease_s=60).run(services, job, epoch)
        vector_for(services, "sim-embed", f"{words}?", asker=Asker(tenant=tenant))
    calls = [each for each in collector.spans if each.name == "embeddings sim-embed"]
    stages = {each.id: each for each in collector.spans if each not in calls}
    assert [(each.failed, each.attributes.get("error.type")) for each in calls] == [
        (True, "rate_limited"), (False, None), (False, None),
    ]  # fmt: skip
    for call in calls[:2]:
        above = stages[call.parent]
        assert (above.name, above.trace, above.attributes["docmill.job.id"]) == ("embed", call.trace, job)
        assert above.began <= call.began <= call.ended <= above.ended
    assert (calls[2].parent, calls[2].trace == calls[1].trace) == ("", False)
    expected = {
        "gen_ai.operation.name": "embeddings", "gen_ai.request.model": "sim-embed", "gen_ai.response.model": "sim-embed-1",
        "gen_ai.usage.input_tokens": 21, "gen_ai.embeddings.dimension.count": 256, "docmill.texts": 1, "server.address": "127.0.0.1",
    }  # fmt: skip
    assert {name: calls[1].attributes[name] for name in expected} == expected
    with engine.connect() as connection:
        rows = connection.execute(text("select id from calls where tenant = :tenant"), {"tenant": tenant})
        assert {each.attributes["docmill.call.id"] for each in calls} == {str(row.id) for row in rows}
    assert "gen_ai.usage.output_tokens" not in calls[1].attributes, "there are none"
    assert "gen_ai.embeddings.dimension.count" not in calls[0].attributes
    assert "TEA HOUSE" not in str(collector.spans), "the conventions have no place for what is embedded"


def indexed(engine: Engine, tenant: str, words: str) -> int:
    """A job at its stage embed, of a document of one passage."""
    with engine.begin() as connection:
        made = collections.ensure(connection, tenant, "c", "sim-embed")
        job = submit_index(connection, Indexing(collection="c", body=words.encode(), tenant=tenant))
        connection.execute(
            text(
                "update jobs set stage = 'embed', wait = 'sent', state = 'running', context = cast(:context as jsonb) where id = :id"
            ),
            {"id": job, "context": json.dumps({"collection_id": made.id, "passages": [[0, len(words)]]})},
        )
        connection.execute(
            text("update documents set text = :text where id = (select document_id from jobs where id = :id)"),
            {"id": job, "text": words},
        )
        return job


def test_what_breaks_a_stage_is_told_by_its_class_alone(engine: Engine, collector: Collector) -> None:
    tracer = OtelTracer(collector.url, owner="io-1")
    with (
        pytest.raises(ValueError, match="TEA HOUSE"),
        tracer.span("x", parent=None, kind="internal", attributes={}),
    ):
        raise ValueError("TEA HOUSE")
    tracer.close()
    (span,) = collector.spans
    assert (span.failed, span.attributes["error.type"]) == (True, "ValueError")
    assert "TEA HOUSE" not in str(span)


def test_a_collector_that_is_away_costs_nothing_but_its_spans() -> None:
    tracer = OtelTracer("http://127.0.0.1:1", owner="io-1")
    began = time.monotonic()
    for _ in range(2500):  # more than are kept
        with tracer.span("x", parent=PARENT, kind="internal", attributes={"a": 1}):
            assert (tracer.here() or "").startswith(PARENT[:35])
    tracer.close()
    assert time.monotonic() - began < 30, "a collector that is waited for takes minutes"


def test_a_submit_over_http_begins_the_trace_or_goes_on_with_that_of_who_asks(
    engine: Engine, collector: Collector
) -> None:
    tracer = OtelTracer(collector.url, owner="api")
    services = Services(
        settings=load_settings(),
        database=Database(engine),
        registry=Registry(),
        publish=ignore,
        owner="api",
        tracer=tracer,
    )
    traced, untraced = app_of(engine, services=services), app_of(engine)
    wanted = {"prompt": "receipt", "document": "TEA HOUSE"}

    def stored(app: Any, **headers: str) -> str | None:
        made = asked(app, "POST", "/v1/jobs", json=wanted, headers=headers)
        assert made.status_code == 202
        with engine.connect() as connection:
            written: str | None = connection.execute(
                text("select trace from jobs where id = :id"), {"id": made.json()["id"]}
            ).scalar_one()
        return written

    assert stored(untraced, traceparent=PARENT) is None
    begun, gone_on, refused = (
        stored(traced),
        stored(traced, traceparent=PARENT),
        stored(traced, traceparent="00-x"),
    )
    tracer.close()
    assert [each.name for each in collector.spans] == ["submit"] * 3
    told = [f"00-{each.trace}-{each.id}" for each in collector.spans]
    assert told == [(each or "")[:52] for each in (begun, gone_on, refused)]
    assert [each.parent for each in collector.spans] == ["", PARENT[36:52], ""]
    assert "TEA HOUSE" not in str(collector.spans)


@pytest.mark.parametrize(
    "odd", [None, "", "x" * 4000, "00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-0AF7-1-01", PARENT + "-x"]
)
def test_a_job_without_a_trace_has_one_of_its_own_that_each_stage_finds(odd: str | None) -> None:
    found = parent_of(odd, 7, "acme", "1 receipt")
    assert found == parent_of(None, 7, "acme", "1 receipt") == valid_parent(found)
    assert found[:35] != parent_of(odd, 8, "acme", "1 receipt")[:35]
    assert parent_of(PARENT, 7, "acme", "") == PARENT


@pytest.mark.slow
def test_a_trace_is_seen_whole_from_submit_to_store(
    start: Callable[..., RunningStack], collector: Collector
) -> None:
    """By a whole stack: an API, io and cpu workers, which each tell for themselves."""
    with scripted(*SCRIPT) as provider:
        stack = start(DOCMILL_LLM_URL=provider.url, DOCMILL_TRACES_URL=collector.url)
        address = json.loads((stack.data / "ready.json").read_text())["api"]
        made = httpx.post(
            f"{address}/v1/jobs",
            json={"prompt": "receipt", "version": "v1", "document": RECEIPT},
            headers={"traceparent": PARENT},
        )
        job = made.json()["id"]
        stack.until_all_end(60)
        assert stack.states() == {"done": 1}
        give_up_at = time.monotonic() + 30
        while "store" not in {each.name for each in collector.spans}:
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        time.sleep(3)
        assert stack.query("select count(*) as n from docmill_results_receipt_v1 where total = 12.50")[0].n == 1
    judge([each for each in collector.spans if each.name != "submit"], job)
    (submitted,) = [each for each in collector.spans if each.name == "submit"]
    assert submitted.parent == PARENT[36:52]
    stages = [each for each in collector.spans if each.parent == submitted.id]
    assert {each.name for each in stages} == {"validate", "context", "complete", "parse", "store"}
    assert len({each.process for each in collector.spans}) >= 3
    assert submitted.trace == PARENT[3:35]
