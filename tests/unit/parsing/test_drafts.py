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


@pytest.mark.parametrize(
    "junk", ["COMMENT \t\ufeff", "see above", "€", "+", "/ ", "~", "(a)", "…", "12 *", "@ \u200b", "total ="]
)
@pytest.mark.parametrize("between", ["\n\nWithout tax it would be ", "\n\nNo, wait.\n\n", "\n"])
def test_a_list_that_cannot_be_read_gives_no_way_to_another(junk: str, between: str) -> None:
    for schema in (None, {"type": "array", "items": {"type": "number"}}):
        for broken in (f"[ {junk} 1470\t ]", f"[1470 {junk}]"):
            with pytest.raises(ReplyRejected):
                parse(f"{broken}{between}[1290]", schema)


@pytest.mark.parametrize(
    "broken", ["{ name True /* the vendor */}", "{ total 13.5 }", "{total is 12}", "{ a\ufeff b }"]
)
def test_an_object_that_cannot_be_read_gives_no_way_to_another(broken: str) -> None:
    with pytest.raises(ReplyRejected):
        parse(f'{broken}\n\nWithout tax it would be {{"total": 9}}', SCHEMA)
    assert parse('The {name} or { first.name }:\n{"total": 9}', SCHEMA) == {"total": 9}


@pytest.mark.parametrize(
    "reply",
    [
        r'[ 3720.1 "\\", 1600, "Berlin Miller total"]',
        r'["Berlin" "\\", 1600]',
        r'["a\\", "b" "c"]',
        r'{"a": "x" "b": "y\\"}',
        '[1 "12" x 10" x 3", 2]',
        '{"a": "the "so" called"\n"b": 1}',
        r'{ "label"  "\\", "inner"  [] }',
        r'{"a": {"b": "\\", "c": 1], "d": 2}',
    ],
)
def test_where_a_sign_is_missing_no_quote_may_have_two_meanings(reply: str) -> None:
    """Whoever loses a comma may have lost a quote: the last one of such a text would belong to the text."""
    with pytest.raises(ReplyRejected):
        parse(reply)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (r'["a\\", "b"]', ["a\\", "b"]),
        (r'[1 "a \"b\" c" 2]', [1, 'a "b" c', 2]),
        ('[1, "the "so" called", 2]', [1, 'the "so" called', 2]),
        ('["""a "b" c""" 1]', ['a "b" c', 1]),
    ],
)
def test_one_of_the_two_slips_is_put_right(reply: str, value: object) -> None:
    assert parse(reply) == value


def test_a_word_behind_backticks_is_prose_where_the_line_goes_on() -> None:
    with pytest.raises(ReplyRejected):
        parse("```See [1] and {nam", {"type": "array", "items": {"type": "integer"}})
    for reply in ("```json [1]\n```", "``` [1]\n```", "```anything\n[1]\n```"):
        assert parse(reply, {"type": "array", "items": {"type": "integer"}}) == [1]


def test_a_time_without_quotes_is_a_text() -> None:
    assert parse('{"at": 2026-03-12T14:00:00}') == {"at": "2026-03-12T14:00:00"}
