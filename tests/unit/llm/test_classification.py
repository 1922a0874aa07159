from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Failure
from docmill.llm import classify, read_reply

REAL_ERRORS = Path(__file__).parents[4] / "shared" / "data" / "provider_errors.json"


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def classified(status: int, body: object, provider: str = "openai", **headers: str) -> Failure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    failure = classify(provider=provider, status=status, headers=named, body=body)
    assert failure is not None
    return failure


def test_every_recorded_error_is_classified_as_measured() -> None:
    if not REAL_ERRORS.exists():
        pytest.skip("the recorded provider errors (../shared/data) are not here")
    rows = json.loads(REAL_ERRORS.read_text())
    wrong = [f"{row['provider']}/{row['case']}" for row in rows if not as_expected(row)]
    assert wrong == []


def as_expected(row: dict[str, Any]) -> bool:
    failure = classify(provider=row["provider"], status=row["status"], headers=row["headers"], body=row["body"])
    expected = row["expect"]
    assert failure is not None
    return (
        failure.kind == expected["kind"]
        and failure.retry_after_s == pytest.approx(expected.get("retry_after_s"))
        and failure.limit_tokens == expected.get("limit_tokens")
        and failure.actual_tokens == expected.get("actual_tokens")
    )


GOOD = {
    "chat": {
        "object": "chat.completion",
        "choices": [{"message": {"content": "{}", "refusal": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    },
    "unknown finish": {"choices": [{"message": {"content": "x"}, "finish_reason": "brand_new"}]},
    "tool call": {
        "choices": [
            {
                "message": {"content": None, "tool_calls": [{"function": {"arguments": '{"a": 1}'}}]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"completion_tokens": 0},
    },
    "null error": {
        "object": "response",
        "status": "completed",
        "error": None,
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "yes"}]}],
    },
    "anthropic": {
        "type": "message",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    },
    "gemini": {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]},
    "ollama": {"message": {"content": "hi"}, "done": True, "done_reason": "stop", "eval_count": 3},
    "embeddings": {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3}},
    "gemini embeddings": {"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 3}},
    "batch row": {
        "custom_id": "a",
        "response": {
            "status_code": 200,
            "body": {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]},
        },
        "error": None,
    },
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_a_good_reply_is_no_failure_even_with_retry_after(body: object) -> None:
    assert classify(provider="any", status=200, headers={"retry-after": "5"}, body=body) is None


NOT_GOOD: dict[str, tuple[object, str]] = {
    "length": ({"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}, "truncated"),
    "model_length": (
        {"choices": [{"message": {"content": "{"}, "finish_reason": "model_length"}]},
        "truncated",
    ),
    "refusal": (
        {"choices": [{"message": {"content": None, "refusal": "I cannot"}, "finish_reason": "stop"}]},
        "refused",
    ),
    "filter": (
        {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter: SAFETY"}]},
        "content_filtered",
    ),
    "no choices": ({"object": "chat.completion", "choices": []}, "server_error"),
    "error mid-stream": ({"error": {"code": 502, "message": "Provider disconnected"}}, "server_error"),
    "limit mid-stream": ({"error": {"code": 429, "message": "slow"}}, "rate_limited"),
    "error in choice": (
        {"choices": [{"error": {"code": 429, "message": "upstream"}, "message": {"content": ""}}]},
        "rate_limited",
    ),
    "responses filtered": (
        {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        "content_filtered",
    ),
    "responses cut": (
        {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        "truncated",
    ),
    "responses refused": (
        {
            "object": "response",
            "status": "completed",
            "output": [{"content": [{"type": "refusal", "refusal": "no"}]}],
        },
        "refused",
    ),
    "anthropic window": (
        {"type": "message", "content": [], "stop_reason": "model_context_window_exceeded"},
        "truncated",
    ),
    "anthropic refusal": (
        {"type": "message", "content": [{"type": "text", "text": "pa"}], "stop_reason": "refusal"},
        "refused",
    ),
    "anthropic event": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "…"}},
        "overloaded",
    ),
    "gemini blocked": ({"promptFeedback": {"blockReason": "SAFETY"}}, "content_filtered"),
    "gemini nothing": ({"usageMetadata": {"promptTokenCount": 5}}, "server_error"),
    "gemini no parts": ({"candidates": [{"content": {}, "finishReason": "STOP"}]}, "server_error"),
    "gemini recites": ({"candidates": [{"finishReason": "RECITATION"}]}, "content_filtered"),
    "ollama cut": ({"message": {"content": "{"}, "done": True, "done_reason": "length"}, "truncated"),
    "ollama stream": ('{"message":{"content":"a"},"done":false}\n{"error":"it broke"}\n', "server_error"),
    "page of a proxy": ("<html><title>Sign in</title></html>", "server_error"),
    "nothing": ("", "server_error"),
    "empty object": ({}, "server_error"),
    "batch row": (
        {"custom_id": "a", "response": {"status_code": 429, "body": error("Rate limit")}},
        "rate_limited",
    ),
    "batch row expired": ({"custom_id": "a", "error": {"code": "batch_expired", "message": "…"}}, "timeout"),
    "batch invalid": (
        {"object": "batch", "status": "failed", "errors": {"data": [{"code": "invalid_json_line"}]}},
        "bad_request",
    ),
    "anthropic row": (
        {
            "custom_id": "a",
            "result": {"type": "errored", "error": error("prompt is too long: 20 tokens > 10 maximum")},
        },
        "context_overflow",
    ),
}


@pytest.mark.parametrize(("body", "kind"), NOT_GOOD.values(), ids=NOT_GOOD.keys())
def test_a_status_of_200_is_not_success(body: object, kind: str) -> None:
    assert classified(200, body).kind == kind


def test_an_empty_answer_without_tokens_is_a_prompt_that_did_not_fit() -> None:
    body = {
        "choices": [{"message": {"content": ""}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 36000, "completion_tokens": 0},
    }
    failure = classified(200, body, provider="lmstudio")
    assert (failure.kind, failure.actual_tokens) == ("context_overflow", 36000)


QUOTA_SENTENCE = "You exceeded your current quota, please check your plan and billing details."


def gemini_quota(*quota_ids: str, delay: str | None = None) -> dict[str, Any]:
    details: list[dict[str, Any]] = [{"violations": [{"quotaId": quota_id} for quota_id in quota_ids]}]
    if delay:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    return error(QUOTA_SENTENCE, code=429, status="RESOURCE_EXHAUSTED", details=details)


def test_429_is_five_different_things() -> None:
    assert classified(429, error("Rate limit reached. Please try again in 174ms.")).kind == "rate_limited"
    assert classified(429, error(QUOTA_SENTENCE)).kind == "quota_exhausted"
    spent = error("…", type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
    assert classified(429, spent).kind == "quota_exhausted"
    assert classified(429, error("Service tier capacity exceeded for this model.")).kind == "overloaded"
    larger = classified(429, error("Request too large for m: Limit 30,000, Requested 31,538."))
    assert (larger.kind, larger.limit_tokens, larger.limit_is_window) == ("context_overflow", 30000, False)


def test_gemini_says_the_same_of_a_minute_and_of_a_day() -> None:
    minute = classified(429, gemini_quota("RequestsPerMinutePerProject", delay="26s"), provider="gemini")
    day = classified(429, gemini_quota("RequestsPerDayPerProject", delay="26s"), provider="gemini")
    assert (minute.kind, minute.retry_after_s) == ("rate_limited", 26)
    assert (day.kind, day.retry_after_s) == ("quota_exhausted", None)


ENVELOPES: dict[str, object] = {
    "object": error("Invalid schema for response_format"),
    "text in error": {"error": "Invalid schema for response_format"},
    "message": {"message": "Invalid schema for response_format"},
    "detail": {"detail": "Invalid schema for response_format"},
    "list of one": [error("Invalid schema for response_format")],
    "text": "Invalid schema for response_format",
    "gateway": error(
        "Provider returned error",
        metadata={"raw": json.dumps(error("Invalid schema for response_format"))},
    ),
    "json in message": error(json.dumps(error("Invalid schema for response_format"))),
}


@pytest.mark.parametrize("body", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_the_message_is_found_in_every_envelope(body: object) -> None:
    failure = classified(400, body)
    assert failure.kind == "bad_request"
    assert "Invalid schema for response_format" in failure.message
    assert failure.repair is not None
    assert failure.repair.action == "schema"


STATUSES = [
    (400, "bad_request"),
    (401, "auth"),
    (402, "quota_exhausted"),
    (403, "auth"),
    (404, "not_found"),
    (408, "timeout"),
    (413, "context_overflow"),
    (418, "bad_request"),
    (422, "bad_request"),
    (429, "rate_limited"),
    (499, "timeout"),
    (500, "server_error"),
    (501, "bad_request"),
    (502, "server_error"),
    (503, "overloaded"),
    (504, "timeout"),
    (520, "server_error"),
    (524, "timeout"),
    (529, "overloaded"),
    (302, "bad_request"),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_without_a_word_the_status_decides(status: int, kind: str) -> None:
    assert classified(status, "").kind == kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "User location is not supported for the API use.", "auth"),
        (400, "API key not valid. Please pass a valid API key.", "auth"),
        (400, "Model Not Exist", "not_found"),
        (400, "foo/bar is not a valid model ID", "not_found"),
        (400, "Content Exists Risk", "content_filtered"),
        (403, 'Your input was flagged for "violence"', "content_filtered"),
        (404, "No endpoints found that support tool use.", "bad_request"),
        (500, "Overloaded", "overloaded"),
        (503, "Deadline expired before operation could complete.", "timeout"),
        (400, "The replica's capacity must be a number", "bad_request"),
        (402, "Prompt tokens limit exceeded: 230799 > 91442", "quota_exhausted"),
        (402, "Request too large for your credits: shorten the prompt", "quota_exhausted"),
        (400, "Your credit balance is too low to access the API.", "quota_exhausted"),
    ],
)
def test_words_go_before_the_status(status: int, message: str, kind: str) -> None:
    assert classified(status, error(message)).kind == kind


def test_llamacpp_names_its_numbers_in_fields_too() -> None:
    body = error("too much", type="exceed_context_size_error", n_prompt_tokens=5000, n_ctx=4096)
    failure = classified(400, body, provider="llamacpp")
    assert (failure.limit_tokens, failure.actual_tokens) == (4096, 5000)


def test_a_key_in_the_providers_words_is_not_repeated() -> None:
    failure = classified(401, error("Incorrect API key provided: sk-proj-abcdefghijklmnop1234."))
    assert "abcdefghijklmnop" not in failure.message


def test_the_input_that_fastapi_quotes_is_not_repeated() -> None:
    rows = [{"type": "missing", "loc": ["body", "model"], "msg": "Field required", "input": {"a": "secret"}}]
    failure = classified(422, {"detail": rows}, provider="mistral")
    assert failure.message == "body.model: Field required"


def test_a_wait_told_as_a_date_is_counted_from_now_only_without_a_date_header() -> None:
    headers = {"Retry-After": "Tue, 26 Mar 2024 20:00:29 GMT"}
    now = datetime(2024, 3, 26, 20, 0, 9, tzinfo=UTC)
    told = classify(provider="any", status=429, headers=headers, body="", now=now)
    dated = classify(
        provider="any",
        status=429,
        headers={**headers, "Date": "Tue, 26 Mar 2024 19:59:59 GMT"},
        body="",
        now=now,
    )
    assert told is not None
    assert dated is not None
    assert (told.retry_after_s, dated.retry_after_s) == (20, 30)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "error",
        "message",
        "detail",
        "details",
        "code",
        "type",
        "status",
        "param",
        "choices",
        "finish_reason",
        "content",
        "candidates",
        "metadata",
        "raw",
        "headers",
        "retryDelay",
        "usage",
        "errors",
        "object",
        "custom_id",
        "response",
        "result",
        "loc",
        "delta",
        "output",
        "done",
        "promptFeedback",
    ]
)
provider_like = st.recursive(
    st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(["error", "failed", "message", "{", "[1]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
never = {"malformed", "invalid", "wrong", "budget"}


@given(
    status=st.integers(-1, 700),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "retry-after-ms", "date", "x-ratelimit-remaining-tokens", "ratelimit"]),
        st.text(max_size=20) | st.sampled_from(["nan", "1e999", "-1", "0", "Tue, 99 Foo", "9" * 40]),
    ),
    body=json_values | provider_like | st.text(),
)
def test_no_response_whatever_it_holds_raises(status: int, headers: dict[str, str], body: object) -> None:
    failure = classify(provider="any", status=status, headers=headers, body=body)
    if failure is not None:
        assert failure.kind not in never
        assert failure.retry_after_s is None or failure.retry_after_s >= 0
    if status >= 400 and not (isinstance(body, dict) and "custom_id" in body):
        assert failure is not None


def chat(content: object, **message: object) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": "stop"}]}


HOSTILE: dict[str, Callable[[int], object]] = {
    "words": lambda size: "a " * size,
    "brackets": lambda size: "[" * size,
    "braces": lambda size: "{" * size,
    "objects": lambda size: '{"a":' * size,
    "durations": lambda size: "1m" * size,
    "overflow": lambda size: "maximum context length is " * size,
    "stars": lambda size: {"error": {"message": "*" * size}},
    "models": lambda size: {"error": {"message": "model " * size}},
    "titles": lambda size: "<html>" + "<title" * size,
    "spaces": lambda size: " " * size + "x",
    "broken events": lambda size: "data: {\n" * size,
    "nested events": lambda size: 'data: {"a":\n' * size,
    "events": lambda size: 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * (size // 10),
    "objects in a row": lambda size: '{"choices":[{"delta":{"content":"a"}}]}' * (size // 10),
    "strings": lambda size: json.dumps(json.dumps("[" * size)),
    "digits": lambda size: '{"usage":{"prompt_tokens":' + "9" * size + '},"choices":[]}',
    "content of brackets": lambda size: chat("[" * size),
    "content of surrogates": lambda size: chat("\ud800" * size),
    "content of NUL": lambda size: chat("\0" * size + "x" + "\0" * size),
    "a fence": lambda size: chat("", reasoning="```" + " " * size),
    "ends of thoughts": lambda size: chat("", reasoning="</think>" * size),
    "calls": lambda size: chat(None, tool_calls=[{"function": {"arguments": "{"}}] * (size // 10)),
    "details": lambda size: {"error": {"details": [{"loc": ["a"], "msg": "x"}] * (size // 10)}},
    "finish": lambda size: {"choices": [{"message": {"content": "a"}, "finish_reason": "max_" * size}]},
}


def cpu_s(body: object, size: int) -> float:
    """Seconds of CPU that reading it takes; the garbage of the tests before is not collected meanwhile."""
    gc.disable()
    try:
        began = time.thread_time()
        for status in (200, 400):
            headers = {"retry-after": "9" * size, "date": "x" * size}
            classify(provider="any", status=status, headers=headers, body=body)
            read_reply(provider="any", status=status, headers=headers, body=body)
        return time.thread_time() - began
    finally:
        gc.enable()


def grows_with_it_alone(make: Callable[[int], object]) -> bool:
    """Four times the body takes four times as long, and with a pattern that looks at pairs sixteen times."""
    size = 25_000
    one, four = (cpu_s(make(each), each) for each in (size, 4 * size))
    return four < max(10 * one, 1.0)


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_takes_time_that_grows_with_it_alone(make: Callable[[int], object]) -> None:
    # A machine that pauses does so once; a pattern that looks at pairs does so each time.
    assert any(grows_with_it_alone(make) for _ in range(3))


@pytest.mark.parametrize("depth", [90, 110, 300, 900, 5000])
def test_nesting_of_any_depth_is_read_or_left(depth: int) -> None:
    value: object = 1
    objects: object = {"a": 1}
    for _ in range(depth):
        value, objects = [value], {"error": objects}
    bodies: tuple[object, ...] = (
        value,
        objects,
        chat(value),
        chat(objects),
        chat(None, tool_calls=[{"function": {"arguments": objects}}]),
        chat("", reasoning=value, thinking=objects),
        {"error": {"details": [{"loc": [value]}], "metadata": {"headers": {"a": value}, "raw": objects}}},
        {"detail": objects},
        {"usage": objects, "choices": value},
    )
    for body in bodies:
        for status in (200, 400):
            classify(provider="any", status=status, headers={}, body=body)
            reply = read_reply(provider="any", status=status, headers={}, body=body)
            assert len(reply.text) < 10 * 100
