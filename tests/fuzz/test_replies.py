"""Replies of providers: whatever they hold, they are read and judged, and what comes of it can be stored."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Failure
from docmill.llm import classify, read_reply
from docmill.llm.limits import told_left, told_limits
from docmill.llm.types import Reply
from docmill.llm.wire.bodies import opened
from docmill.llm.wire.replies import is_no_reply
from docmill.money import cost
from docmill.storable import is_storable
from tests.fuzz.examples import examples
from tests.fuzz.hostile import json_bodies, texts, values
from tests.fuzz.replies import SHAPES, bodies, streams, wrappings

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PROVIDERS = st.sampled_from(
    ["openai", "openai-compatible", "anthropic", "gemini", "gemini-compat", "ollama", "xai", "openrouter", "?"]
)
STATUSES = st.sampled_from(
    [200] * 8 + [-1, 0, 204, 302, 400, 401, 403, 404, 413, 422, 424, 429, 500, 503, 529, 999]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("Retry-After", "retry-after-ms", "date", "x-request-id", "x-ratelimit-remaining-tokens"),
            *("x-ratelimit-reset-tokens", "x-ratelimit-limit-tokens", "ratelimit", "content-type"),
        ]
    ),
    texts() | st.sampled_from(["1e300", "0", "30", "Sun, 29 Nov 2026 12:00:30 GMT", "1795953630"]),
    max_size=4,
)
ERRORS: tuple[Any, ...] = (
    {"error": {"message": "Rate limit reached", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
    [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "26s"}], "message": "x"}}],
    {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs", "input": 1}]},
    {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
    {
        "error": {
            "message": "Provider returned error",
            "metadata": {"raw": '{"error": "x"}', "headers": {"a": "1"}},
        }
    },
    {"code": "Throttling", "message": "…", "request_id": "r"},
    {"success": False, "errors": [{"code": 1, "message": "x"}], "result": None},
    {"custom_id": "a", "response": {"status_code": 429, "body": {"error": {"message": "x"}}}, "error": None},
    {"object": "batch", "status": "failed", "errors": {"data": [{"code": "token_limit_exceeded"}]}},
)
REAL: tuple[Any, ...] = (
    *(body for shape in SHAPES.values() for _, _, _, body in bodies(shape)),
    *(body for _, _, _, body in streams()),
    *ERRORS,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container of a body with each of its keys."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in steps:
        yield value, step
        yield from places(member)


@st.composite
def altered(draw: st.DrawFn) -> Any:
    """A real reply in which fields are gone, renamed, of another type, or wild; wrapped, and perhaps cut."""
    body = copy.deepcopy(draw(st.sampled_from(REAL)))
    for _ in range(draw(st.integers(0, 3))):
        found = list(places(body))
        if not found:
            break
        holder, step = draw(st.sampled_from(found))
        match draw(st.sampled_from(["drop", "rename", "replace", "replace", "wrap"])):
            case "drop":
                del holder[step]
            case "rename" if isinstance(holder, dict):
                holder[draw(texts())] = holder.pop(step)
            case "wrap":
                holder[step] = draw(st.sampled_from([[holder[step]], {"value": holder[step]}, str(holder[step])]))
            case _:
                holder[step] = draw(values())
    wrapped = draw(st.sampled_from(list(ways(body))))
    return wrapped[: draw(st.integers(0, len(wrapped)))] if draw(cuts) and isinstance(wrapped, str) else wrapped


cuts = st.sampled_from([False, False, False, True])


def ways(body: Any) -> Iterator[Any]:
    yield body
    if isinstance(body, dict):
        try:
            yield from (wrapped for _, wrapped in wrappings(body))
        except (ValueError, RecursionError):
            return  # a number too long, or nesting too deep, for Python's own writer of JSON


def whatever() -> st.SearchStrategy[Any]:
    keys = (
        "choices",
        "message",
        "content",
        "usage",
        "error",
        "candidates",
        "output",
        "done",
        "text",
        "detail",
        "id",
    )
    shaped = st.dictionaries(st.sampled_from(keys) | texts(), values(), max_size=4)
    return st.one_of(altered(), altered(), altered(), values(), texts(), json_bodies(shaped), shaped)


def assert_is_storable(value: object) -> None:
    assert is_storable(json.dumps(value, ensure_ascii=False, allow_nan=False))
    assert "\\u0000" not in json.dumps(value, ensure_ascii=False).replace("\\\\u0000", "")


def assert_can_be_kept(reply: Reply, failure: Failure | None) -> None:
    usage = vars(reply.usage)
    assert_is_storable({**vars(reply), "usage": usage, "warnings": list(reply.warnings)})
    assert all(count is None or 0 <= count <= 20_000_000 for count in usage.values())
    assert len(reply.text) <= 2_000_000
    assert len(reply.model_echoed or "") <= 200
    assert len(reply.request_id or "") <= 200
    if failure is not None:
        assert_is_storable({**vars(failure), "repair": failure.repair and vars(failure.repair)})
        assert len(failure.message) <= 500
        assert len(failure.code or "") <= 100
        assert failure.retry_after_s is None or 0 <= failure.retry_after_s <= 86_400
        assert all(
            count is None or 0 <= count <= 20_000_000 for count in (failure.limit_tokens, failure.actual_tokens)
        )


@examples(600)
@given(provider=PROVIDERS, status=STATUSES, headers=HEADERS, body=whatever())
def test_whatever_comes_is_judged_and_can_be_kept(
    provider: str, status: int, headers: Mapping[str, str], body: object
) -> None:
    failure = classify(provider=provider, status=status, headers=headers, body=body, now=NOW)
    reply = read_reply(provider=provider, status=status, headers=headers, body=body)
    assert_can_be_kept(reply, failure)
    is_full = bool(reply.text.strip()) and reply.finish_reason == "stop"
    assert is_full == (failure is None) or (failure is None and not reply.text) or 300 <= status < 400
    found = cost(reply.usage, provider=provider, model="gpt-4o", reported_usd=reply.cost_usd)
    assert found.usd is None or 0 <= found.usd <= 100_000
    told_limits(provider, headers)
    told_left(provider, headers)


@examples(300)
@given(body=altered())
def test_what_is_judged_good_has_an_answer(body: object) -> None:
    failure = classify(provider="openai-compatible", status=200, headers={}, body=body)
    if failure is None and not is_no_reply(opened(body)):
        reply = read_reply(provider="openai-compatible", status=200, headers={}, body=body)
        assert reply.text.strip()
        assert reply.finish_reason == "stop"
