from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Misconfigured
from docmill.llm import read_reply
from docmill.llm.types import Message, Reply, Request, Usage
from docmill.llm.wire import WIRES, wire_for
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.schemas import closed

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "total": {"type": "number"},
        "default": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
    },
    "required": ["total"],
    "$defs": {"Line": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def read(provider: str, body: object) -> Reply:
    return read_reply(provider=provider, status=200, headers={}, body=body)


def asked(**fields: Any) -> Request:
    messages = (Message(role="system", content="Answer with JSON."), Message(role="user", content="Hello"))
    plain: dict[str, Any] = {"model": "m-1", "messages": messages, "max_output_tokens": 100}
    return Request(**(plain | fields))


@pytest.mark.parametrize(
    ("base", "path", "address"),
    [
        ("http://h:1", "/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("http://h:1/", "/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1", "/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("http://h/gateway", "/v1/chat/completions", "http://h/gateway/v1/chat/completions"),
        ("http://h/openai/v1", "/openai/v1/chat/completions", "http://h/openai/v1/chat/completions"),
        ("http://h/v1/chat/completions", "/v1/chat/completions", "http://h/v1/chat/completions"),
    ],
)
def test_a_base_url_may_hold_a_part_of_the_path(base: str, path: str, address: str) -> None:
    assert joined(base, path) == address


def test_a_plain_question_holds_what_it_needs_and_nothing_else() -> None:
    body = wire_for("openai-compatible").body(asked())
    assert body == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "Answer with JSON."},
            {"role": "user", "content": "Hello"},
        ],
        "max_tokens": 100,
    }


def test_the_output_limit_goes_by_the_name_that_the_provider_knows() -> None:
    assert wire_for("openai").body(asked())["max_completion_tokens"] == 100
    assert wire_for("simulator").body(asked())["max_completion_tokens"] == 100
    assert wire_for("mistral").body(asked())["max_tokens"] == 100


def test_a_temperature_is_sent_only_where_one_was_set() -> None:
    assert "temperature" not in wire_for("openai").body(asked())
    assert wire_for("openai").body(asked(temperature=0.0))["temperature"] == 0.0


def test_a_schema_falls_back_to_json_mode_and_to_the_prompt_alone() -> None:
    wire, request = wire_for("openai-compatible"), asked(json_schema=SCHEMA)
    native = wire.body(request)["response_format"]
    assert native == {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    assert wire.body(request, {"schema": "json_object"})["response_format"] == {"type": "json_object"}
    assert "response_format" not in wire.body(request, {"schema": "none"})
    assert wire_for("deepseek").body(request)["response_format"] == {"type": "json_object"}
    assert wire_for("openai").body(asked(json_mode=True))["response_format"] == {"type": "json_object"}
    assert "response_format" not in wire_for("lmstudio").body(asked(json_mode=True))


def test_a_strict_server_gets_every_object_closed_and_every_key_required() -> None:
    sent = wire_for("openai").body(asked(json_schema=SCHEMA))["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["required"] == ["total", "default", "lines"]
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["properties"]["default"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert sent["schema"]["$defs"]["Line"]["additionalProperties"] is False
    assert "additionalProperties" not in SCHEMA
    assert closed({"type": "object"}) == {"type": "object"}


def test_a_key_goes_where_the_provider_looks_for_it() -> None:
    assert wire_for("openai").headers("k") == {"authorization": "Bearer k"}
    assert wire_for("azure").headers("k") == {"api-key": "k"}
    assert wire_for("anthropic").headers("k") == {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    assert wire_for("gemini").headers("k") == {"x-goog-api-key": "k"}
    assert wire_for("openai-compatible").headers(None) == {}


def test_an_unknown_provider_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(Misconfigured, match="openai-compatible"):
        wire_for("opnai")


def completion(**fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    return {"id": "c-1", "model": "m-1-2026", "choices": [choice | fields]}


def test_a_reply_in_docmills_words() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
        "cost": 0.00012,
    }
    reply = read("openai", completion() | {"usage": usage})
    assert reply == Reply(
        text="yes",
        usage=Usage(input_tokens=10, output_tokens=4, cached_tokens=6, cache_write_tokens=2, reasoning_tokens=3),
        model_echoed="m-1-2026",
        request_id="c-1",
        cost_usd="0.00012",
    )


@pytest.mark.parametrize(
    ("fields", "text", "finish"),
    [
        ({"finish_reason": None}, "yes", "stop"),
        ({"finish_reason": "eos"}, "yes", "stop"),
        ({"finish_reason": "length"}, "yes", "length"),
        ({"finish_reason": "model_length"}, "yes", "length"),
        ({"finish_reason": "content_filter"}, "yes", "content_filter"),
        ({"finish_reason": "error"}, "yes", "error"),
        ({"message": {"content": None, "refusal": "no"}}, "", "refusal"),
        ({"message": {"content": "yes", "refusal": ""}}, "yes", "stop"),
        ({"message": None}, "", "stop"),
        (
            {"message": {"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, "b"]}},
            "ab",
            "stop",
        ),
    ],
)
def test_how_a_reply_ends(fields: dict[str, Any], text: str, finish: str) -> None:
    reply = read("mistral", completion(**fields))
    assert (reply.text, reply.finish_reason) == (text, finish)


def test_unknown_counts_are_unknown_and_deepseek_has_keys_of_its_own() -> None:
    assert read("openai", completion()).usage == Usage()
    told = completion() | {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}}
    assert read("deepseek", told).usage == Usage(input_tokens=9, output_tokens=1, cached_tokens=8)


names = st.sampled_from(sorted(WIRES))
learnings = st.fixed_dictionaries(
    {},
    optional={
        "drop": st.lists(st.sampled_from(["temperature", "response_format", "messages", "max_tokens"])),
        "rename": st.just({"max_tokens": "max_completion_tokens"}),
        "lower": st.just({"max_tokens": 7, "max_completion_tokens": 7, "maxOutputTokens": 7, "num_predict": 7}),
        "schema": st.sampled_from(["json_schema", "json_object", "none"]),
        "say_json": st.booleans(),
    },
)


@given(
    provider=names,
    learned=learnings,
    temperature=st.none() | st.sampled_from([0.0, 0.7, 2.0]),
    schema=st.none() | st.just(SCHEMA),
    json_mode=st.booleans(),
)
def test_no_body_holds_a_null_or_lacks_its_messages(
    provider: str, learned: dict[str, Any], temperature: float | None, schema: Any, json_mode: bool
) -> None:
    request = asked(temperature=temperature, json_schema=schema, json_mode=json_mode)
    body = wire_for(provider).body(request, learned)
    without_schema = json.dumps(
        {key: value for key, value in body.items() if key not in ("response_format", "format", "output_config")}
        | {"generationConfig": {**body.get("generationConfig", {}), "responseJsonSchema": 0}}
    )
    assert "null" not in without_schema
    assert body.get("messages") or body.get("contents")
    if "lower" in learned:
        assert "100" not in without_schema


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "prompt_tokens",
                    "candidates",
                    "parts",
                    "text",
                    "refusal",
                    "finish_reason",
                    "stop_reason",
                    "usageMetadata",
                    "promptTokenCount",
                    "promptFeedback",
                    "done_reason",
                    "stop_details",
                    "model",
                    "id",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(provider=names, body=odd)
def test_reading_a_reply_never_raises(provider: str, body: object) -> None:
    reply = read(provider, body)
    assert isinstance(reply.text, str)
    counts = (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens)
    assert all(count is None or count >= 0 for count in counts)
