"""The simulator over real HTTP, with docmill's own client."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import struct
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from docmill.errors import Misconfigured
from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.transport import HttpTransport
from docmill.llm.types import Message, Request
from docmill.money import cost
from docmill.parsing import parse
from docmill.simulator import Settings, Simulator
from docmill.simulator.answers import read_answers
from docmill.simulator.bill import NANODOLLARS
from docmill.simulator.faults import FAULTS
from prompts import Excerpt, Registry

DOCUMENT = "EXAMPLE TEA HOUSE\n09/03/2018\nTea 10.00\nTOTAL 12.50"


def request(document: str = DOCUMENT, *, model: str = "sim-small", limit: int = 512) -> Request:
    prompt = Registry().get("receipt")
    messages = prompt.render(Excerpt(passages=(document,)), {})
    return Request(model=model, messages=messages, max_output_tokens=limit)


async def outcomes(
    simulator: Simulator,
    requests: Sequence[Request],
    *,
    deadline_s: float = 20,
    provider: str = "openai-compatible",
    key: str | None = None,
) -> list[Outcome]:
    endpoint = Endpoint(provider=provider, base_url=simulator.url, key=key)
    async with HttpTransport() as transport:
        calls = [
            ask(endpoint, each, call_id=uuid4(), transport=transport, deadline_s=deadline_s) for each in requests
        ]
        return list(await asyncio.gather(*calls))


def run(
    settings: Settings,
    requests: Sequence[Request],
    *,
    deadline_s: float = 20,
    provider: str = "openai-compatible",
    key: str | None = None,
) -> list[Outcome]:
    async def go() -> list[Outcome]:
        async with Simulator(settings) as simulator:
            return await outcomes(simulator, requests, deadline_s=deadline_s, provider=provider, key=key)

    return asyncio.run(go())


def get(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        return str(response.read().decode())


def test_a_receipt_is_answered_from_its_own_words() -> None:
    (outcome,) = run(Settings(), [request()])
    assert outcome.failure is None
    assert outcome.reply is not None
    value = parse(outcome.reply.text, Registry().get("receipt").schema)
    assert isinstance(value, dict)
    assert (value["company"], value["date"], value["total"]) == ("EXAMPLE TEA HOUSE", "2018-03-09", 12.5)


def test_the_bill_is_what_docmill_reckons_line_by_line() -> None:
    async def go() -> tuple[list[Outcome], str, str]:
        models = ("sim-small", "sim-large")
        async with Simulator(Settings()) as simulator:
            found = await outcomes(simulator, [request(model=model) for model in models for _ in range(5)])
            bill = await asyncio.to_thread(get, f"{simulator.url}/bill")
            return found, bill, await asyncio.to_thread(get, f"{simulator.url}/v1/stats")

    found, bill, stats = asyncio.run(go())
    lines = [json.loads(line) for line in bill.splitlines()]
    replies = [outcome.reply for outcome in found if outcome.reply is not None]
    reckoned = sorted(
        cost(reply.usage, provider="simulator", model=str(reply.model_echoed)).usd or 0 for reply in replies
    )
    assert len(replies) == 10
    assert [float(each) for each in reckoned] == sorted(float(line["cost_usd"]) for line in lines)
    assert json.loads(stats)["calls"] == 10


MARKER = "zanzibarquill"
KEY = "sk-kumquatorchid"


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic"])
def test_no_call_is_logged_with_what_was_said_whatever_fails(
    provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each library at its most talkative, with nothing held back."""
    for name in ("httpx", "httpcore", "h11", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)
    requests = [request(f"{MARKER} {DOCUMENT}\n{number}") for number in range(60)]
    settings = Settings(faults=dict.fromkeys(FAULTS, 0.1), api_key=KEY)
    found = run(settings, requests, deadline_s=6, provider=provider, key=KEY)
    found += run(settings, requests[:1], provider=provider, key=f"{KEY}-wrong")
    kinds = {outcome.failure.kind for outcome in found if outcome.failure is not None}
    assert kinds >= {"rate_limited", "quota_exhausted", "timeout", "connection", "context_overflow", "auth"}
    assert any(MARKER in outcome.reply.text for outcome in found if outcome.reply is not None)
    logged = [f"{record.getMessage()} {record.exc_text} {record.args}" for record in caplog.records]
    assert logged
    for told in (*logged, *(repr(outcome.failure) for outcome in found)):
        assert MARKER not in told
        assert KEY not in told


def test_a_limit_is_told_with_its_wait_and_not_billed() -> None:
    found = run(Settings(requests_per_minute=120), [request(f"{DOCUMENT}\n{number}") for number in range(10)])
    limited = [outcome.failure for outcome in found if outcome.failure is not None]
    assert len(limited) >= 5
    assert all(failure.kind == "rate_limited" and failure.retry_after_s for failure in limited)


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate_limited", "rate_limited"),
        ("quota", "quota_exhausted"),
        ("server_error", "server_error"),
        ("overloaded", "overloaded"),
        ("overflow", "context_overflow"),
        ("truncated", "truncated"),
        ("refused", "refused"),
        ("cut", "connection"),
        ("hang", "timeout"),
        ("drip_headers", "timeout"),
        ("drip_body", "timeout"),
    ],
)
def test_each_fault_is_the_failure_it_is_named_for(provider: str, fault: str, kind: str) -> None:
    (outcome,) = run(Settings(faults={fault: 1.0}), [request()], deadline_s=1, provider=provider)
    assert outcome.failure is not None
    assert outcome.failure.kind == kind


def test_both_shapes_give_the_same_answer_for_the_same_money() -> None:
    openai, anthropic = (run(Settings(), [request()], provider=each)[0] for each in ("simulator", "anthropic"))
    assert openai.reply is not None
    assert anthropic.reply is not None
    assert openai.reply.text == anthropic.reply.text
    assert openai.reply.usage.output_tokens == anthropic.reply.usage.output_tokens


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic"])
def test_an_overflow_tells_the_window_and_what_was_asked(provider: str) -> None:
    (outcome,) = run(Settings(context_window=300), [request()], provider=provider)
    failure = outcome.failure
    assert failure is not None
    assert failure.limit_tokens == 300
    assert failure.actual_tokens is not None
    assert failure.actual_tokens > 300


def test_a_drawn_limit_tells_its_wait_in_every_form_that_providers_have() -> None:
    requests = [request(f"{DOCUMENT}\n{number}") for number in range(5)]
    failures = [outcome.failure for outcome in run(Settings(faults={"rate_limited": 1}), requests)]
    waits = [failure.retry_after_s if failure else None for failure in failures]
    assert all(wait is not None and 0 <= wait <= 2 for wait in waits)


def embed(url: str, body: object) -> tuple[int, dict[str, Any]]:
    sent = urllib.request.Request(f"{url}/v1/embeddings", json.dumps(body).encode(), {"x-client-request-id": "e1"})
    try:
        with urllib.request.urlopen(sent) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def embedded(body: object) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    async def go() -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
        async with Simulator() as simulator:
            status, answer = await asyncio.to_thread(embed, simulator.url, body)
            bill = await asyncio.to_thread(get, f"{simulator.url}/bill")
            return status, answer, [json.loads(line) for line in bill.splitlines()]

    return asyncio.run(go())


def near(one: list[float], other: list[float]) -> float:
    return sum(left * right for left, right in zip(one, other, strict=True))


def test_embeddings_are_unit_vectors_near_each_other_where_words_are_shared_and_billed() -> None:
    texts = ["The notice period is three months.", "What is the notice period?", "Tea and cake, 12.50"]
    status, answer, bill = embedded({"model": "sim-embed", "input": texts})
    assert status == 200
    first, second, other = ([float(x) for x in row["embedding"]] for row in answer["data"])
    assert math.isclose(sum(x * x for x in first), 1)
    assert near(first, second) > near(first, other) + 0.2
    tokens = answer["usage"]["prompt_tokens"]
    assert bill == [
        {
            "id": "e1",
            "model": "sim-embed",
            "input_tokens": tokens,
            "cached_tokens": 0,
            "output_tokens": 0,
            "cost_usd": f"{tokens * NANODOLLARS['sim-embed'][0] / 1e9:.9f}",
        }
    ]


def test_embeddings_as_base64_are_the_same_and_can_have_fewer_dimensions() -> None:
    asked = {"model": "sim-embed", "input": "One text alone.", "dimensions": 64}
    (plain,) = embedded(asked)[1]["data"]
    (coded,) = embedded(asked | {"encoding_format": "base64"})[1]["data"]
    assert struct.unpack("<64f", base64.b64decode(coded["embedding"])) == pytest.approx(
        plain["embedding"], rel=1e-6
    )


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"model": "sim-embed", "input": []}, 400, "empty"),
        ({"model": "sim-embed", "input": ["a", ""]}, 400, "empty"),
        ({"model": "sim-embed", "input": [1]}, 400, "array of strings"),
        ({"model": "sim-small", "input": "a"}, 404, "use sim-embed"),
        ({"model": "sim-embed", "input": "word " * 9000}, 400, "maximum context length is 8192"),
        ([], 400, "model and input"),
    ],
)
def test_embeddings_that_cannot_be_made_are_refused_and_not_billed(body: object, status: int, word: str) -> None:
    answered, answer, bill = embedded(body)
    assert (answered, bill) == (status, [])
    assert word in answer["error"]["message"]


def test_faults_come_as_often_as_asked_and_the_same_for_the_same_seed() -> None:
    requests = [request(f"{DOCUMENT}\n{number}") for number in range(60)]
    settings = Settings(faults={"server_error": 0.3}, seed=7)
    first, second = ([outcome.failure is not None for outcome in run(settings, requests)] for _ in range(2))
    assert first == second
    assert 5 <= sum(first) <= 35


def test_an_unknown_model_is_not_found() -> None:
    (outcome,) = run(Settings(), [request(model="sim-huge")])
    assert outcome.failure is not None
    assert outcome.failure.kind == "not_found"


def test_an_unknown_fault_is_refused_with_those_there_are() -> None:
    with pytest.raises(Misconfigured, match="has no fault 'fire': it has rate_limited"):
        Settings(faults={"fire": 1.0})


def test_a_port_in_use_is_named() -> None:
    async def go() -> None:
        async with Simulator() as first, Simulator(port=int(first.url.rpartition(":")[2])):
            raise AssertionError("two servers share one port")

    with pytest.raises(Misconfigured, match="choose another --port"):
        asyncio.run(go())


def test_answers_out_of_a_file_are_given_in_either_shape_with_the_faults_that_others_have(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    rows = [{"path": "/rows/-", "anchor": f"B-{number}", "value": {"number": number}} for number in range(9)]
    file.write_text("\n".join(map(json.dumps, rows)))
    known, document = read_answers(file), "\n".join(f"B-{number} tea" for number in range(9))

    def said(provider: str, **settings: Any) -> Any:
        asked = replace(request(document), messages=(Message(role="user", content=document),))
        (outcome,) = run(Settings(answers=known, **settings), [asked], provider=provider)
        assert outcome.reply is not None
        return outcome.reply

    whole = {"rows": [{"number": number} for number in range(9)]}
    assert json.loads(said("openai-compatible").text) == json.loads(said("anthropic").text) == whole
    assert json.loads(said("openai-compatible", lazy=4).text) == {"rows": whole["rows"][:4]}
    cut = said("openai-compatible", faults={"truncated": 1})
    assert cut.finish_reason == "length"
    assert json.dumps(whole).startswith(cut.text)
