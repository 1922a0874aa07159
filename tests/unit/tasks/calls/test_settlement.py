"""What a call came to, as the ledger keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.transport import Response
from docmill.llm.types import Message, Request
from docmill.settings import Model
from tasks.calls.settlement import settlement_of

CALL = UUID(int=7)
REQUEST = Request(model="gpt-4o-mini", messages=(Message(role="user", content="U"),), max_output_tokens=64)


class Provider:
    """Answers each call with one body."""

    def __init__(self, body: object) -> None:
        self.response = Response(status=200, headers={"x-request-id": "r\0" + "1" * 500}, body=body)

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response:
        return self.response


def outcome_of(body: object) -> Outcome:
    endpoint = Endpoint(provider="openai", base_url="http://127.0.0.1:1")
    return asyncio.run(ask(endpoint, REQUEST, call_id=CALL, transport=Provider(body)))


def model() -> Model:
    return Model(
        name="m", provider="openai", model="gpt-4o-mini", base_url="http://127.0.0.1:1", account="a", key=None
    )


def answer(usage: object, finish: str = "stop") -> dict[str, Any]:
    choice = {"message": {"content": '{"total": 1}\0'}, "finish_reason": finish}
    return {"id": "c", "model": "gpt-4o-mini\ud800", "choices": [choice], "usage": usage}


def test_a_reply_is_kept_with_what_made_no_sense_in_it() -> None:
    outcome = outcome_of(answer({"prompt_tokens": 10**400, "completion_tokens": 20}))
    kept = settlement_of(CALL, model(), outcome, None)
    assert kept.reply == {
        "text": '{"total": 1}',
        "finish_reason": "stop",
        "warnings": ["the input's count makes no sense: unknown"],
    }
    assert (kept.input_tokens, kept.output_tokens, kept.cost_usd) == (None, 20, None)
    assert kept.answered
    assert (kept.model_echoed, kept.request_id) == ("gpt-4o-mini\\ud800", "r\\u0000" + "1" * 193)


def test_a_reply_whose_figures_make_sense_has_no_more_than_its_text_and_end() -> None:
    outcome = outcome_of(answer({"prompt_tokens": 1000, "completion_tokens": 100}))
    kept = settlement_of(CALL, model(), outcome, None)
    assert kept.reply == {"text": '{"total": 1}', "finish_reason": "stop"}
    assert kept.cost_usd == Decimal("0.00021")


def test_an_answer_that_was_cut_is_paid_for_though_nobody_can_say_how_much() -> None:
    outcome = outcome_of(answer({"prompt_tokens": -1, "completion_tokens": "many"}, finish="length"))
    kept = settlement_of(CALL, model(), outcome, None)
    assert (kept.failure_kind, kept.answered, kept.cost_usd) == ("truncated", True, None)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_ended_before_its_first_character_is_one_of_unknown_cost(finish: str) -> None:
    choice = {"message": {"content": ""}, "finish_reason": finish}
    kept = settlement_of(CALL, model(), outcome_of({"id": "c", "choices": [choice]}), None)
    assert (kept.answered, kept.cost_usd) == (True, None)


@pytest.mark.parametrize(("times", "believed"), [(1, True), (4, True), (5, False)])
def test_a_cost_far_above_what_the_call_can_cost_is_unknown(times: int, believed: bool) -> None:
    outcome = outcome_of(answer({"prompt_tokens": 1000, "completion_tokens": 100}))
    kept = settlement_of(CALL, model(), outcome, Decimal("0.00021") / times)
    assert (kept.cost_usd == Decimal("0.00021")) is believed
    assert (kept.cost_usd is None) is not believed
