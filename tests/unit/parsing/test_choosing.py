"""Which value of a reply is its answer: not a draft, not an example, not a part, and never a guess."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from docmill.errors import ReplyInvalid, ReplyRejected, ReplyTruncated
from docmill.parsing import parse

TOTAL = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
DRAFT, ANSWER = '{"total": 1.0}', '{"total": 13.5}'
RIGHT = {"total": 13.5}


class Total(BaseModel):
    total: float


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<Thinking>", "</Thinking>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("<reflection>", "</reflection>"),
        ("<analysis>", "</analysis>"),
        ("<scratchpad>", "</scratchpad>"),
        ("<seed:think>", "</seed:think>"),
        ("<inner_monologue>", "</inner_monologue>"),
        ("<chainOfThought>", "</chainOfThought>"),
        ('<thinking budget="20">', "</thinking>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|think|>", "<|/think|>"),
        ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
        ("<|begin_of_thought|>", "<|end_of_thought|><|begin_of_solution|>"),
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        ("<|channel>thought\n", "<channel|>"),
        ("<unused94>thought\n", "<unused95>"),
        ("[unused16]", "[unused17]"),
        ("Here is my thought process: ", "Here is my response: "),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        (
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>",
        ),
        ("<|channel|>analysis<|message|>", "<|end|><|channel|>final json<|message|>"),
        (
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant<|channel|>commentary to=functions.x <|constrain|>json<|message|>",
        ),
        ("analysisWe need tax. ", "assistantfinal"),
        ("analysisWe need tax. ", "assistantfinaljson"),
        ("<ponderings>", "</ponderings>"),
    ],
)
def test_what_is_marked_as_thought_is_no_answer(opening: str, closing: str) -> None:
    for draft in (f"maybe {DRAFT} without tax", f"{{ or [ {DRAFT}", DRAFT):
        assert parse(f"{opening}{draft}{closing}{ANSWER}", TOTAL) == RIGHT
        assert parse(f"{opening}{draft}{closing}\n```json\n{ANSWER}\n```", Total) == Total(total=13.5)


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>a<think>b</think>{DRAFT}</think>{ANSWER}",
        f"<think>\n<think>\nmaybe {DRAFT}</think>{ANSWER}",
        f"{DRAFT} could be it, but tax is missing.</think>{ANSWER}",
        f"Okay.\n<think>maybe {DRAFT}</think>\n{ANSWER}",
        f"{ANSWER}\n<think>or {DRAFT}?</think>",
        f"<think>maybe {DRAFT}</think>So it is: {ANSWER}",
        f'<thought>The tag "</thought>" ends it. {DRAFT}</thought>{ANSWER}',
        f"<answer>{ANSWER}</answer> Without tax it would be {DRAFT}.",
        f"<tool_response>{DRAFT}</tool_response>{ANSWER}",
        f"**Reasoning:** maybe {DRAFT} without tax\n\n**Answer:** {ANSWER}",
        f"## Analysis\n{DRAFT}\n\n## Final answer\n```json\n{ANSWER}\n```",
        f"Draft: {DRAFT}\n\nCorrected answer:\n{ANSWER}",
        f"Answer: {DRAFT}\nCorrected answer: {ANSWER}",
        f"Thought: {DRAFT}\nAction: answer\nAction Input: {ANSWER}",
        f"Entwurf {DRAFT}\n\nAntwort: {ANSWER}",
        f"The net is {DRAFT}.\n\n```json\n{ANSWER}\n```",
        f"{ANSWER}\n\nAgain: {ANSWER}",
        f'The shape is {{"total": "..."}}. Here: {ANSWER}',
        f'The shape is {{"total": ...}}:\n\n```json\n{ANSWER}\n```',
        f"See [1] and [see note] of {{name}}: {ANSWER}",
    ],
)
def test_the_answer_is_what_is_set_off_as_such(reply: str) -> None:
    assert parse(reply, TOTAL) == RIGHT
    assert parse(reply, Total) == Total(total=13.5)


@pytest.mark.parametrize(
    "reply",
    [
        f"{DRAFT} {ANSWER}",
        f"{DRAFT}\n\nNo, wait.\n\n{ANSWER}",
        f"{ANSWER}\n\nWithout tax it would be {DRAFT}.",
        f"Answer: {ANSWER}\n\nOr {DRAFT}?",
        f"```json\n{DRAFT}\n```\nor\n```json\n{ANSWER}\n```",
        f"<first>{DRAFT}</first> Here it is: {ANSWER}",
        f'Answer: {{"total": "about 13"}}\n\nWithout tax {DRAFT}.',
        f'{{"total": 13,5 EUR}} Without tax {DRAFT}.',
        f'Without tax {DRAFT}. {{"total": 13,5 EUR}}',
        f"[{DRAFT}, {ANSWER}]",
        f'{{"tool_calls": [{{"arguments": {DRAFT}}}, {{"arguments": {ANSWER}}}]}}',
        '{"total": 1.0, "total": 13.5}',
        "{'total': 1.0, 'total': 13.5}",
        '{"Total": 1.0, "TOTAL": 13.5}',
        '{"total": true, "total": 1}',
        '{"answer": "{\\"total\\": 13.5} or more"}',
    ],
)
def test_of_several_that_differ_none_is_guessed(reply: str) -> None:
    for schema in (TOTAL, Total):
        with pytest.raises(ReplyRejected):
            parse(reply, schema)


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>maybe {DRAFT}",
        f"<think>a<think>b</think>{DRAFT}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|>",
        f"analysisThe net is {DRAFT}.",
        f"{DRAFT}</think>",
        f"**Reasoning:** maybe {DRAFT} without tax",
        f"**Reasoning:** maybe {DRAFT}\n\n**Answer:**",
        f"{DRAFT} </thi",
        f"{DRAFT}\n\nAnswer: {{",
    ],
)
def test_a_draft_that_is_left_of_a_reply_is_no_answer(reply: str) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply, TOTAL)


def test_who_gave_several_is_told() -> None:
    with pytest.raises(ReplyInvalid, match="2 answers that differ") as caught:
        parse(f"{DRAFT} or {ANSWER}", TOTAL)
    assert "does not say which" in caught.value.problems[0][1]


@pytest.mark.parametrize(
    "reply",
    [
        '{"note": "a <think>b</think> c"}',
        "{'note': 'a <think>b</think> c'}",
        'Here: {"note": "a <think>b</think> c",}',
    ],
)
def test_a_mark_in_a_text_is_text(reply: str) -> None:
    assert parse(reply) == {"note": "a <think>b</think> c"}


@pytest.mark.parametrize(
    "reply",
    [
        '{"tool_calls": [{"function": {"name": "answer", "arguments": {"total": 13.5}}}]}',
        '{"tool_calls": [{"id": "1", "type": "function", "function": {"name": "a", "arguments": "{\\"total\\": 13.5}"}}]}',
        '{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "a", "arguments": {"total": 13.5}}}]}',
        '{"name": "answer", "parameters": {"total": 13.5}}',
        '[{"name": "answer", "arguments": {"total": 13.5}}]',
        '{"type": "tool_use", "id": "t", "name": "answer", "input": {"total": 13.5}}',
        '{"action": "answer", "action_input": {"total": 13.5}}',
        '{"function_call": {"name": "answer", "arguments": "{\\"total\\": 13.5}"}}',
        '{"recipient_name": "functions.answer", "parameters": {"total": 13.5}}',
        '{"thought": "with {\\"total\\": 1.0} tax is missing", "answer": {"total": 13.5}}',
        '{"answer": {"invoice": {"total": 13.5}}}',
        '<tool_call>\n{"name": "answer", "arguments": {"total": 13.5}}\n</tool_call>',
        '[TOOL_CALLS][{"name": "answer", "arguments": {"total": 13.5}}]',
        '<|python_tag|>{"name": "answer", "parameters": {"total": 13.5}}',
        '<function=answer>{"total": 13.5}</function>',
        '"{\\"total\\": 13.5}"',
        '{\\"total\\": 13.5}',
    ],
)
def test_what_a_tool_is_given_is_the_answer(reply: str) -> None:
    assert parse(reply, TOTAL) == RIGHT
    assert parse(reply, Total) == Total(total=13.5)


def test_a_call_is_not_taken_for_an_answer_that_has_a_name() -> None:
    named = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert parse('{"name": "answer", "arguments": {"name": "Acme"}}', named) == {"name": "Acme"}
    arguments = {"type": "object", "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}}}
    call = {"name": "answer", "arguments": {"name": "Acme"}}
    assert parse(json.dumps(call), arguments) == call


LIST = {"type": "array", "items": TOTAL}


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('{"total": 1}\n{"total": 1}\n{"total": 2}', [1, 1, 2]),
        ('Maybe {"total": 9}. Answer: {"total": 1}\n{"total": 2}', [1, 2]),
        ('<think>{"total": 9}</think>{"total": 1}, {"total": 2}', [1, 2]),
        ('See [1]: [{"total": 1}]', [1]),
        ('<answer>{"total": 1}\n{"total": 2}</answer>', [1, 2]),
    ],
)
def test_a_list_is_all_that_the_answer_holds(reply: str, value: list[int]) -> None:
    assert parse(reply, LIST) == [{"total": total} for total in value]


@pytest.mark.parametrize(
    "reply",
    [
        '[{"total": 1}] [{"total": 2}]',
        '{"total": 1} {"total": oops, 2} {"total": 3}',
        '({"total": 1}, {"total": …})',
    ],
)
def test_a_list_of_which_a_part_cannot_be_read_is_none(reply: str) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply, LIST)


LABEL = {"enum": ["invoice", "contract"]}


@pytest.mark.parametrize(
    ("reply", "schema", "value"),
    [
        ("<think>an invoice?</think>contract", LABEL, "contract"),
        ("<answer>contract</answer>", LABEL, "contract"),
        ("**Reasoning:** an invoice or a contract.\n**Answer:** contract", LABEL, "contract"),
        ("analysisAn invoice?assistantfinalcontract", LABEL, "contract"),
        ("<|channel|>analysis<|message|>12?<|end|><|channel|>final<|message|>42", {"type": "integer"}, 42),
        ('"a (text) with [brackets]"', {"type": "string"}, "a (text) with [brackets]"),
    ],
)
def test_a_scalar_stands_behind_the_thoughts_too(reply: str, schema: dict[str, Any], value: object) -> None:
    assert parse(reply, schema) == value


@pytest.mark.parametrize(
    "reply",
    [
        'vendor: "Acme"\nlines: []\ntotal: 5',
        "vendor: Acme\nlines:\n  - {}\n  - a",
        'label = "a"\ninner = []',
        "Invoice(total=5, lines=[{'text': 'a'}])",
        "dict(total=5, lines=[])",
        '"vendor": "Acme", "lines": [{"total": 1.0}], "total": 5}',
        'Acme", "lines": [{"total": 1.0}]}',
        '{"a": {"b": 1}}, "c": 2}',
        '{"total": 1.0}}, "c": 2}',
        "| field | value |\n| lines | [] |",
    ],
)
def test_a_value_within_what_is_no_json_is_no_answer(reply: str) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply)


def test_a_limit_that_was_reached_is_told_before_anything_is_read() -> None:
    with pytest.raises(ReplyTruncated):
        parse(ANSWER, TOTAL, finish_reason="length")
