"""What a model says before its answer, and half answers: never taken for the answer."""

from __future__ import annotations

import pytest

from docmill.errors import ReplyRejected
from docmill.parsing import parse

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "reply",
    [
        '<think>{"total": 9}</think>{"total": 13.5}',
        '<think>a <think>b</think> {"total": 9}</think>\n{"total": 13.5}',
        'maybe {"total": 9}, no</think>\n{"total": 13.5}',
        'Sure.\n<analysis>{"total": 9}</analysis>\n{"total": 13.5}',
        '<scratchpad>\n{"total": 9}\n</scratchpad>\n```json\n{"total": 13.5}\n```',
        '<|channel|>analysis<|message|>{"total": 9}<|end|><|channel|>final <|constrain|>json<|message|>{"total": 13.5}',
        'analysis{"total": 9}assistantfinal{"total": 13.5}',
        '<|START_THINKING|>{"total": 9}<|END_THINKING|>{"total": 13.5}',
        '<seed:think>{"total": 9}</seed:think>{"total": 13.5}',
        '**Reasoning**\n{"total": 9}\n\n**Answer**\n{"total": 13.5}',
        '{"name": "answer", "arguments": {"total": 13.5}}',
        'Thought: done\nAction: answer\nAction Input: {"total": 13.5}',
        '{"total": 13.5}\n{"total": 13.5}',
    ],
)
def test_the_answer_is_what_stands_after_the_draft(reply: str) -> None:
    assert parse(reply, SCHEMA) == {"total": 13.5}


@pytest.mark.parametrize(
    ("reply", "schema"),
    [
        ('{"total": 9}\n{"total": 13.5}', SCHEMA),
        ('[{"total": 1}, ...]', None),
        ('[{"total": 1}, …]', None),
        ('[{"total": 1} // and so on\n]', None),
        ('{"a": "x, "b": "y"}', None),
        ('{"a": "\\ud800"}', None),
        ('{"a": "x```', None),
        ("[" * 200_000, None),
        ('{"a": ' + "9" * 100_000 + "}", None),
    ],
)
def test_what_is_half_or_doubtful_is_refused(reply: str, schema: dict[str, object] | None) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply, schema)


def test_a_time_without_quotes_is_a_text() -> None:
    assert parse('{"at": 2026-03-12T14:00:00}') == {"at": "2026-03-12T14:00:00"}
