"""Shapes other than OpenAI chat: Anthropic, Gemini, Ollama, Responses."""

from __future__ import annotations

from typing import Any

from docmill.llm import read_reply
from docmill.llm.types import Message, Reply, Request, Usage
from docmill.llm.wire import wire_for

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
MESSAGES = (
    Message(role="system", content="S"),
    Message(role="user", content="U"),
    Message(role="assistant", content="A"),
    Message(role="user", content="again"),
)


def read(provider: str, body: object) -> Reply:
    return read_reply(provider=provider, status=200, headers={}, body=body)


def asked(**fields: Any) -> Request:
    plain: dict[str, Any] = {"model": "m", "messages": MESSAGES, "max_output_tokens": 512}
    return Request(**(plain | fields))


def test_anthropic_has_the_system_apart_and_closes_the_schema() -> None:
    wire = wire_for("anthropic")
    body = wire.body(asked(json_schema=SCHEMA))
    assert wire.url("https://api.anthropic.com", "m") == "https://api.anthropic.com/v1/messages"
    assert body["system"] == "S"
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["max_tokens"] == 512
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert "output_config" not in wire.body(asked(json_schema=SCHEMA), {"schema": "none"})
    assert wire.body(asked(), {"lower": {"max_tokens": 64}})["max_tokens"] == 64


def test_anthropic_counts_cached_input_apart_and_docmill_adds_it() -> None:
    body = {
        "type": "message",
        "id": "msg_1",
        "model": "claude",
        "content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "yes"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 30,
            "output_tokens": 4,
        },
    }
    reply = read("anthropic", body)
    assert (reply.text, reply.finish_reason) == ("yes", "stop")
    assert reply.usage == Usage(input_tokens=60, output_tokens=4, cached_tokens=30, cache_write_tokens=20)
    refused = read("anthropic", body | {"stop_reason": "refusal", "stop_details": {"explanation": "not this"}})
    assert (refused.finish_reason, refused.refusal) == ("refusal", "not this")


def test_gemini_has_the_model_in_the_path_and_calls_the_assistant_model() -> None:
    wire = wire_for("gemini")
    host = "https://generativelanguage.googleapis.com"
    address = f"{host}/v1beta/models/m:generateContent"
    assert wire.url(host, "m") == wire.url(f"{host}/v1beta", "models/m") == address
    body = wire.body(asked(json_schema=SCHEMA, temperature=0.5))
    assert body["systemInstruction"] == {"parts": [{"text": "S"}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert body["generationConfig"] == {
        "maxOutputTokens": 512,
        "temperature": 0.5,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert wire.body(asked(json_schema=SCHEMA), {"schema": "none"})["generationConfig"] == {"maxOutputTokens": 512}


def test_gemini_thoughts_are_paid_and_not_shown() -> None:
    body = {
        "candidates": [
            {
                "content": {"parts": [{"text": "hm", "thought": True}, {"text": "yes"}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "toolUsePromptTokenCount": 2,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 40,
        },
        "modelVersion": "g-1",
        "responseId": "r",
    }
    reply = read("gemini", body)
    assert (reply.text, reply.model_echoed, reply.request_id) == ("yes", "g-1", "r")
    assert reply.usage == Usage(input_tokens=12, output_tokens=43, reasoning_tokens=40)


def test_ollama_is_told_not_to_cut_the_prompt_and_how_large_it_is() -> None:
    wire = wire_for("ollama")
    assert wire.url("http://h:11434/v1", "m") == wire.url("http://h:11434", "m") == "http://h:11434/api/chat"
    body = wire.body(asked(json_schema=SCHEMA))
    assert (body["stream"], body["truncate"], body["shift"]) == (False, False, False)
    assert body["options"] == {"num_ctx": 4096, "num_predict": 512}
    assert body["format"] == SCHEMA
    long = asked(messages=(Message(role="user", content="x" * 60_000),))
    assert wire.body(long)["options"]["num_ctx"] == 32768


def test_ollama_may_not_say_what_went_in() -> None:
    body = {"model": "m", "message": {"content": "yes"}, "done": True, "done_reason": "stop", "eval_count": 2}
    assert read("ollama", body).usage == Usage(output_tokens=2)


def test_a_response_is_read_where_a_gateway_sends_one() -> None:
    body = {
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [
            {"type": "reasoning"},
            {"type": "message", "content": [{"type": "output_text", "text": "yes"}]},
        ],
        "usage": {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}},
    }
    reply = read("openai", body)
    assert (reply.text, reply.finish_reason) == ("yes", "stop")
    assert reply.usage == Usage(input_tokens=5, output_tokens=2, cached_tokens=1)
