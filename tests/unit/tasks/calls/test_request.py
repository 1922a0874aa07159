"""What makes two requests the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from docmill.llm.types import Message, Request
from tasks.calls.request import input_hash
from tests.jobs import model

REQUEST = Request(
    model="sim-small", messages=(Message(role="user", content="U"),), max_output_tokens=64, temperature=0.0
)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "sim-large"},
        {"messages": (Message(role="user", content="V"),)},
        {"messages": (Message(role="system", content="U"),)},
        {"max_output_tokens": 65},
        {"temperature": 0.5},
        {"json_mode": True},
        {"json_schema": {"type": "object"}},
    ],
)
def test_whatever_an_answer_depends_on_makes_another_request(changes: dict[str, Any]) -> None:
    assert input_hash(model(), replace(REQUEST, **changes)) != input_hash(model(), REQUEST)


def test_another_provider_is_another_request_and_another_name_or_key_is_none() -> None:
    assert input_hash(model(provider="openai"), REQUEST) != input_hash(model(), REQUEST)
    assert input_hash(model(name="other", account="b"), replace(REQUEST, cache_key="k")) == input_hash(
        model(), REQUEST
    )
