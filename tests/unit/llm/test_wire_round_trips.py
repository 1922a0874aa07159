"""Each provider, there and back: what it is asked, and what its answers and errors become."""

from __future__ import annotations

from typing import Any

import pytest

from docmill.llm import classify, read_reply
from docmill.llm.types import Message, Reply, Request, Usage
from docmill.llm.wire import WIRES, learn, wire_for
from docmill.llm.wire.request_ids import request_id

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CHAT = frozenset(WIRES) - {"anthropic", "gemini", "ollama"}


def read(provider: str, body: object) -> Reply:
    return read_reply(provider=provider, status=200, headers={}, body=body)


def asked(**fields: Any) -> Request:
    messages = (Message(role="system", content="S"), Message(role="user", content="U"))
    plain: dict[str, Any] = {"model": "m", "messages": messages, "max_output_tokens": 512}
    return Request(**(plain | fields))


# --- there ---

ADDRESSES = {
    "openai": ("https://api.openai.com", "https://api.openai.com/v1/chat/completions"),
    "openai-compatible": ("http://h:1", "http://h:1/v1/chat/completions"),
    "simulator": ("http://h:1", "http://h:1/v1/chat/completions"),
    "azure": ("https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/chat/completions"),
    "anthropic": ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
    "gemini": (
        "https://generativelanguage.googleapis.com",
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
    ),
    "mistral": ("https://api.mistral.ai", "https://api.mistral.ai/v1/chat/completions"),
    "ollama": ("http://h:11434", "http://h:11434/api/chat"),
    "vllm": ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
    "llamacpp": ("http://h:8080/v1", "http://h:8080/v1/chat/completions"),
    "lmstudio": ("http://h:1234/v1", "http://h:1234/v1/chat/completions"),
    "groq": ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"),
    "together": ("https://api.together.xyz/v1", "https://api.together.xyz/v1/chat/completions"),
    "openrouter": ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
    "deepseek": ("https://api.deepseek.com", "https://api.deepseek.com/chat/completions"),
    "gemini-compat": ("http://h/v1beta/openai", "http://h/v1beta/openai/chat/completions"),
    "xai": ("https://api.x.ai/v1", "https://api.x.ai/v1/chat/completions"),
}


def test_every_provider_is_here() -> None:
    assert ADDRESSES.keys() == WIRES.keys()


@pytest.mark.parametrize("provider", ADDRESSES)
def test_the_address_and_the_key_are_the_providers(provider: str) -> None:
    base, address = ADDRESSES[provider]
    wire = wire_for(provider)
    assert wire.url(base, "m") == address
    headers = wire.headers("secret")
    named = {"azure": "api-key", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(provider)
    assert headers[named or "authorization"] == ("secret" if named else "Bearer secret")
    assert "secret" not in str(wire.headers(None))


@pytest.mark.parametrize("provider", ADDRESSES)
def test_a_plain_question_has_the_keys_that_every_server_knows(provider: str) -> None:
    body = wire_for(provider).body(asked())
    expected = {
        "anthropic": {"model", "max_tokens", "messages", "system"},
        "gemini": {"contents", "generationConfig", "systemInstruction"},
        "ollama": {"model", "messages", "stream", "truncate", "shift", "options"},
    }
    limit = {"max_tokens", "max_completion_tokens"}
    keys = body.keys() - limit if provider in CHAT else body.keys()
    assert keys == expected.get(provider, {"model", "messages"})
    assert 512 in (*body.values(), *body.get("generationConfig", {}).values(), *body.get("options", {}).values())


@pytest.mark.parametrize("provider", sorted(CHAT))
def test_a_schema_falls_back_step_by_step_and_stays_there(provider: str) -> None:
    wire = wire_for(provider)
    learned: dict[str, Any] = {}
    forms = []
    for _ in range(3):
        body = wire.body(asked(json_schema=SCHEMA), learned)
        forms.append(body.get("response_format", {}).get("type", "none"))
        failure = classify(
            provider=provider,
            status=400,
            headers={},
            body={"error": {"message": "Invalid schema for response_format"}},
        )
        assert failure is not None
        assert failure.repair is not None
        learned = learn(learned, failure.repair)
    known = {
        "deepseek": ["json_object", "json_object", "none"],
        "lmstudio": ["json_schema", "none", "none"],
    }
    assert forms == known.get(provider, ["json_schema", "json_object", "none"])


def test_strict_schemas_close_every_object() -> None:
    for provider in ("openai", "azure", "mistral"):
        native = wire_for(provider).body(asked(json_schema=SCHEMA))["response_format"]["json_schema"]
        assert native["strict"] is True
        assert native["schema"]["additionalProperties"] is False


def test_azure_takes_addresses_of_old_and_tokens_of_its_directory() -> None:
    wire = wire_for("azure")
    for base in ("https://r.openai.azure.com", "https://r.openai.azure.com/openai/deployments/d"):
        assert (
            wire.url(f"{base}?api-version=2024-10-21", "d")
            == "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"
        )
    assert wire.headers("eyJhbGciOi") == {"authorization": "Bearer eyJhbGciOi"}


def test_what_may_be_kept_is_told_where_the_provider_wants_to_know() -> None:
    kept = asked(cache_key="docmill-receipt-v1")
    for provider in WIRES:
        body = wire_for(provider).body(kept)
        assert body.get("prompt_cache_key") == (kept.cache_key if provider in ("openai", "mistral") else None)
    marked = wire_for("anthropic").body(kept)["system"]
    assert marked == [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]
    assert wire_for("anthropic").body(kept, {"drop": ["cache_control"]})["system"] == "S"
    assert "prompt_cache_key" not in wire_for("openai").body(kept, {"drop": ["prompt_cache_key"]})


# --- and back ---


def chat(text: str | None, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "c-1",
        "model": "m-dated",
        "choices": [{"index": 0, "message": {"content": text, **message}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "total_tokens": 27,
            "prompt_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    }


def anthropic(text: str, stop: str, **fields: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 2,
        "cache_read_input_tokens": 16,
        "cache_creation_input_tokens": 2,
        "output_tokens": 7,
    }
    content = [{"type": "text", "text": text}] if text else []
    reply = {"type": "message", "id": "c-1", "model": "m-dated", "content": content, "stop_reason": stop}
    return {**reply, "usage": usage | {"output_tokens_details": {"thinking_tokens": 5}}, **fields}


def gemini(text: str | None, finish: str) -> dict[str, Any]:
    parts = [] if text is None else [{"text": "hm", "thought": True}, {"text": text}]
    counts = {
        "promptTokenCount": 20,
        "cachedContentTokenCount": 16,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 5,
    }
    return {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": finish}],
        "modelVersion": "m-dated",
        "responseId": "c-1",
        "usageMetadata": counts,
    }


def ollama(text: str, done: str) -> dict[str, Any]:
    reply = {
        "model": "m-dated",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": done,
    }
    return {**reply, "prompt_eval_count": 20, "eval_count": 7}


GOOD: dict[str, dict[str, Any]] = {
    **dict.fromkeys(CHAT, chat('{"a": "x"}')),
    "anthropic": anthropic('{"a": "x"}', "end_turn"),
    "gemini": gemini('{"a": "x"}', "STOP"),
    "ollama": ollama('{"a": "x"}', "stop"),
}
FULL = Usage(input_tokens=20, output_tokens=7, cached_tokens=16, cache_write_tokens=2, reasoning_tokens=5)
USAGE = {
    "gemini": Usage(input_tokens=20, output_tokens=7, cached_tokens=16, reasoning_tokens=5),
    "ollama": Usage(input_tokens=20, output_tokens=7),
}


@pytest.mark.parametrize("provider", ADDRESSES)
def test_a_good_reply_is_read_whole(provider: str) -> None:
    body = GOOD[provider]
    assert classify(provider=provider, status=200, headers={}, body=body) is None
    reply = read(provider, body)
    assert (reply.text, reply.finish_reason, reply.model_echoed) == ('{"a": "x"}', "stop", "m-dated")
    assert reply.usage == USAGE.get(provider, FULL)
    assert reply.request_id == (None if provider == "ollama" else "c-1")


CUT = {
    "anthropic": anthropic("{", "max_tokens"),
    "gemini": gemini("{", "MAX_TOKENS"),
    "ollama": ollama("{", "length"),
}
FILTERED = {"anthropic": None, "gemini": gemini(None, "SAFETY"), "ollama": None}
REFUSED = {
    "anthropic": anthropic("I", "refusal", stop_details={"category": "cyber", "explanation": "no"}),
    "gemini": None,
    "ollama": None,
}


@pytest.mark.parametrize("provider", ADDRESSES)
@pytest.mark.parametrize(
    ("finish", "kind", "bodies", "in_chat"),
    [
        ("length", "truncated", CUT, chat("{", "length")),
        ("content_filter", "content_filtered", FILTERED, chat("", "content_filter")),
        ("refusal", "refused", REFUSED, chat(None, "stop", refusal="no")),
    ],
)
def test_an_end_that_is_no_answer_is_told_apart(
    provider: str, finish: str, kind: str, bodies: dict[str, Any], in_chat: dict[str, Any]
) -> None:
    body = bodies.get(provider, in_chat)
    if body is None:
        return  # this provider has no such end
    failure = classify(provider=provider, status=200, headers={}, body=body)
    assert failure is not None
    assert failure.kind == kind
    reply = read(provider, body)
    assert reply.finish_reason == finish
    assert reply.usage.output_tokens == 7


ERRORS: tuple[tuple[str, int, Any, str], ...] = (
    ("openai", 401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, "auth"),
    ("azure", 404, {"error": {"code": "DeploymentNotFound", "message": "…"}}, "not_found"),
    ("anthropic", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}, "overloaded"),
    ("gemini", 400, [{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}], "auth"),
    ("mistral", 429, {"object": "error", "message": "Rate limit exceeded", "code": "1300"}, "rate_limited"),
    ("ollama", 404, {"error": "model 'm' not found"}, "not_found"),
    ("vllm", 400, {"object": "error", "message": "max_tokens must be at least 1, got -9"}, "context_overflow"),
    ("llamacpp", 503, {"error": {"code": 503, "message": "Loading model"}}, "overloaded"),
    ("lmstudio", 400, {"error": "No models loaded."}, "not_found"),
    ("groq", 413, {"error": {"message": "Request too large: Limit 6,000, Requested 8,123"}}, "context_overflow"),
    ("together", 402, {"error": {"message": "Credit limit exceeded"}}, "quota_exhausted"),
    ("openrouter", 200, {"error": {"code": 502, "message": "Provider returned error"}}, "server_error"),
    ("deepseek", 400, {"error": {"message": "Content Exists Risk"}}, "content_filtered"),
    (
        "xai",
        400,
        {"code": "x", "error": "maximum prompt length is 9 but the request contains 10 tokens"},
        "context_overflow",
    ),
)


@pytest.mark.parametrize(("provider", "status", "body", "kind"), ERRORS)
def test_an_error_is_classified_and_holds_no_reply(provider: str, status: int, body: Any, kind: str) -> None:
    failure = classify(provider=provider, status=status, headers={}, body=body)
    assert failure is not None
    assert failure.kind == kind
    reply = read(provider, body)
    assert (reply.text, reply.usage.output_tokens) == ("", None)


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"X-Request-Id": "r-1"}, {"id": "c-1"}, "r-1"),
        ({"x-request-id": "r-1", "apim-request-id": "a-1"}, {}, "a-1"),
        ({"request-id": "req_1"}, {}, "req_1"),
        ({"mistral-correlation-id": "m-1"}, {}, "m-1"),
        ({"x-ds-trace-id": "d-1"}, {}, "d-1"),
        ({}, {"type": "error", "request_id": "req_2"}, "req_2"),
        ({}, "<html>", None),
    ],
)
def test_the_id_that_support_asks_for_is_found(headers: dict[str, str], body: object, found: str | None) -> None:
    assert request_id(headers, body) == found


def test_parts_of_a_text_and_reasons_of_strangers_are_read() -> None:
    body = chat("x")
    body["choices"][0]["message"]["content"] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "yes"},
    ]
    assert read("mistral", body).text == "yes"
    assert read("mistral", chat("x", "model_length")).finish_reason == "length"
    for ended in (None, "", "eos", "brand_new"):
        assert read("vllm", chat("x", ended)).finish_reason == "stop"
