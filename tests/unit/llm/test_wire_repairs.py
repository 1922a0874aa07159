from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Repair
from docmill.llm.client import Endpoint, ask
from docmill.llm.transport import Response
from docmill.llm.types import Message, Request
from docmill.llm.wire import learn, wire_for
from docmill.llm.wire.envelopes import unwrap
from docmill.llm.wire.repairs import native_schema, repair_for, schema_told, with_repairs
from docmill.llm.wire.schemas import fields_in


def repair(message: str, status: int = 400, **fields: Any) -> Repair | None:
    return repair_for(unwrap({"error": {"message": message, **fields}}), status)


@pytest.mark.parametrize(
    ("message", "fields", "expected"),
    [
        (
            "Unsupported parameter: 'temperature' is not supported with this model.",
            {"param": "temperature", "code": "unsupported_parameter"},
            Repair(action="drop", parameter="temperature"),
        ),
        (
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            {"param": "temperature", "code": "unsupported_value"},
            Repair(action="drop", parameter="temperature"),
        ),
        ("`temperature` is deprecated for this model.", {}, Repair(action="drop", parameter="temperature")),
        (
            "property 'store' is unsupported, did you mean 'stop'?",
            {},
            Repair(action="drop", parameter="store"),
        ),
        (
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            {"param": "max_tokens", "code": "unsupported_parameter"},
            Repair(action="rename", parameter="max_tokens", value="max_completion_tokens"),
        ),
        (
            "property 'max_completion_tokens' is unsupported",
            {},
            Repair(action="rename", parameter="max_completion_tokens", value="max_tokens"),
        ),
        (
            "max_completion_tokens must be less than or equal to 40960, the maximum value for …",
            {"param": "max_completion_tokens"},
            Repair(action="lower", parameter="max_completion_tokens", value=40960),
        ),
        (
            "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens",
            {},
            Repair(action="lower", parameter="max_tokens", value=8192),
        ),
        (
            (
                "it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 65537 "
                "(exclusive)."
            ),
            {},
            Repair(action="lower", parameter="maxOutputTokens", value=65536),
        ),
        (
            "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
            {},
            Repair(action="lower", parameter="max_tokens", value=8192),
        ),
        ("Invalid schema for response_format 'x'", {"param": "response_format"}, Repair(action="schema")),
        ("This response_format type is unavailable now", {}, Repair(action="schema")),
        ("x is enabled only for api versions 2024-08-01-preview and later", {}, Repair(action="schema")),
        ("Invalid schema for response_format 'x': 'maximum' is not permitted", {}, Repair(action="schema")),
        ("The compiled grammar is too large", {}, Repair(action="smaller_schema")),
        (
            "Invalid schema for response_format 'x': Expected at most 100 object properties, got 369.",
            {"param": "response_format"},
            Repair(action="smaller_schema"),
        ),
        (
            "The specified schema has too many states for serving. Typical causes are very long property or enum names.",
            {},
            Repair(action="smaller_schema"),
        ),
        (
            "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.",
            {},
            Repair(action="this_schema"),
        ),
        ("Schemas contain too many parameters with union types", {}, Repair(action="this_schema")),
        ("This model's maximum context length is 8192 tokens", {}, None),
        (
            "'messages' must contain the word 'json' in some form",
            {"param": "messages"},
            Repair(action="say_json"),
        ),
        ("Failed to generate JSON.", {"code": "json_validate_failed"}, Repair(action="resample")),
        ("'messages[0].role' does not support 'developer'", {"param": "messages[0].role"}, None),
        ("Invalid 'temperature': expected a value >= 0", {"param": "temperature"}, None),
        ("messages: text content blocks must be non-empty", {}, None),
        ("'model' is not supported", {"param": "model"}, None),
    ],
)
def test_repairs_by_the_providers_words(message: str, fields: dict[str, Any], expected: Repair | None) -> None:
    assert repair(message, **fields) == expected


def test_fastapi_names_the_key_at_the_end_of_its_place() -> None:
    rows = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs …"}]}
    assert repair_for(unwrap(rows), 422) == Repair(action="drop", parameter="seed")


def test_what_a_server_does_not_implement_may_be_the_schema() -> None:
    assert repair("this server does not do that", status=501) == Repair(action="schema")


def test_what_is_learned_is_plain_and_adds_up() -> None:
    learned: dict[str, Any] = {}
    for step in (
        Repair(action="drop", parameter="temperature"),
        Repair(action="drop", parameter="seed"),
        Repair(action="rename", parameter="max_tokens", value="max_completion_tokens"),
        Repair(action="lower", parameter="max_tokens", value=64),
        Repair(action="schema"),
        Repair(action="say_json"),
        Repair(action="resample"),
    ):
        learned = learn(learned, step)
    assert learned == {
        "drop": ["seed", "temperature"],
        "rename": {"max_tokens": "max_completion_tokens"},
        "lower": {"max_tokens": 64},
        "schema": "json_object",
        "say_json": True,
    }
    assert learn(learn(learned, Repair(action="schema")), Repair(action="schema"))["schema"] == "none"


def test_a_schema_that_is_too_large_stands_in_words_and_smaller_ones_stay_native() -> None:
    schema = schema_of(20)
    learned = learn({}, Repair(action="smaller_schema", value=fields_in(schema)))
    assert learned == {"schema_fields": 20}
    assert not native_schema(learned, schema)
    assert native_schema(learned, schema_of(19))
    learned = learn(learned, Repair(action="smaller_schema", value=12))
    assert learn(learned, Repair(action="smaller_schema", value=15)) == learned == {"schema_fields": 12}
    assert learn({}, Repair(action="smaller_schema")) == {"schema": "json_object"}, "of no known size"


@pytest.mark.parametrize(
    ("learned", "structured", "told"),
    [
        ({}, "schema", "as a schema"),
        ({"schema_fields": 369}, "schema", "as a schema, and in words from 369 fields on"),
        ({"schema_fields": 369}, "json", "in words, in JSON mode"),
        ({"schema": "json_object", "schema_fields": 369}, "schema", "in words, in JSON mode"),
        ({"schema": "none"}, "json", "in words alone"),
        ({}, "prompt", "in words alone"),
    ],
)
def test_how_a_model_is_told_the_shape_of_an_answer(learned: dict[str, Any], structured: str, told: str) -> None:
    assert schema_told(learned, structured) == told


def schema_of(fields: int) -> dict[str, Any]:
    """An object with a reference that is used twice, and a list."""
    row = {"type": "object", "properties": {"day": {"type": "string"}, "next": {"$ref": "#/$defs/row"}}}
    of_rows = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/row"}, {"type": "null"}]}}
    members = {"one": of_rows, "other": of_rows} | {f"f{at}": {"type": "string"} for at in range(fields - 6)}
    return {"type": "object", "$defs": {"row": row}, "properties": members}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama"])
def test_every_provider_is_sent_a_schema_that_is_not_too_large(provider: str) -> None:
    asked = Request(
        model="m",
        messages=(Message(role="user", content="as json"),),
        max_output_tokens=9,
        json_schema=schema_of(20),
    )
    bodies = [json.dumps(wire_for(provider).body(asked, {"schema_fields": size})) for size in (20, 21)]
    assert ["f13" in body for body in bodies] == [False, True]


@dataclass(frozen=True)
class Refusing:
    """A provider that takes no schema like that."""

    message: str

    async def post(self, *_: Any, **__: Any) -> Response:
        error = {"message": self.message, "type": "invalid_request_error"}
        return Response(status=400, headers={}, body={"error": error})


def repair_of(message: str, schema: dict[str, Any]) -> Repair:
    """What is made of a refusal of the schema."""
    asked = Request(
        model="m", messages=(Message(role="user", content="x"),), max_output_tokens=9, json_schema=schema
    )
    endpoint = Endpoint(provider="openai-compatible", base_url="http://provider")
    outcome = asyncio.run(ask(endpoint, asked, call_id=uuid4(), transport=Refusing(message)))
    assert outcome.failure is not None
    assert outcome.failure.repair is not None
    return outcome.failure.repair


def test_how_large_the_schema_was_is_told_with_the_complaint() -> None:
    found = repair_of("The compiled grammar is too large.", schema_of(20))
    assert found == Repair(action="smaller_schema", value=20)


CHOICES: dict[str, Any] = {"type": "object", "properties": {"kind": {"enum": [f"k{at}" for at in range(600)]}}}


@pytest.mark.parametrize(
    ("message", "schema"),
    [
        ("Invalid schema for response_format 'x': enum of 600 entries exceeds the limit of 500 values", CHOICES),
        ("Invalid schema for response_format 'x': too many enum values", CHOICES),
        ("Invalid json schema: maximum depth exceeded", schema_of(20)),
        ("Invalid schema for response_format 'x': string too long in properties.kind", schema_of(20)),
        ("Invalid schema: the total length of property names exceeds 15000 characters", schema_of(20)),
        ("The schema produces a constraint that has too many states for serving.", CHOICES),
    ],
)
def test_what_is_no_number_of_fields_keeps_that_schema_alone_out(message: str, schema: dict[str, Any]) -> None:
    learned = learn({}, repair_of(message, schema))
    assert not native_schema(learned, schema)
    assert native_schema(learned, schema_of(19))
    assert native_schema(learned, schema_of(200))
    assert learn(learned, repair_of(message, schema)) == learned


def test_the_schemas_that_a_model_refused_are_remembered_within_bounds() -> None:
    learned: dict[str, Any] = {}
    for fields in range(10, 110):
        learned = learn(learned, repair_of("Invalid json schema: maximum depth exceeded", schema_of(fields)))
    assert list(learned) == ["schemas_in_words"]
    assert [native_schema(learned, schema_of(fields)) for fields in (10, 59, 60, 109)] == [
        True,
        True,
        False,
        False,
    ]
    assert schema_told(learned) == "as a schema; in words for 50 schemas that it refused"


def test_a_repair_changes_the_next_body() -> None:
    learned = {
        "drop": ["temperature"],
        "rename": {"max_tokens": "max_completion_tokens"},
        "lower": {"max_tokens": 64},
        "say_json": True,
    }
    body = {
        "model": "m",
        "max_tokens": 100,
        "temperature": 0.1,
        "messages": [{"role": "system", "content": "Be brief."}],
    }
    assert with_repairs(body, learned) == {
        "model": "m",
        "max_completion_tokens": 64,
        "messages": [{"role": "system", "content": "Be brief.\nAnswer in json."}],
    }


def test_a_limit_learned_under_the_new_name_counts_too() -> None:
    learned = {"rename": {"max_tokens": "max_completion_tokens"}, "lower": {"max_completion_tokens": 64}}
    assert with_repairs({"max_tokens": 100}, learned) == {"max_completion_tokens": 64}


repairs = st.builds(
    Repair,
    action=st.sampled_from(
        ["drop", "rename", "lower", "schema", "smaller_schema", "this_schema", "say_json", "resample"]
    ),
    parameter=st.none() | st.sampled_from(["temperature", "max_tokens", "messages", "model"]),
    value=st.integers(1, 50),
)


@given(steps=st.lists(repairs, max_size=8))
def test_no_learning_takes_the_question_away(steps: list[Repair]) -> None:
    learned: dict[str, Any] = {}
    for step in steps:
        if step.action != "rename":
            learned = learn(learned, step)
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}
    assert with_repairs(body, learned).keys() >= {"model", "max_tokens", "messages"}
