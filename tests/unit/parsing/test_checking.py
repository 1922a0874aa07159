"""A value against a JSON Schema: every keyword of the standard, and schemas that would cost without end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from docmill.errors import Misconfigured, ReplyInvalid, ReplyRejected
from docmill.parsing import parse
from docmill.parsing.bounds import same

LONGEST_S = 5.0
"""Of processor time, for what would take hours."""

NAMES = st.sampled_from("abc")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([0.5, 1.0, 0.01, 1e300, 10**40, "x", "xyz", ""])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
SMALL = st.integers(0, 3)
RULES = {
    "type": st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
    | st.just(["string", "null"]),
    "enum": st.lists(LEAVES, min_size=1, max_size=3),
    "const": LEAVES,
    "minimum": st.integers(-3, 3),
    "maximum": st.integers(-3, 3),
    "exclusiveMinimum": st.integers(-3, 3),
    "exclusiveMaximum": st.integers(-3, 3),
    "multipleOf": st.sampled_from([2, 3, 0.5, 0.01, 1e-300, 1e300]),
    "minLength": SMALL,
    "maxLength": SMALL,
    "pattern": st.sampled_from(["^x", "z$", "^(?!x)", r"^\w*$"]),
    "minItems": SMALL,
    "maxItems": SMALL,
    "uniqueItems": st.booleans(),
    "minProperties": SMALL,
    "maxProperties": SMALL,
    "required": st.lists(NAMES, max_size=2, unique=True),
}


def with_parts(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=1),
            "additionalProperties": inner,
            "propertyNames": st.sampled_from([{"maxLength": 1}, {"pattern": "^a"}]),
            "items": inner,
            "prefixItems": some,
            "contains": inner,
            "not": inner,
            "anyOf": some,
            "oneOf": some,
            "allOf": some,
            "if": inner,
            "then": inner,
            "else": inner,
            "$ref": st.just("#/$defs/part"),
        },
    )


PLAIN = st.fixed_dictionaries({}, optional=RULES)
SCHEMAS = st.recursive(
    PLAIN | st.booleans(),
    lambda inner: st.builds(lambda parts, rules: {**parts, **rules}, with_parts(inner), PLAIN),
    max_leaves=5,
)


@given(SCHEMAS, PLAIN, VALUES)
def test_what_fits_is_taken_as_it_is_and_nothing_is_taken_that_does_not_fit(
    schema: dict[str, Any] | bool, part: dict[str, Any], value: Any
) -> None:
    """Against the library's own judgement of the schema as it was written."""
    whole = {"properties": {"value": schema}, "required": ["value"], "$defs": {"part": part}}
    library = Draft202012Validator(whole)
    try:
        found = parse(json.dumps({"value": value}), whole)
    except ReplyRejected as error:
        assert not library.is_valid({"value": value})
        assert not isinstance(error, ReplyInvalid) or error.problems
    else:
        assert library.is_valid(found)
        assert not library.is_valid({"value": value}) or same(found, {"value": value})


@pytest.mark.parametrize(
    ("schema", "value", "rule"),
    [
        ({"exclusiveMinimum": 3}, 3, "must be more than 3"),
        ({"exclusiveMaximum": 3}, 3, "must be less than 3"),
        ({"multipleOf": 0.01}, 19.995, "must be a multiple of 0.01"),
        ({"not": {"type": "string"}}, "x", "fits a form that is not allowed"),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            1,
            "must fit one of the allowed forms, and one only",
        ),
        ({"uniqueItems": True}, [1, 1.0], "must hold nothing twice"),
        ({"contains": {"type": "integer"}}, ["x"], "lacks an item that it must hold"),
        ({"prefixItems": [{"type": "integer"}], "items": False}, [1, 2], "nothing is allowed here"),
        ({"enum": [1]}, True, "must be one of 1"),
        ({"minProperties": 2}, {"a": 1}, "must have at least 2 fields"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "has a field whose name is not allowed"),
        ({"patternProperties": {"^a": {"type": "null"}}}, {"ab": 1}, "must be null"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "is missing"),
        ({"if": {"minimum": 5}, "then": {"multipleOf": 5}}, 6, "must be a multiple of 5"),
        ({"unevaluatedProperties": False, "properties": {"a": True}}, {"a": 1, "b": 2}, "is not a known field"),
    ],
)
def test_each_keyword_is_checked_and_named(schema: dict[str, Any], value: Any, rule: str) -> None:
    with pytest.raises(ReplyInvalid) as caught:
        parse(json.dumps({"value": value}), {"properties": {"value": schema}, "required": ["value"]})
    assert [told for _, told in caught.value.problems] == [rule]
    assert all(place.startswith("value") for place, _ in caught.value.problems)


def test_money_is_a_multiple_of_a_cent_however_a_float_holds_it() -> None:
    schema = {"properties": {"total": {"type": "number", "multipleOf": 0.01}}}
    for total in (19.99, 4.35, 0.07, 1234567.89, 1e300, 10**250):
        assert parse(json.dumps({"total": total}), schema) == {"total": total}


def nested(value: Any, times: int) -> Any:
    for _ in range(times):
        value = [value]
    return value


def lists_of(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": part}


def twice(keyword: str, part: dict[str, Any]) -> dict[str, Any]:
    return {keyword: [part, part]}


ITSELF = {"$ref": "#/$defs/part"}
DOUBLED = {f"p{each}": twice("allOf", {"$ref": f"#/$defs/p{each + 1}"}) for each in range(40)} | {"p40": {}}
DOUBLED_BELOW = {f"p{each}": twice("allOf", lists_of({"$ref": f"#/$defs/p{each + 1}"})) for each in range(40)} | {
    "p40": {}
}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strin"}, "type"),
        ({"minimum": "3"}, 'minimum: "3" is not of type "number"'),
        ({"multipleOf": 0}, "multipleOf"),
        ({"pattern": "["}, "pattern"),
        ({"pattern": r"(\w{1000}){1000}"}, "pattern"),
        ({"$ref": "#/$defs/none"}, "none"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "Retrieval is disabled"),
        ({"$ref": "file:///etc/passwd"}, "Retrieval is disabled"),
        ({"$schema": "http://127.0.0.1:9/schema"}, "meta-schema"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "without end"),
        ({"items": {"$ref": "#/$defs/p0"}, "$defs": DOUBLED}, "unfolds to more than"),
        ({"$ref": "#/$defs/p0", "$defs": DOUBLED_BELOW}, "unfolds to more than"),
        ({"patternProperties": {"(?=a)": {}}}, "lookaround"),
        ({"enum": [float("nan")]}, "no JSON"),
    ],
)
def test_a_schema_that_is_none_or_has_no_bounds_is_refused_and_says_why(
    schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(Misconfigured, match=message):
        parse("{}", schema)


def test_a_schema_that_is_nested_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"not": deep}
    with pytest.raises(Misconfigured, match=r"deep|no JSON"):
        parse("{}", deep)


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_alternatives_within_alternatives_cost_no_more_than_the_value_is_deep(keyword: str) -> None:
    schema = {"properties": {"value": ITSELF}, "$defs": {"part": twice(keyword, lists_of(ITSELF))}}
    for value in (nested(None, 90), nested("x", 90), nested("x", 12)):
        started = time.process_time()
        try:
            parse(json.dumps({"value": value}), schema)
        except ReplyInvalid as error:
            assert error.problems
        assert time.process_time() - started < LONGEST_S


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "^(a|aa)+$", "(?=a)(a|b)*c", r"(a*)*\1b", r"(?!x)\w+\s+$", "(?<=a)a*b"]
)
def test_no_pattern_takes_long_over_a_long_text(pattern: str) -> None:
    schema = {"properties": {"text": {"type": "string", "pattern": pattern}}}
    for text in ("a" * 400_000 + "!", "ab" * 200_000):
        started = time.process_time()
        with pytest.raises(ReplyInvalid):
            parse(json.dumps({"text": text}), schema)
        assert time.process_time() - started < LONGEST_S


def test_a_pattern_that_looks_around_is_run_over_short_texts_alone() -> None:
    schema = {"properties": {"id": {"type": "string", "pattern": r"^(?!0)\d+$"}}}
    assert parse('{"id": "123"}', schema) == {"id": "123"}
    for text, rule in (("012", "must match"), ("1" * 201, "must be at most 200 characters")):
        with pytest.raises(ReplyInvalid, match=rule):
            parse(json.dumps({"id": text}), schema)


def test_a_reference_to_a_place_that_only_the_library_knows_is_followed() -> None:
    schema = {"properties": {"a": {"$ref": "#whole"}}, "$defs": {"b": {"$anchor": "whole", "type": "integer"}}}
    assert parse('{"a": 1}', schema) == {"a": 1}
    with pytest.raises(ReplyInvalid, match="must be integer"):
        parse('{"a": "x"}', schema)


def test_parts_that_nothing_refers_to_cost_nothing() -> None:
    parts = {f"p{each}": {"type": "integer"} for each in range(11_000)}
    assert parse('{"a": 1}', {"properties": {"a": {"$ref": "#/$defs/p1"}}, "$defs": parts}) == {"a": 1}
