"""The answer is found in whatever shape, place and wrapping it comes, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docmill.llm import classify, read_reply
from docmill.llm.types import Reply
from tests.fuzz.replies import (
    ANSWER,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    SHAPES,
    THOUGHTS,
    VALUE,
    bodies,
    streams,
    wrappings,
)

KINDS = {
    "stop": (None,),
    "length": ("truncated",),
    "content_filter": ("content_filtered",),
    "error": ("server_error", "overloaded"),
}
CHUNK = json.dumps({"choices": [{"delta": {"content": ANSWER}, "finish_reason": "stop"}]})
UNCOUNTED_INPUT = frozenset({"tgi"})


def kind_of(provider: str, body: object) -> str | None:
    failure = classify(provider=provider, status=200, headers={}, body=body)
    return failure.kind if failure else None


def read(provider: str, body: object) -> Reply:
    return read_reply(provider=provider, status=200, headers={}, body=body)


def is_read_whole(name: str, reply: Reply) -> bool:
    counted = (reply.usage.input_tokens in (INPUT_TOKENS, None if name in UNCOUNTED_INPUT else INPUT_TOKENS)) and (
        reply.usage.output_tokens == OUTPUT_TOKENS
    )
    return counted and reply.text != "" and json.loads(reply.text) == VALUE


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_read_in_every_place_however_it_ended_and_was_wrapped(name: str) -> None:
    provider, wrong, tried = SHAPES[name].provider, [], 0
    for place, end, word, body in bodies(SHAPES[name]):
        for wrapping, wrapped in wrappings(body):
            tried += 1
            good = kind_of(provider, wrapped) in KINDS[end] and is_read_whole(name, read(provider, wrapped))
            wrong += [] if good else [(place, word, wrapping)]
    assert (wrong, tried > 20) == ([], True)


@pytest.mark.parametrize(("name", "place", "provider", "body"), list(streams()))
def test_a_stream_is_the_answer_that_its_pieces_make(name: str, place: str, provider: str, body: Any) -> None:
    assert kind_of(provider, body) is None
    reply = read(provider, body)
    assert is_read_whole(name, reply)
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize(("name", "place", "provider", "body"), list(streams()))
def test_a_stream_that_was_cut_is_the_whole_answer_or_a_failure(
    name: str, place: str, provider: str, body: Any
) -> None:
    if not isinstance(body, str):
        return
    for cut in range(0, len(body), 3):
        if kind_of(provider, body[:cut]) is None:
            assert json.loads(read(provider, body[:cut]).text) == VALUE


@pytest.mark.parametrize(
    "piece",
    [
        {"message": {"role": "assistant", "content": '{"to'}, "done": False},
        {"object": "chat.completion.chunk", "choices": [{"delta": {"content": '{"to'}, "finish_reason": None}]},
    ],
)
def test_a_piece_of_a_stream_whose_rest_never_came_is_no_answer(piece: dict[str, Any]) -> None:
    for body in (piece, json.dumps(piece), [piece]):
        assert kind_of("openai-compatible", body) == "server_error"


@pytest.mark.parametrize(("name", "place", "provider", "body"), list(streams()))
def test_a_stream_with_a_piece_that_cannot_be_read_is_no_answer(
    name: str, place: str, provider: str, body: Any
) -> None:
    lines = body.split("\n") if isinstance(body, str) else []
    for at, line in enumerate(lines):
        if line.startswith(("data: {", '{"model')):
            broken = "\n".join([*lines[:at], line[: len(line) // 2], *lines[at + 1 :]])
            assert kind_of(provider, broken) is not None


WITH_THOUGHTS = [name for name, shape in SHAPES.items() if "thoughts" in shape.places]
WITH_CALLS = [name for name, shape in SHAPES.items() if "call" in shape.places]


@pytest.mark.parametrize("name", WITH_THOUGHTS)
@pytest.mark.parametrize("thoughts", [THOUGHTS, "Hm.", '{"total": 12}\nNo, wait.', '{"total": 1'])
def test_thoughts_alone_are_no_answer_nor_is_a_draft_among_them(name: str, thoughts: str) -> None:
    shape = SHAPES[name]
    for word in shape.words["stop"]:
        body = shape.build({"thoughts": thoughts}, word)
        assert kind_of(shape.provider, body) == "server_error"
        assert read(shape.provider, body).text == ""


@pytest.mark.parametrize("name", WITH_THOUGHTS)
def test_an_answer_is_read_and_the_thoughts_beside_it_are_not(name: str) -> None:
    shape = SHAPES[name]
    for word in shape.words["stop"]:
        body = shape.build({"content": ANSWER, "thoughts": '{"total": 12}'}, word)
        assert read(shape.provider, body).text == ANSWER


@pytest.mark.parametrize("thoughts", [f"```json\n{ANSWER}\n```", f"I add it up.</think>\n\n{ANSWER}"])
def test_an_answer_that_a_server_took_for_thoughts_is_one(thoughts: str) -> None:
    body = SHAPES["chat"].build({"content": "", "thoughts": thoughts}, "stop")
    assert read("vllm", body).text == ANSWER


@pytest.mark.parametrize("name", WITH_CALLS)
def test_the_arguments_of_a_tool_go_before_the_words_that_announce_it(name: str) -> None:
    shape = SHAPES[name]
    for word in shape.words["stop"]:
        body = shape.build({"content": "I will give the answer now.", "call": VALUE}, word)
        assert kind_of(shape.provider, body) is None
        assert json.loads(read(shape.provider, body).text) == VALUE


def test_an_answer_goes_before_the_call_of_a_tool_unless_the_model_ended_by_calling() -> None:
    said = {"content": ANSWER, "call": {"query": "weather"}}
    assert read("openai", SHAPES["chat"].build(said, "stop")).text == ANSWER
    assert json.loads(read("openai", SHAPES["chat"].build(said, "tool_calls")).text) == {"query": "weather"}


def test_several_calls_are_all_shown_so_that_a_doubt_stays_one() -> None:
    calls = [{"function": {"arguments": json.dumps({"total": total})}} for total in (12, 13)]
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    assert read("openai", body).text == '{"total": 12}\n{"total": 13}'


def test_a_call_without_arguments_is_no_answer() -> None:
    given: tuple[Any, ...] = ("", "{}", "null", None, {})
    for arguments in given:
        calls = [{"function": {"name": "answer", "arguments": arguments}}]
        body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
        assert kind_of("openai", body) == "server_error"


@pytest.mark.parametrize(
    "message",
    [
        {"content": VALUE},
        {"content": None, "parsed": VALUE},
        {"content": [{"type": "output_json", "json": VALUE}]},
        {"content": [{"type": "text", "text": {"value": ANSWER}}]},
        {"content": {"type": "text", "text": ANSWER}},
        {"content": [ANSWER]},
    ],
)
def test_an_answer_that_came_as_an_object_or_in_one_part_is_read(message: dict[str, Any]) -> None:
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    assert json.loads(read("openai-compatible", body).text) == VALUE


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_was_written_into_a_text_is_taken_out_of_it(times: int) -> None:
    text = ANSWER
    for _ in range(times):
        text = json.dumps(text)
    for said in ({"content": text}, {"content": "", "thoughts": text}):
        assert read("openai", SHAPES["chat"].build(said, "stop")).text == ANSWER
    call = {"message": {"content": None, "tool_calls": [{"function": {"arguments": text}}]}}
    assert read("openai", {"choices": [call | {"finish_reason": "tool_calls"}]}).text == ANSWER
    assert read("openai", SHAPES["chat"].build({"content": '"a word"'}, "stop")).text == '"a word"'


def test_words_in_one_choice_and_the_call_in_the_next_are_one_message() -> None:
    call = {"function": {"arguments": ANSWER}}
    choices = [
        {"message": {"content": "I will."}, "finish_reason": "tool_calls"},
        {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"},
    ]
    assert read("openai-compatible", {"choices": choices}).text == ANSWER


@pytest.mark.parametrize(
    "choice",
    [
        {"delta": {"content": ANSWER}},
        {"text": ANSWER},
        {"content": ANSWER},
        {"message": ANSWER},
        {"messages": [{"sender_type": "BOT", "text": ANSWER}]},
    ],
)
def test_a_choice_without_a_message_is_read(choice: dict[str, Any]) -> None:
    body = {"choices": [choice | {"finish_reason": "stop"}]}
    assert read("openai-compatible", body).text == ANSWER


def test_a_whole_reply_written_into_a_text_is_read_and_is_not_the_answer() -> None:
    whole = SHAPES["chat"].build({"content": ANSWER}, "stop")
    for name in ("response", "result", "output", "completion", "data", "body"):
        assert read("openai-compatible", {"id": "x", "model": "m", name: json.dumps(whole)}).text == ANSWER


def test_the_words_that_a_guardrail_puts_there_are_no_answer() -> None:
    body = {"generation": ANSWER, "stop_reason": "stop", "amazon-bedrock-guardrailAction": "INTERVENED"}
    assert kind_of("openai-compatible", body) == "content_filtered"
    assert kind_of("openai-compatible", body | {"amazon-bedrock-guardrailAction": "NONE"}) is None


@pytest.mark.parametrize(
    "body",
    [
        f"event: error\ndata: {json.dumps({'detail': 'upstream is overloaded'})}\n\n",
        "event: error\ndata: upstream is overloaded\n\n",
        f"data: {CHUNK}\n\nevent: error\ndata: {json.dumps({'detail': 'upstream is overloaded'})}\n\n",
    ],
)
def test_an_event_that_is_called_an_error_is_one(body: str) -> None:
    assert kind_of("openai-compatible", body) == "overloaded"


@pytest.mark.parametrize("behind", ["\0\0", "\n<html></html>", " trailing", "\n[DONE]", "]"])
def test_what_stands_behind_a_whole_answer_takes_nothing_away(behind: str) -> None:
    body = json.dumps(SHAPES["chat"].build({"content": ANSWER}, "stop")) + behind
    assert kind_of("openai-compatible", body) is None
    assert read("openai-compatible", body).text == ANSWER


@pytest.mark.parametrize("name", SHAPES)
def test_an_empty_answer_is_none(name: str) -> None:
    shape = SHAPES[name]
    for word in shape.words["stop"]:
        for text in ("", "  \n"):
            assert kind_of(shape.provider, shape.build({"content": text}, word)) == "server_error"


@pytest.mark.parametrize("word", ["brand_new", "x" * 500, "stop.", "ended early?", 17])
def test_an_end_that_nobody_knows_is_told_and_is_neither_a_cut_nor_a_prompt_too_long(word: object) -> None:
    full = SHAPES["chat"].build({"content": ANSWER}, word)
    assert kind_of("openai-compatible", full) is None
    assert "for a reason that nobody knows" in read("openai-compatible", full).warnings[0]
    empty = SHAPES["chat"].build({"content": ""}, word)
    empty["usage"] = {"prompt_tokens": 36_000, "completion_tokens": 0}
    assert kind_of("openai-compatible", empty) == "server_error"


def test_a_short_prompt_fits_every_window() -> None:
    body = {
        "choices": [{"message": {"content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 0},
    }
    assert kind_of("lmstudio", body) == "server_error"
    body["usage"] = {"prompt_tokens": 36_000, "completion_tokens": 0}
    assert kind_of("lmstudio", body) == "context_overflow"


def test_the_word_of_the_provider_behind_a_gateway_counts_where_it_is_the_worse_one() -> None:
    body = SHAPES["openrouter"].build({"content": ANSWER}, "stop")
    for native, kind in (("STOP", None), ("SAFETY", "content_filtered"), ("MAX_TOKENS", "truncated")):
        body["choices"][0]["native_finish_reason"] = native
        assert kind_of("openrouter", body) == kind


def test_an_answer_that_is_too_long_to_keep_is_no_success() -> None:
    body = SHAPES["chat"].build({"content": "x" * 2_000_001}, "stop")
    assert kind_of("openai", body) == "server_error"
    assert len(read("openai", body).text) == 2_000_000
