"""The simulator over real HTTP, with docmill's own client."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from uuid import uuid4

import pytest

from docmill.errors import Misconfigured
from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.simulator import Settings, Simulator
from docmill.llm.transport import HttpTransport
from docmill.llm.types import Request
from docmill.money import cost
from docmill.parsing import parse
from prompts import Excerpt, Registry

DOCUMENT = "EXAMPLE TEA HOUSE\n09/03/2018\nTea 10.00\nTOTAL 12.50"


def request(document: str = DOCUMENT, *, model: str = "sim-small", limit: int = 512) -> Request:
    prompt = Registry().get("receipt")
    messages = prompt.render(Excerpt(passages=(document,)), {})
    return Request(model=model, messages=messages, max_output_tokens=limit)


async def outcomes(simulator: Simulator, requests: Sequence[Request], *, deadline_s: float = 20) -> list[Outcome]:
    endpoint = Endpoint(provider="openai-compatible", base_url=simulator.url)
    async with HttpTransport() as transport:
        calls = [
            ask(endpoint, each, call_id=uuid4(), transport=transport, deadline_s=deadline_s) for each in requests
        ]
        return list(await asyncio.gather(*calls))


def run(settings: Settings, requests: Sequence[Request], *, deadline_s: float = 20) -> list[Outcome]:
    async def go() -> list[Outcome]:
        async with Simulator(settings) as simulator:
            return await outcomes(simulator, requests, deadline_s=deadline_s)

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


def test_a_limit_is_told_with_its_wait_and_not_billed() -> None:
    found = run(Settings(requests_per_minute=120), [request(f"{DOCUMENT}\n{number}") for number in range(10)])
    limited = [outcome.failure for outcome in found if outcome.failure is not None]
    assert len(limited) >= 5
    assert all(failure.kind == "rate_limited" and failure.retry_after_s for failure in limited)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate_limited", "rate_limited"),
        ("server_error", "server_error"),
        ("overloaded", "overloaded"),
        ("truncated", "truncated"),
        ("cut", "connection"),
        ("hang", "timeout"),
    ],
)
def test_each_fault_is_the_failure_it_is_named_for(fault: str, kind: str) -> None:
    (outcome,) = run(Settings(faults={fault: 1.0}), [request()], deadline_s=2)
    assert outcome.failure is not None
    assert outcome.failure.kind == kind


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
