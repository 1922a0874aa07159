"""Replies as each provider and gateway writes them: whole and as streams, with the answer in each place it has.

Written after what providers document; the figures are right, so that a test can say what is right to read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ANSWER",
    "INPUT_TOKENS",
    "OUTPUT_TOKENS",
    "SAID",
    "SHAPES",
    "THOUGHTS",
    "VALUE",
    "Shape",
    "bodies",
    "streams",
    "wrappings",
]

VALUE = {"total": 13.5, "name": "Grüße 😀"}
ANSWER = json.dumps(VALUE, ensure_ascii=False)
INPUT_TOKENS, OUTPUT_TOKENS = 2000, 20
THOUGHTS = 'Let me see. At first it seems {"total": 12}, but the shipping is missing.'
Body = dict[str, Any]

STOP, CUT, FILTERED, BROKEN = "stop", "length", "content_filter", "error"


SAID: Mapping[str, Body] = {
    "content": {"content": ANSWER},
    "thoughts": {"thoughts": ANSWER},
    "call": {"call": VALUE},
}
"""The answer in each place of a message."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a provider writes a message that ended in some way."""

    provider: str
    build: Callable[[Body, object], Body]
    """From a message, in the words below, and the word for its end."""
    words: Mapping[str, tuple[object, ...]]
    """The provider's words for each end."""
    places: tuple[str, ...] = ("content", "thoughts", "call")
    """Where an answer may stand: a message has ``content``, ``thoughts`` or ``call``, or several of them."""


def _chat_message(said: Body) -> Body:
    message: Body = {"role": "assistant", "content": said.get("content")}
    if "thoughts" in said:
        message["reasoning_content"] = said["thoughts"]
    if "call" in said:
        call = {"name": "json_tool_call", "arguments": json.dumps(said["call"])}
        message["tool_calls"] = [{"id": "t", "type": "function", "function": call}]
    return message


def _chat(said: Body, word: object) -> Body:
    return {
        "id": "c-1",
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "message": _chat_message(said), "finish_reason": word}],
        "usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 2020},
    }


def _openrouter(said: Body, word: object) -> Body:
    body = _chat(said, word)
    message = body["choices"][0]["message"]
    if "reasoning_content" in message:
        message["reasoning"] = message.pop("reasoning_content")
        message["reasoning_details"] = [{"type": "reasoning.text", "text": message["reasoning"]}]
    return body


def _function(said: Body, word: object) -> Body:
    body = _chat(said, word)
    message = body["choices"][0]["message"]
    if calls := message.pop("tool_calls", None):
        message["function_call"] = calls[0]["function"]
    return body


def _parts(said: Body, word: object) -> Body:
    body = _chat(said, word)
    thoughts = [{"type": "thinking", "thinking": [{"type": "text", "text": said.get("thoughts", "")}]}]
    texts = [{"type": "text", "text": part} for part in _pieces(said.get("content") or "")]
    message = body["choices"][0]["message"]
    message.pop("reasoning_content", None)
    return body | {"choices": [body["choices"][0] | {"message": message | {"content": thoughts + texts}}]}


def _anthropic(said: Body, word: object) -> Body:
    content: list[Body] = []
    if "thoughts" in said:
        content.append({"type": "thinking", "thinking": said["thoughts"], "signature": "x"})
    if said.get("content"):
        content.append({"type": "text", "text": said["content"]})
    if "call" in said:
        content.append({"type": "tool_use", "id": "t", "name": "json", "input": said["call"]})
    usage = {"input_tokens": 500, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 500}
    return {
        "type": "message",
        "id": "c-1",
        "role": "assistant",
        "model": "m-1",
        "content": content,
        "stop_reason": word,
        "usage": usage | {"output_tokens": OUTPUT_TOKENS},
    }


def _gemini(said: Body, word: object) -> Body:
    parts: list[Body] = []
    if "thoughts" in said:
        parts.append({"text": said["thoughts"], "thought": True})
    if said.get("content"):
        parts += [{"text": part} for part in _pieces(said["content"])]
    if "call" in said:
        parts.append({"functionCall": {"name": "answer", "args": said["call"]}})
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": word}],
        "modelVersion": "m-1",
        "responseId": "c-1",
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS,
            "candidatesTokenCount": 15,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 2020,
        },
    }


def _ollama(said: Body, word: object) -> Body:
    message: Body = {"role": "assistant", "content": said.get("content") or ""}
    if "thoughts" in said:
        message["thinking"] = said["thoughts"]
    if "call" in said:
        message["tool_calls"] = [{"function": {"name": "answer", "arguments": said["call"]}}]
    counts = {"prompt_eval_count": INPUT_TOKENS, "eval_count": OUTPUT_TOKENS}
    return {"model": "m-1", "message": message, "done": True, "done_reason": word, **counts}


def _responses(said: Body, word: object) -> Body:
    output: list[Body] = []
    if "thoughts" in said:
        output.append({"type": "reasoning", "summary": [{"type": "summary_text", "text": said["thoughts"]}]})
    if said.get("content"):
        output.append({"type": "message", "content": [{"type": "output_text", "text": said["content"]}]})
    if "call" in said:
        output.append({"type": "function_call", "name": "answer", "arguments": json.dumps(said["call"])})
    status, reason = word if isinstance(word, tuple) else (word, None)
    return {
        "object": "response",
        "id": "c-1",
        "model": "m-1",
        "status": status,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": 2020},
    }


def _cohere(said: Body, word: object) -> Body:
    content: list[Body] = [{"type": "thinking", "thinking": said["thoughts"]}] if "thoughts" in said else []
    if said.get("content"):
        content.append({"type": "text", "text": said["content"]})
    calls = [{"type": "function", "function": {"name": "a", "arguments": json.dumps(said.get("call"))}}]
    message = {"role": "assistant", "content": content} | ({"tool_calls": calls} if "call" in said else {})
    billed = {"input_tokens": float(INPUT_TOKENS), "output_tokens": float(OUTPUT_TOKENS)}
    usage = {"billed_units": billed, "tokens": {"input_tokens": 2500.0, "output_tokens": 22.0}}
    return {"id": "c-1", "finish_reason": word, "message": message, "usage": usage}


def _bedrock(said: Body, word: object) -> Body:
    content: list[Body] = []
    if "thoughts" in said:
        content.append({"reasoningContent": {"reasoningText": {"text": said["thoughts"]}}})
    if said.get("content"):
        content.append({"text": said["content"]})
    if "call" in said:
        content.append({"toolUse": {"toolUseId": "t", "name": "answer", "input": said["call"]}})
    usage = {"inputTokens": INPUT_TOKENS, "outputTokens": OUTPUT_TOKENS, "totalTokens": 2020}
    return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": word, "usage": usage}


def _dashscope(said: Body, word: object) -> Body:
    choice = {"finish_reason": word, "message": _chat_message(said)}
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "total_tokens": 2020}
    return {"request_id": "c-1", "output": {"choices": [choice]}, "usage": usage}


def _dashscope_text(said: Body, word: object) -> Body:
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    return {"request_id": "c-1", "output": {"text": said["content"], "finish_reason": word}, "usage": usage}


def _cloudflare(said: Body, word: object) -> Body:
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 2020}
    result = {"response": said.get("content"), "usage": usage, "finish_reason": word}
    if "call" in said:
        result["tool_calls"] = [{"name": "answer", "arguments": said["call"]}]
    return {"result": result, "success": True, "errors": [], "messages": []}


def _generate(said: Body, word: object) -> Body:
    counts = {"prompt_eval_count": INPUT_TOKENS, "eval_count": OUTPUT_TOKENS}
    return {"model": "m-1", "response": said["content"], "done": True, "done_reason": word, **counts}


def _tgi(said: Body, word: object) -> Body:
    return {
        "generated_text": said["content"],
        "details": {"finish_reason": word, "generated_tokens": OUTPUT_TOKENS},
    }


def _llamacpp(said: Body, word: object) -> Body:
    counts = {"tokens_evaluated": INPUT_TOKENS, "tokens_predicted": OUTPUT_TOKENS}
    return {"content": said["content"], "stop": True, "stop_type": word, "model": "m-1", **counts}


def _baidu(said: Body, word: object) -> Body:
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 2020}
    return {"id": "c-1", "result": said["content"], "is_truncated": False, "finish_reason": word, "usage": usage}


def _replicate(said: Body, word: object) -> Body:
    metrics = {"input_token_count": INPUT_TOKENS, "output_token_count": OUTPUT_TOKENS}
    return {"id": "c-1", "model": "m-1", "output": _pieces(said["content"]), "status": word, "metrics": metrics}


def _titan(said: Body, word: object) -> Body:
    result = {"tokenCount": OUTPUT_TOKENS, "outputText": said["content"], "completionReason": word}
    return {"inputTextTokenCount": INPUT_TOKENS, "results": [result]}


def _llama(said: Body, word: object) -> Body:
    counts = {"prompt_token_count": INPUT_TOKENS, "generation_token_count": OUTPUT_TOKENS}
    return {"generation": said["content"], "stop_reason": word, **counts}


def _watsonx(said: Body, word: object) -> Body:
    counts = {"generated_token_count": OUTPUT_TOKENS, "input_token_count": INPUT_TOKENS}
    return {"model_id": "m-1", "results": [{"generated_text": said["content"], "stop_reason": word, **counts}]}


def _legacy(said: Body, word: object) -> Body:
    body = _chat({}, word)
    return body | {"object": "text_completion", "choices": [{"text": said["content"], "finish_reason": word}]}


IN_CHAT: Mapping[str, tuple[object, ...]] = {
    STOP: ("stop", None, "", "eos", "eos_token", "end_turn", "stop_sequence", "STOP", "tool_calls"),
    CUT: (
        "length",
        "max_tokens",
        "model_length",
        "max_output_tokens",
        "MAX_TOKENS",
        "model_context_window_exceeded",
    ),
    FILTERED: (
        *("content_filter", "content_filter: SAFETY", "sensitive", "guardrail_intervened", "RECITATION", "SAFETY"),
        *("moderation_blocked", "content_policy_violation"),
    ),
    BROKEN: (
        *("error", "abort", "network_error", "insufficient_system_resource", "repetition_truncation", "timeout"),
        *("engine_overloaded", "cancelled"),
    ),
}
IN_ANTHROPIC: Mapping[str, tuple[object, ...]] = {
    STOP: ("end_turn", "stop_sequence", "tool_use", None),
    CUT: ("max_tokens", "model_context_window_exceeded"),
    FILTERED: ("guardrail_intervened",),
    BROKEN: (),
}
IN_GEMINI: Mapping[str, tuple[object, ...]] = {
    STOP: ("STOP", None, "FINISH_REASON_STOP"),
    CUT: ("MAX_TOKENS", "FinishReason.MAX_TOKENS"),
    FILTERED: ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY"),
    BROKEN: ("OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
}
IN_OLLAMA = {STOP: ("stop", None), CUT: ("length",), FILTERED: (), BROKEN: ("load", "unload")}
IN_COHERE = {
    STOP: ("COMPLETE", "STOP_SEQUENCE", "TOOL_CALL"),
    CUT: ("MAX_TOKENS", "ERROR_LIMIT"),
    FILTERED: ("ERROR_TOXIC",),
    BROKEN: ("ERROR", "TIMEOUT"),
}
IN_BEDROCK = {
    STOP: ("end_turn", "stop_sequence", "tool_use"),
    CUT: ("max_tokens",),
    FILTERED: ("guardrail_intervened", "content_filtered"),
    BROKEN: ("malformed_model_output",),
}
IN_RESPONSES: Mapping[str, tuple[object, ...]] = {
    STOP: ("completed",),
    CUT: (("incomplete", "max_output_tokens"), ("incomplete", None)),
    FILTERED: (("incomplete", "content_filter"),),
    BROKEN: ("failed", "cancelled", "in_progress", ("incomplete", "brand_new")),
}

SHAPES: Mapping[str, Shape] = {
    "chat": Shape(provider="openai-compatible", build=_chat, words=IN_CHAT),
    "openrouter": Shape(provider="openrouter", build=_openrouter, words=IN_CHAT),
    "function": Shape(provider="openai", build=_function, words=IN_CHAT),
    "parts": Shape(provider="mistral", build=_parts, words=IN_CHAT),
    "anthropic": Shape(provider="anthropic", build=_anthropic, words=IN_ANTHROPIC),
    "gemini": Shape(provider="gemini", build=_gemini, words=IN_GEMINI),
    "ollama": Shape(provider="ollama", build=_ollama, words=IN_OLLAMA),
    "responses": Shape(provider="openai", build=_responses, words=IN_RESPONSES),
    "cohere": Shape(provider="openai-compatible", build=_cohere, words=IN_COHERE),
    "bedrock": Shape(provider="openai-compatible", build=_bedrock, words=IN_BEDROCK),
    "dashscope": Shape(provider="openai-compatible", build=_dashscope, words=IN_CHAT),
    "dashscope text": Shape(
        provider="openai-compatible", build=_dashscope_text, words=IN_CHAT, places=("content",)
    ),
    "cloudflare": Shape(
        provider="openai-compatible", build=_cloudflare, words=IN_CHAT, places=("content", "call")
    ),
    "ollama generate": Shape(provider="ollama", build=_generate, words=IN_OLLAMA, places=("content",)),
    "tgi": Shape(
        provider="openai-compatible",
        build=_tgi,
        words={STOP: ("eos_token", "stop_sequence"), CUT: ("length",), FILTERED: (), BROKEN: ()},
        places=("content",),
    ),
    "llama.cpp": Shape(
        provider="llamacpp",
        build=_llamacpp,
        words={STOP: ("eos", "word", "none"), CUT: ("limit",), FILTERED: (), BROKEN: ()},
        places=("content",),
    ),
    "baidu": Shape(
        provider="openai-compatible",
        build=_baidu,
        words={STOP: ("normal", "stop"), CUT: ("length",), FILTERED: ("content_filter",), BROKEN: ()},
        places=("content",),
    ),
    "replicate": Shape(
        provider="openai-compatible",
        build=_replicate,
        words={STOP: ("succeeded",), CUT: (), FILTERED: (), BROKEN: ("failed", "canceled")},
        places=("content",),
    ),
    "titan": Shape(
        provider="openai-compatible",
        build=_titan,
        words={STOP: ("FINISH", "FINISHED"), CUT: ("LENGTH",), FILTERED: ("CONTENT_FILTERED",), BROKEN: ()},
        places=("content",),
    ),
    "llama on bedrock": Shape(
        provider="openai-compatible",
        build=_llama,
        words={STOP: ("stop",), CUT: ("length",), FILTERED: (), BROKEN: ()},
        places=("content",),
    ),
    "watsonx": Shape(
        provider="openai-compatible",
        build=_watsonx,
        words={
            STOP: ("eos_token", "stop_sequence"),
            CUT: ("max_tokens", "token_limit"),
            FILTERED: (),
            BROKEN: ("cancelled", "time_limit", "error"),
        },
        places=("content",),
    ),
    "completions": Shape(provider="vllm", build=_legacy, words=IN_CHAT, places=("content",)),
}


def bodies(shape: Shape) -> Iterator[tuple[str, str, object, Body]]:
    """A shape with the answer in every place it has, ended by every word that it knows.

    Gives the place, the end and the word for it, and the body.
    """
    for place in shape.places:
        for end, words in shape.words.items():
            for word in words:
                yield place, end, word, shape.build(SAID[place], word)


def wrappings(body: Body) -> Iterator[tuple[str, Any]]:
    """A body as servers and gateways wrap it."""
    text = json.dumps(body)
    yield "plain", body
    yield "text", text
    yield "mark of order", f"\ufeff{text}"
    yield "spaces", f"\n\n  {json.dumps(body, indent=2)}\n"
    yield "done behind", f"{text}\n\ndata: [DONE]\n\n"
    yield "one event", f"data: {text}\n\ndata: [DONE]\n\n"
    yield "one event without a space", f"event: message\r\ndata:{text}\r\n\r\n"
    yield "comments", f": keep-alive\n\n: keep-alive\n\n{json.dumps(body, indent=1)}"
    yield "string", json.dumps(text)
    yield "list of one", [body]
    yield "data", {"code": 0, "msg": "success", "data": body}
    yield "result", {"success": True, "errors": [], "result": body}
    yield "body", {"statusCode": 200, "headers": {}, "body": text}
    yield "bytes", text.encode()


def _pieces(text: str, size: int = 4) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _events(events: list[Any], *, done: bool = True) -> str:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def _lines(events: list[Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def _chat_stream(place: str) -> str:
    def delta(piece: str) -> Body:
        call = {"index": 0, "function": {"arguments": piece}}
        each: Mapping[str, Body] = {
            "content": {"content": piece},
            "thoughts": {"reasoning": piece},
            "call": {"tool_calls": [call]},
        }
        return each[place]

    chunk = {"id": "c-1", "object": "chat.completion.chunk", "model": "m-1"}
    events: list[Body] = [chunk | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}]
    events += [chunk | {"choices": [{"index": 0, "delta": delta(piece)}]} for piece in _pieces(ANSWER)]
    events.append(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append(chunk | {"choices": [], "usage": {"prompt_tokens": 2000, "completion_tokens": 20}})
    return _events(events)


def _anthropic_stream(place: str) -> str:
    kinds = {"content": ("text", "text_delta", "text"), "thoughts": ("thinking", "thinking_delta", "thinking")}
    kind, delta, name = kinds.get(place, ("tool_use", "input_json_delta", "partial_json"))
    block = {"type": kind} | ({"input": {}, "name": "json"} if kind == "tool_use" else {name: ""})
    message = {"type": "message", "id": "c-1", "model": "m-1", "content": []}
    events: list[Body] = [
        {
            "type": "message_start",
            "message": message | {"usage": {"input_tokens": 2000, "output_tokens": 1}, "stop_reason": None},
        },
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": delta, name: piece}}
        for piece in _pieces(ANSWER)
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _gemini_chunks(place: str) -> list[Body]:
    marks: Body = {"thought": True} if place == "thoughts" else {}
    parts: list[Body] = [{"text": piece} | marks for piece in _pieces(ANSWER)]
    if place == "call":
        parts = [{"functionCall": {"name": "answer", "args": VALUE}}]
    chunks: list[Body] = [
        {"candidates": [{"content": {"parts": [part]}}], "modelVersion": "m-1"} for part in parts
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    counts = {"promptTokenCount": 2000, "candidatesTokenCount": 20, "totalTokenCount": 2020}
    chunks[-1] |= {"usageMetadata": counts, "responseId": "c-1"}
    return chunks


def _ollama_stream(place: str) -> str:
    name = {"content": "content", "thoughts": "thinking"}.get(place)
    messages: list[Body] = [{"role": "assistant", "content": "", name: piece} for piece in _pieces(ANSWER) if name]
    messages = messages or [{"content": "", "tool_calls": [{"function": {"name": "a", "arguments": VALUE}}]}]
    events: list[Body] = [{"model": "m-1", "message": message, "done": False} for message in messages]
    last = {"done": True, "done_reason": "stop", "prompt_eval_count": 2000, "eval_count": 20}
    return _lines([*events, {"model": "m-1", "message": {"content": ""}, **last}])


def _responses_stream(place: str) -> str:
    names = {"content": "output_text", "thoughts": "reasoning_text", "call": "function_call_arguments"}
    start = {"id": "c-1", "object": "response", "model": "m-1", "status": "in_progress", "output": []}
    events: list[Body] = [{"type": "response.created", "response": start}]
    events += [{"type": f"response.{names[place]}.delta", "delta": piece} for piece in _pieces(ANSWER)]
    usage = {"input_tokens": 2000, "output_tokens": 20, "total_tokens": 2020}
    # Some gateways leave the output of the last event empty.
    events.append({"type": "response.completed", "response": start | {"status": "completed", "usage": usage}})
    return _events(events, done=False)


def _cohere_stream(place: str) -> str:
    assert place == "content"
    events: list[Body] = [{"type": "message-start", "id": "c-1"}]
    events += [
        {"type": "content-delta", "delta": {"message": {"content": {"text": piece}}}} for piece in _pieces(ANSWER)
    ]
    usage = {"billed_units": {"input_tokens": 2000, "output_tokens": 20}}
    return _events([*events, {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}])


def _cloudflare_stream(place: str) -> str:
    assert place == "content"
    events: list[Body] = [{"response": piece} for piece in _pieces(ANSWER)]
    usage = {"prompt_tokens": 2000, "completion_tokens": 20, "total_tokens": 2020}
    return _events([*events, {"response": "", "usage": usage}])


def _tgi_stream(place: str) -> str:
    assert place == "content"
    events: list[Body] = [{"token": {"text": piece}, "generated_text": None} for piece in _pieces(ANSWER)]
    events[-1] |= {
        "generated_text": ANSWER,
        "details": {"finish_reason": "eos_token", "generated_tokens": 20, "input_length": 2000},
    }
    return _events(events, done=False)


def streams() -> Iterator[tuple[str, str, str, Any]]:
    """Streams of every shape that has them: the shape's name, the place of the answer, the provider, the body."""
    everywhere = ("content", "thoughts", "call")
    for place in everywhere:
        yield "chat", place, "openai-compatible", _chat_stream(place)
        yield "anthropic", place, "anthropic", _anthropic_stream(place)
        yield "gemini", place, "gemini", _events(_gemini_chunks(place), done=False)
        yield "gemini list", place, "gemini", _gemini_chunks(place)
        yield "gemini list as text", place, "gemini", json.dumps(_gemini_chunks(place), indent=1)
        yield "ollama", place, "ollama", _ollama_stream(place)
        yield "responses", place, "openai", _responses_stream(place)
    yield "cohere", "content", "openai-compatible", _cohere_stream("content")
    yield "cloudflare", "content", "openai-compatible", _cloudflare_stream("content")
    yield "tgi", "content", "openai-compatible", _tgi_stream("content")
