"""Almost JSON, written from known values: what comes back is that value, or a rejection, and never another one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import ReplyRejected, ReplyTruncated
from docmill.parsing import parse
from docmill.parsing.amounts import amount
from docmill.parsing.lenient import Doubt, read_whole
from docmill.parsing.omissions import PLACEHOLDER


def stands_for_itself(words: str) -> bool:
    """It is none of those that say that something was left out: ``usw``, ``and so on``."""
    return not PLACEHOLDER.fullmatch(words)


WORDS = st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){0,2}", fullmatch=True).filter(stands_for_itself)
TEXTS = WORDS | st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=12)
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True).filter(stands_for_itself)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def as_python(value: Any) -> str:
    return repr(value)


def with_trailing_commas(value: Any) -> str:
    # A line break stands between parts alone: within a text it is written as an escape.
    return re.sub(r"(?<![{\[,])\n", ",\n", json.dumps(value, indent=1))


def with_comments(value: Any) -> str:
    lines = json.dumps(value, indent=1).splitlines()
    return "\n".join([*(f'{line} // it\'s {{a}} "remark"' for line in lines[:-1]), lines[-1]])


def without_commas(value: Any) -> str:
    return "\n".join(line.removesuffix(",") for line in json.dumps(value, indent=1).splitlines())


def with_raw_lines(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\\n", "\n").replace("\\t", "\t")


def with_typographic_spaces(value: Any) -> str:
    return json.dumps(value, indent=1).replace("\n ", "\n\u00a0")


STYLES: tuple[Callable[[Any], str], ...] = (
    as_python,
    with_trailing_commas,
    with_comments,
    without_commas,
    with_raw_lines,
    with_typographic_spaces,
)


@settings(max_examples=60)
@given(OBJECTS, st.sampled_from(STYLES))
def test_a_slip_gives_the_value_back_or_nothing(value: dict[str, Any], write: Callable[[Any], str]) -> None:
    plain = json.loads(json.dumps(value))
    if write is with_raw_lines and "\\" in json.dumps(value, ensure_ascii=False).replace("\\n", "").replace(
        "\\t", ""
    ):
        return  # a backslash before an n is another text then
    try:
        assert parse(write(value)) == plain
    except ReplyRejected:
        return


@settings(max_examples=60)
@given(st.dictionaries(KEYS, WORDS | NUMBERS | st.booleans() | st.none(), min_size=1), st.sampled_from(STYLES))
def test_with_ordinary_words_it_is_never_rejected(value: dict[str, Any], write: Callable[[Any], str]) -> None:
    assert parse(f"Here you are:\n{write(value)}\nDone.") == value


@settings(max_examples=60)
@given(OBJECTS, st.sampled_from(STYLES), st.data())
def test_no_part_is_taken_for_the_whole(
    value: dict[str, Any], write: Callable[[Any], str], data: st.DataObject
) -> None:
    text = write(value)
    cut = text[: data.draw(st.integers(0, text.rindex("}") - 1))]
    try:
        found = parse(cut)
    except ReplyRejected:
        return
    # A text of the value may itself look like a whole object, and then the cut behind it is no cut.
    assert found != value
    assert isinstance(value, dict)
    assert "{" in repr(list(value.values())) or "[" in repr(list(value.values()))


@given(
    st.text(st.sampled_from(list("{}[]()\"'`“”,:;\\/#*<>-+.0123abtrue nul\n_")), max_size=60),
    st.sampled_from([None, {"type": "object", "properties": {"a": {"type": "number"}}}, {"enum": ["a", "b"]}]),
)
def test_no_text_breaks_it(text: str, schema: dict[str, Any] | None) -> None:
    try:
        parse(text, schema)
    except ReplyRejected:
        return


@pytest.mark.parametrize(
    "unit", ["{", "[", "(", '"', "'", '{"', "{'", '\\"', '{\\"}', "{}", "[x]", "{a}", "/*", "<think>"]
)
def test_a_long_text_of_signs_ends_in_time(unit: str) -> None:
    try:
        parse(unit * (200_000 // len(unit)))
    except ReplyRejected:
        return


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{“a”: “b”}", {"a": "b"}),
        ("{‘a’: ‘it’s’}", {"a": "it’s"}),
        ("{'a': 'O'Brien'}", {"a": "O'Brien"}),
        ('{"a" "b"}', {"a": "b"}),
        ('{"a" => 1, "b" = 2}', {"a": 1, "b": 2}),
        ('{"total": 1,234.50, "b": 2}', {"total": 1234.5, "b": 2}),
        ('{"a": 0x1F, "b": +.5, "c": 1_000}', {"a": 31, "b": 0.5, "c": 1000}),
        ('{"id": ObjectId("1f"), "at": new Date("2024-01-02")}', {"id": "1f", "at": "2024-01-02"}),
        ("{'a': (1, ('x',)), 'b': (2)}", {"a": [1, ["x"]], "b": 2}),
        ('{"at": 2024-01-02, "url": https://x.y/z#a}', {"at": "2024-01-02", "url": "https://x.y/z#a"}),
        ('{"path": "C:\\Users\\me"}', {"path": "C:\\Users\\me"}),
        ('{"a": 1 /* x: {y} */, # z\n "b": 2}', {"a": 1, "b": 2}),
        ("{'emoji': '\\ud83d\\ude00 \\x41'}", {"emoji": "😀 A"}),
    ],
)
def test_what_other_languages_write_is_read(text: str, value: object) -> None:
    assert read_whole(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": }',
        '{"a": ...}',
        '{"a": 1, ..., "z": 2}',
        "[1,000]",
        "[1 234]",
        "{placeholder}",
        '{"a": "x" "y"}',
        '{"a": NaN}',
        '{"path": "C:\\new\\Users"}',
        '{"a": f(1, 2)}',
        "{'a': 'the dogs' bone'}",
        '{"a": 1 /* cut',
    ],
)
def test_what_has_two_readings_or_none_is_a_doubt(text: str) -> None:
    with pytest.raises(Doubt):
        read_whole(text)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('<think>{"a": 1}</think>{"a": 2}', {"a": 2}),
        ('<Thinking>maybe { or [</Thinking>\n```json\n{"a": 2}\n```', {"a": 2}),
        ('hm { so\n</think>\n{"a": 2}', {"a": 2}),
        ('[THINK]x[/THINK]{"a": 2}', {"a": 2}),
        ('<|channel|>analysis<|message|>{x}<|end|><|channel|>final<|message|>{"a": 2}', {"a": 2}),
        ('{"a": "<think>b</think>"}', {"a": "<think>b</think>"}),
        ('As said in [1] and [see note]: {"a": 2}', {"a": 2}),
    ],
)
def test_what_the_model_thought_before_is_no_answer(reply: str, value: object) -> None:
    assert parse(reply) == value


def test_a_reply_that_never_stops_to_think_is_cut_off() -> None:
    with pytest.raises(ReplyTruncated):
        parse('<think>perhaps {"a": 1}')


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1,234.50", 1234.5),
        ("1.234,50 €", 1234.5),
        ("EUR 1,234.50", 1234.5),
        ("RM 12.50", 12.5),
        ("-$1,000", -1000),
        ("1 234,50", 1234.5),
        ("1'234.50", 1234.5),
        ("1.234.567", 1234567),
        ("12,5", 12.5),
        ("007", 7),
        (".5", 0.5),
        ("12%", None),
        ("12 apples", None),
        ("(12.50)", None),
        ("1.234 €", None),
        ("1,23,456", None),
        ("2024-01-02", None),
        ("12 34", None),
        ("", None),
        ("1e999", None),
    ],
)
def test_an_amount_has_one_reading_or_none(written: str, number: float | None) -> None:
    assert amount(written) == number


FIELDS = {
    "type": "object",
    "properties": {
        "vendor_name": {"type": "string"},
        "total": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "kind": {"enum": ["purchase_order", "invoice"]},
        "paid": {"type": "boolean"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    },
}


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('{"Vendor Name": "A", "TOTAL": "1,5"}', {"vendor_name": "A", "total": 1.5}),
        ('{"total": "N/A", "paid": "Yes"}', {"total": None, "paid": True}),
        ('{"kind": "Purchase Order"}', {"kind": "purchase_order"}),
        ('{"vendor_name": 4711}', {"vendor_name": "4711"}),
        ('[{"total": 1}]', {"total": 1}),
        ('{"name": "extract", "arguments": "{\\"total\\": 1}"}', {"total": 1}),
        ('{"lines": {"n": "3"}}', {"lines": [{"n": 3}]}),
        ('{"lines": {"items": [{"n": 1}, {"n": 2}]}}', {"lines": [{"n": 1}, {"n": 2}]}),
        ('{"answer": {"invoice": {"paid": "false"}}}', {"paid": False}),
    ],
)
def test_a_value_is_fitted_where_one_reading_fits(reply: str, value: object) -> None:
    assert parse(reply, FIELDS) == value


@pytest.mark.parametrize(
    "reply",
    [
        '{"supplier": "A", "sum": 1}',
        '{"type": "object", "properties": {}}',
        '{"paid": "perhaps"}',
        '{"total": "12%"}',
    ],
)
def test_an_answer_to_something_else_is_none(reply: str) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply, FIELDS)


@pytest.mark.parametrize(
    ("reply", "schema", "value"),
    [
        ("The answer is 42.", {"type": "integer"}, 42),
        ("```json\n42\n```", {"type": "integer"}, 42),
        ("false.", {"type": "boolean"}, False),
        ("<think>a or b?</think>b", {"enum": ["a", "b"]}, "b"),
        ("purchase order", {"enum": ["purchase_order", "invoice"]}, "purchase_order"),
        ("It is an invoice.", {"anyOf": [{"enum": ["invoice"]}, {"type": "null"}]}, None),
    ],
)
def test_a_scalar_is_found(reply: str, schema: dict[str, Any], value: object) -> None:
    if value is None:
        with pytest.raises(ReplyRejected):
            parse(reply, schema)
    else:
        assert parse(reply, schema) == value


@pytest.mark.parametrize(
    ("reply", "schema"),
    [
        ("about 42", {"type": "integer"}),
        ("12 of 14", {"type": "integer"}),
        ("50%", {"type": "number"}),
        ("2024-01-02", {"type": "integer"}),
        ("not true", {"type": "boolean"}),
        ("a non-invoice", {"enum": ["invoice"]}),
    ],
)
def test_a_scalar_in_doubt_is_rejected(reply: str, schema: dict[str, Any]) -> None:
    with pytest.raises(ReplyRejected):
        parse(reply, schema)


@pytest.mark.parametrize(
    "text", ['{"a": $10, "b"-1}', '{"a"137._}', '{"a"31.}', '{"-"-1.}', '{"x1: [/.2.3, 4]}', '{"a": 1 2"-31}']
)
def test_a_number_that_nobody_wrote_is_no_answer(text: str) -> None:
    """A repair that leaves out a sign or a digit makes another number of it."""
    with pytest.raises(ReplyRejected):
        parse(text)
