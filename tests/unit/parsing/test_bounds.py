"""Whatever a reply holds, it is a value within bounds or a rejection."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from docmill.errors import ReplyInvalid, ReplyRejected, ReplyWrong
from docmill.parsing import accept, parse
from docmill.parsing.bounds import DEEPEST

SCHEMAS: tuple[Any, ...] = (
    None,
    {"type": "object", "properties": {"a": {"type": "number"}, "b": {"$ref": "#"}}},
    {"type": "array", "items": {"type": "object"}},
    {"enum": ["a", "b"]},
    {"type": "integer"},
    {"type": "string"},
)


class Tree(BaseModel):
    value: int
    inner: list[Tree] = []


def nested(depth: int, opening: str, closing: str) -> str:
    return f"{opening * depth}1{closing * depth}"


@pytest.mark.parametrize("depth", [DEEPEST + 1, 250, 251, 400, 3000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("[ ", ",]"), ("{a:", "}")])
def test_what_is_nested_too_deep_is_invalid(depth: int, opening: str, closing: str) -> None:
    with pytest.raises(ReplyRejected, match="nested") as caught:
        parse(nested(depth, opening, closing))
    if opening in ("[", '{"a":'):
        assert isinstance(caught.value, ReplyInvalid)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("[ ", ",]"), ("{a:", "}")])
def test_what_is_nested_less_is_read(opening: str, closing: str) -> None:
    value = parse(nested(DEEPEST, opening, closing))
    assert json.dumps(value).count("[" if opening[0] == "[" else "{") == DEEPEST


@pytest.mark.parametrize(
    "reply",
    [
        "9" * 100_000,
        "[" + "9" * 100_000 + "]",
        "{a: " + "9" * 100_000 + "}",
        "1e400",
        "[1e400]",
        "{a: 1e400}",
        "[NaN]",
        "[-Infinity]",
        '["\\ud800"]',
        '{"\\udfff": 1}',
        "{'a': '\\ud800'}",
        '["\\ud83d\\u0041"]',
        '{"summary": "{\\"a\\": \\"\\\\ud800\\"}"}',
        "[" * 200_000,
        '{"a":' * 200_000,
        "[" * 200_000 + "]" * 200_000,
        "(" * 200_000,
    ],
)
def test_what_is_out_of_bounds_is_rejected(reply: str) -> None:
    schema = {"type": "object", "properties": {"summary": {"type": "object"}}} if "summary" in reply else None
    with pytest.raises(ReplyRejected):
        parse(reply, schema)


def test_numbers_within_bounds_are_exact() -> None:
    assert parse('{"total": 123456789012345678901234567890}') == {"total": 123456789012345678901234567890}
    assert parse("[1e300, -1e-300]") == [1e300, -1e-300]


class Named(BaseModel):
    name: str
    about: dict[str, str]


@pytest.mark.parametrize(
    "reply",
    [
        '{"name": "a\\u0000", "about": {}}',
        '{"name": "a", "about": {"x\\u0000": "y"}}',
        '{"name": "a", "about": "{\\"x\\": \\"\\\\u0000\\"}"}',
        '{"name": "a\0", "about": {}}',
    ],
)
def test_what_no_database_stores_is_not_accepted(reply: str) -> None:
    with pytest.raises(ReplyInvalid, match="no database stores") as caught:
        accept(reply, Named, document="")
    assert caught.value.value is None


class Share(BaseModel):
    part: Decimal
    whole: Decimal

    @model_validator(mode="after")
    def is_below_one(self) -> Share:
        if self.part / self.whole > 1:
            raise ValueError("the part is above the whole")
        return self


def test_a_check_that_cannot_calculate_says_no() -> None:
    with pytest.raises(ReplyWrong, match="cannot calculate"):
        parse('{"part": 1, "whole": 0}', Share)


def test_json_may_hold_a_nul() -> None:
    assert parse('{"name": "a\\u0000b"}') == {"name": "a\0b"}


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(st.characters(codec=None, categories=None), max_size=60),
        st.text(st.sampled_from(list("{}[]()<>\"'`“”,:;\\/#*|=-+.0123abtrue nulſ\n\0…")), max_size=60),
        st.lists(
            st.sampled_from(
                [
                    *('{"a": 1}', "{", "}", "[", "]", '"', "'", "```json\n", "<think>", "</think>", "Answer: "),
                    *("<|channel|>final<|message|>", "assistantfinal", "<answer>", "</answer>", ",", ":", "\\"),
                    *("...", "(", ")", "\ud800", "\n", '{"a": ', "1e999", "“", "”", "/*", "*/", "//", "null"),
                ]
            ),
            max_size=20,
        ).map("".join),
    ),
    st.sampled_from((*SCHEMAS, Tree)),
)
@example('{"a": 1, "b": {"a": 1, "b": {"a": 1, "b": {"a": "x"}}}}', SCHEMAS[1])
def test_nothing_else_is_ever_raised(reply: str, schema: Any) -> None:
    try:
        parse(reply, schema)
    except ReplyRejected as error:
        assert str(error)


UNITS = (
    *(
        "{",
        "[",
        "(",
        '"',
        "'",
        "“",
        "「",
        '{"',
        "{'",
        '\\"',
        '{\\"}',
        "{}",
        "[x]",
        "{a}",
        "[1}",
        "/*",
        "//",
        "#",
        "1,",
    ),
    *(
        "<think>",
        "</think>",
        "<",
        "<a ",
        "[[",
        "({",
        '("a", ',
        '{"a":1,',
        '{"a":1}',
        "{'a': 'b',}",
        "```json\n",
        "\\",
    ),
    *(
        '{"a": "',
        "[1 2 ",
        "{a: b, ",
        "Answer: {",
        "<|",
        "<|channel|>final",
        "assistantfinal",
        "analysisA",
        "...",
        "\n",
    ),
    *(
        "<b>{",
        "{<b>",
        '["<b>',
        "a: [\n",
        "x = [",
        "- {\n",
        '{"a": "b" ',
        '"a" "b" ',
        "{‘a’: ‘b’}",
        "\u200b",
        " ",
        "**",
    ),
)


@pytest.mark.parametrize("unit", UNITS)
def test_two_hundred_thousand_characters_take_little_time(unit: str) -> None:
    for schema in (None, SCHEMAS[1], SCHEMAS[3]):
        started = time.process_time()
        with suppress(ReplyRejected):
            parse(unit * (200_000 // len(unit)), schema)
        assert time.process_time() - started < 10


def test_a_long_answer_with_slips_is_read() -> None:
    lines = [{"text": f"line {number} of 5'3\" it's", "price": number / 4} for number in range(4000)]
    written = json.dumps({"lines": lines}, indent=1)
    assert len(written) > 200_000
    for reply in (
        written,
        written.replace("\n ]", ",\n ]"),
        repr({"lines": lines}),
        written.replace("},", "}, // one"),
    ):
        started = time.process_time()
        found = parse(f"Here:\n{reply}")
        assert isinstance(found, dict)
        assert len(found["lines"]) == 4000
        assert time.process_time() - started < 10


def test_a_deep_answer_is_fitted_in_time() -> None:
    node = {
        "type": "object",
        "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}},
        "additionalProperties": False,
    }
    reply = '{"next":' * 60 + '{"v":"bad"}' + "}" * 60
    started = time.process_time()
    with pytest.raises(ReplyRejected):
        parse(reply, {"$ref": "#/$defs/n", "$defs": {"n": node}})
    with pytest.raises(ReplyRejected):
        parse('{"value": 1, "inner": [' * 40 + '{"value": "bad"}' + "]}" * 40, Tree)
    assert time.process_time() - started < 10


def test_a_caller_deep_in_a_stack_gets_an_answer_or_a_rejection() -> None:
    def call(depth: int) -> object:
        return parse("{a: " * 90 + "1" + "}" * 90) if depth == 0 else call(depth - 1)

    with pytest.raises(ReplyRejected, match="nested"):
        call(sys.getrecursionlimit() - 250)
