"""The events of a stream, put together into the body that the same provider sends without a stream.

docmill never asks for a stream; some servers and gateways send one all the same. What the events say stays as it
is said: which text is the answer, and how it ended, is decided where whole bodies are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from docmill.llm.wire.messages import arguments, combined, said_in
from docmill.llm.wire.shapes import at, first, label, mapping, mappings, text

__all__ = ["UNFINISHED", "Ending", "is_event", "merged"]

Event: TypeAlias = Mapping[str, Any]
Ending: TypeAlias = Literal["told", "open", "damaged"]
"""Whether the stream said that it has ended; ``damaged`` where a part of it cannot be read."""

UNFINISHED = "unfinished"
"""Stands for the word for how a reply ended where its stream stops without one."""

FLAT_TEXTS = ("response", "content", "text", "completion", "generation", "outputText", "token.text")
"""Where servers with a shape of their own put the next piece: Ollama's ``/api/generate``, llama.cpp, TGI."""
ENDED_FLAT = ("generated_text", "finish_reason", "stop_reason", "stop", "is_finished", "completionReason")


def merged(events: Sequence[Event], ending: Ending) -> Mapping[str, Any]:
    """Puts events together. One that is a whole answer already stays as it is."""
    body = next((merge(events, ending) for fits, merge in MERGES if any(map(fits, events))), None)
    if body is None:
        # No stream of a model: the last of several whole answers holds what the others hold (DashScope).
        body = dict(events[-1])
    errors = [event for event in events if event.get("error") or event.get("type") == "error"]
    if errors:
        body["error"] = errors[0].get("error") or errors[0]
    elif ending == "damaged":
        body["error"] = {"type": "server_error", "message": "a part of the stream cannot be read"}
    return body


def is_event(body: Event) -> bool:
    """Tells the chunks of a stream from other objects in a list."""
    return any(fits(body) for fits, _ in MERGES)


def _of_chat(event: Event) -> bool:
    return "choices" in event


def _of_anthropic(event: Event) -> bool:
    return text(event.get("type")) in ANTHROPIC_EVENTS and "response" not in event


def _of_responses(event: Event) -> bool:
    return text(event.get("type")).startswith("response.")


def _of_gemini(event: Event) -> bool:
    return any(key in event for key in ("candidates", "usageMetadata", "promptFeedback"))


def _of_ollama(event: Event) -> bool:
    return isinstance(event.get("message"), dict) and "done" in event


def _of_cohere(event: Event) -> bool:
    return text(event.get("type")) in ("content-delta", "message-end", "tool-call-delta")


def _of_bedrock(event: Event) -> bool:
    return any(key in event for key in ("contentBlockDelta", "messageStop", "contentBlockStart"))


def _of_old_cohere(event: Event) -> bool:
    return "event_type" in event


def _of_flat(event: Event) -> bool:
    return isinstance(first(event, FLAT_TEXTS), str)


def _last(events: Iterable[Event], *paths: str) -> Any:
    """What the last event that has anything there says."""
    return next((found for event in reversed(list(events)) if (found := first(event, paths))), None)


def _joined(pieces: Iterable[object]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _word(told: object, ending: Ending) -> object:
    return told if told or ending == "told" else UNFINISHED


# --- OpenAI's chat shape ---


def _chat(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    choices = [choice for event in events for choice in mappings(event.get("choices"))[:1]]
    body = {key: value for event in events for key, value in event.items() if value not in (None, "", [], {})}
    if not choices:
        return body
    # Some send the whole message behind its pieces, or nothing else.
    whole = [choice["message"] for choice in choices if _is_whole(choice.get("message"))]
    message = whole[-1] if whole else _chat_message(choices)
    finish = _word(_last(choices, "finish_reason"), "told" if whole else ending)
    last = {key: value for choice in choices for key, value in choice.items() if value is not None}
    body["choices"] = [{**last, "message": message, "finish_reason": finish}]
    return body


def _is_whole(message: object) -> bool:
    return any(mapping(message).get(name) for name in ("content", "tool_calls", "function_call"))


def _chat_message(choices: Sequence[Event]) -> dict[str, Any]:
    deltas = [mapping(choice.get("delta")) or mapping(choice.get("message")) for choice in choices]
    said = combined(said_in({**delta, "tool_calls": None, "function_call": None}) for delta in deltas)
    called = _joined(_piece(at(delta, "function_call.arguments")) for delta in deltas)
    calls = _calls([call for delta in deltas for call in mappings(delta.get("tool_calls"))])
    return {
        "content": said.content or _joined(choice.get("text") for choice in choices),
        "reasoning_content": said.thoughts,
        "refusal": said.refusal,
        "tool_calls": [*calls, {"arguments": called}],
    }


def _calls(pieces: Sequence[Event]) -> list[dict[str, Any]]:
    """The calls of tools out of their pieces: one without an index goes on where the one before it was."""
    found: dict[str, list[str]] = {}
    index = ""
    for piece in pieces:
        index = label(piece.get("index")) or index
        found.setdefault(index, []).append(_piece(first(piece, ("function.arguments", "arguments"))))
    return [{"arguments": "".join(each)} for each in found.values()]


def _piece(value: object) -> str:
    return value if isinstance(value, str) else arguments(value)


# --- Anthropic ---

ANTHROPIC_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)


def _anthropic(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    started = mapping(
        next((event.get("message") for event in events if event.get("type") == "message_start"), None)
    )
    ended = [event for event in events if event.get("type") == "message_delta"]
    is_over = ending == "told" or any(event.get("type") == "message_stop" for event in events)
    usage: dict[str, Any] = {}
    for told in (started.get("usage"), *(event.get("usage") for event in ended)):
        usage |= {name: count for name, count in mapping(told).items() if count is not None}
    return {
        **started,
        "type": "message",
        "content": _blocks(events),
        "stop_reason": _word(_last(ended, "delta.stop_reason"), "told" if is_over else ending),
        "stop_details": _last(ended, "delta.stop_details"),
        "usage": usage,
    }


def _blocks(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Each block out of its pieces, in the blocks' order."""
    blocks: dict[str, dict[str, Any]] = {}
    pieces: dict[str, dict[str, list[str]]] = {}
    for event in events:
        index = label(event.get("index"))
        if event.get("type") == "content_block_start":
            blocks[index] = dict(mapping(event.get("content_block")))
        elif event.get("type") == "content_block_delta":
            blocks.setdefault(index, {"type": "text"})
            for name, piece in mapping(event.get("delta")).items():
                pieces.setdefault(index, {}).setdefault(name, []).append(text(piece))
    return [_block(block, pieces.get(index, {})) for index, block in blocks.items()]


def _block(block: dict[str, Any], pieces: Mapping[str, list[str]]) -> dict[str, Any]:
    for name in ("text", "thinking"):
        block[name] = text(block.get(name)) + "".join(pieces.get(name, ()))
    if "partial_json" in pieces:
        block["input"] = "".join(pieces["partial_json"])
        block.setdefault("type", "tool_use")
    return block


# --- OpenAI's Responses ---


def _responses(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    told = dict(mapping(_last(events, "response")))
    if told.get("output") and told.get("status") in ("completed", "incomplete", "failed"):
        return told

    def pieces(name: str) -> str:
        return _joined(event.get("delta") for event in events if event.get("type") == f"response.{name}.delta")

    output: list[dict[str, Any]] = [
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": pieces("reasoning_text")}]},
        {"type": "message", "content": [{"type": "output_text", "text": pieces("output_text")}]},
        {"type": "message", "content": [{"type": "refusal", "refusal": pieces("refusal")}]},
        {"type": "function_call", "arguments": pieces("function_call_arguments")},
    ]
    is_over = ending == "told" or told.get("status") in ("completed", "incomplete", "failed")
    status = told.get("status") if told.get("status") not in (None, "in_progress", "queued") else "completed"
    return {**told, "object": "response", "output": output, "status": status if is_over else UNFINISHED}


# --- Gemini ---


def _gemini(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    candidates = [mapping(next(iter(mappings(event.get("candidates"))), None)) for event in events]
    parts = [part for candidate in candidates for part in mappings(at(candidate, "content.parts"))]
    body = {key: value for event in events for key, value in event.items() if value}
    if any(candidates):
        last = {key: value for candidate in candidates for key, value in candidate.items() if value}
        finish = _word(_last(candidates, "finishReason"), ending)
        body["candidates"] = [{**last, "content": {"parts": parts}, "finishReason": finish}]
    return body


# --- shapes of lines: Ollama, Cohere, Bedrock, and servers with one text in an event ---


def _ollama(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    messages = [mapping(event.get("message")) for event in events]
    message = {name: _joined(each.get(name) for each in messages) for name in ("content", "thinking")}
    calls = [call for each in messages for call in mappings(each.get("tool_calls"))]
    body = {key: value for event in events for key, value in event.items()}
    is_over = ending == "told" or any(event.get("done") is True for event in events)
    finish = body.get("done_reason") if is_over else UNFINISHED
    return {**body, "message": {**message, "tool_calls": calls}, "done": True, "done_reason": finish}


def _cohere(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    said = _joined(at(event, "delta.message.content.text") for event in events)
    thought = _joined(at(event, "delta.message.content.thinking") for event in events)
    arguments = _joined(at(event, "delta.message.tool_calls.function.arguments") for event in events)
    return {
        "id": _last(events, "id"),
        "message": {"content": said, "thinking": thought, "tool_calls": [{"arguments": arguments}]},
        "finish_reason": _word(_last(events, "delta.finish_reason"), ending),
        "usage": _last(events, "delta.usage"),
    }


def _old_cohere(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    said = _joined(event.get("text") for event in events if event.get("event_type") == "text-generation")
    told = mapping(_last(events, "response"))
    finish = _word(_last(events, "finish_reason", "response.finish_reason"), ending)
    return {"generation_id": "", **told, "text": told.get("text") or said, "finish_reason": finish}


def _bedrock(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    deltas = [at(event, "contentBlockDelta.delta") for event in events]
    said = _joined(at(delta, "text") for delta in deltas)
    thought = _joined(at(delta, "reasoningContent.text") for delta in deltas)
    called = _joined(at(delta, "toolUse.input") for delta in deltas)
    content = [{"text": said}, {"type": "thinking", "thinking": thought}, {"toolUse": {"input": called}}]
    return {
        "output": {"message": {"content": content}},
        "stopReason": _word(_last(events, "messageStop.stopReason"), ending),
        "usage": _last(events, "metadata.usage"),
    }


def _flat(events: Sequence[Event], ending: Ending) -> dict[str, Any]:
    body = {key: value for event in events for key, value in event.items() if value is not None}
    path = next(path for path in FLAT_TEXTS if any(isinstance(at(event, path), str) for event in events))
    if not isinstance(body.get("generated_text"), str):
        body["response" if path == "token.text" else path] = _joined(at(event, path) for event in events)
    is_over = ending == "told" or body.get("done") is True or any(body.get(name) for name in ENDED_FLAT)
    return body if is_over else {**body, "finish_reason": UNFINISHED}


MERGES: tuple[tuple[Callable[[Event], bool], Callable[[Sequence[Event], Ending], dict[str, Any]]], ...] = (
    (_of_chat, _chat),
    (_of_anthropic, _anthropic),
    (_of_responses, _responses),
    (_of_gemini, _gemini),
    (_of_ollama, _ollama),
    (_of_cohere, _cohere),
    (_of_bedrock, _bedrock),
    (_of_old_cohere, _old_cohere),
    (_of_flat, _flat),
)
