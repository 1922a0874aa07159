"""Tokens and charges as providers tell them: each bounded, and held against the others."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.llm import read_reply
from docmill.llm.types import Reply, Usage
from docmill.money import cost, worst_case


def read(usage: Any, provider: str = "openai-compatible", **fields: Any) -> Reply:
    body = {
        "choices": [{"message": {"content": '{"total": 13.5}'}, "finish_reason": "stop"}],
        "usage": usage,
        **fields,
    }
    return read_reply(provider=provider, status=200, headers={}, body=body)


def chat(given: Any, answered: Any, total: Any = None, **parts: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": given, "completion_tokens": answered}
    usage |= {} if total is None else {"total_tokens": total}
    if "reasoning" in parts:
        usage["completion_tokens_details"] = {"reasoning_tokens": parts["reasoning"]}
    asked = {name: parts[key] for key, name in PARTS.items() if key in parts}
    return usage | ({"prompt_tokens_details": asked} if asked else {})


PARTS = {"cached": "cached_tokens", "written": "cache_write_tokens"}


@pytest.mark.parametrize(
    ("usage", "provider", "right"),
    [
        # the reasoning beside the completion, or within it: the total says which
        (chat(32, 9, 135, reasoning=94), "xai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        (chat(32, 9, 135, reasoning=94), "openai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        (chat(32, 103, 135, reasoning=94), "xai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        (chat(32, 103, 135, reasoning=94), "openai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        # without a total: xAI counts beside, and what is larger than its whole was counted beside
        (chat(32, 100, reasoning=94), "xai", Usage(input_tokens=32, output_tokens=194, reasoning_tokens=94)),
        (chat(32, 100, reasoning=94), "openai", Usage(input_tokens=32, output_tokens=100, reasoning_tokens=94)),
        (chat(32, 9, reasoning=94), "openai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        # thoughts that nobody counts but the total
        (chat(32, 9, 135), "gemini-compat", Usage(input_tokens=32, output_tokens=103)),
        (chat(32, None, 135), "openai", Usage(input_tokens=32, output_tokens=103)),
        (chat(None, 103, 135), "openai", Usage(input_tokens=32, output_tokens=103)),
        # what was cached beside the input, or within
        (chat(4108, 20, 4128, cached=4096), "openai", Usage(input_tokens=4108, output_tokens=20, cached_tokens=4096)),
        (chat(12, 20, 4128, cached=4096), "openai", Usage(input_tokens=4108, output_tokens=20, cached_tokens=4096)),
        (chat(12, 20, cached=4096), "openai", Usage(input_tokens=4108, output_tokens=20, cached_tokens=4096)),
        (chat(5000, 20, 9116, cached=4096), "openai", Usage(input_tokens=9096, output_tokens=20, cached_tokens=4096)),
        (
            chat(12, 9, 4210, cached=4000, written=96, reasoning=93),
            "openai",
            Usage(
                input_tokens=4108, output_tokens=102, cached_tokens=4000, cache_write_tokens=96, reasoning_tokens=93
            ),
        ),
        # a total that a gateway made of the same parts
        (chat(12, 20, 32, cached=4096), "openai", Usage(input_tokens=4108, output_tokens=20, cached_tokens=4096)),
        (chat(32, 9, 41, reasoning=94), "openai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        # one that denies the only way in which the parts make sense
        (chat(12, 20, 40, cached=4096), "openai", Usage(output_tokens=20, cached_tokens=4096)),
        (chat(32, 9, 45, reasoning=94), "openai", Usage(input_tokens=32, reasoning_tokens=94)),
        # a total that is none, or below its parts, counts for nothing
        (chat(100, 20, 0), "openai", Usage(input_tokens=100, output_tokens=20)),
        (chat(100, 20, -1), "openai", Usage(input_tokens=100, output_tokens=20)),
        (chat(100, 20, 110), "openai", Usage(input_tokens=100, output_tokens=20)),
        # a part that alone is more than the total
        (chat(100, 20, 50), "openai", Usage(output_tokens=20)),
        (chat(100, 5000, 120), "openai", Usage(input_tokens=100)),
        # a total of what is fresh, or of what is seen
        (chat(4108, 20, 32, cached=4096), "openai", Usage(input_tokens=4108, output_tokens=20, cached_tokens=4096)),
        (chat(32, 103, 41, reasoning=94), "openai", Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)),
        (chat(100, 20, "many"), "openai", Usage(input_tokens=100, output_tokens=20)),
        # one beyond all answers
        (chat(100, 20, 15_000_000), "openai", Usage(input_tokens=100)),
        # other makers' names
        ({"input_tokens": 5, "output_tokens": 9}, "openai", Usage(input_tokens=5, output_tokens=9)),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2},
            "deepseek",
            Usage(input_tokens=10, output_tokens=2, cached_tokens=8),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 8},
            "openai-compatible",
            Usage(input_tokens=10, output_tokens=2, cached_tokens=8),
        ),
        (
            {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 10},
            "anthropic",
            Usage(input_tokens=45, output_tokens=9, cached_tokens=30, cache_write_tokens=10),
        ),
        (
            # LiteLLM keeps Anthropic's names beside a sum of its own.
            {
                "prompt_tokens": 45,
                "completion_tokens": 9,
                "total_tokens": 54,
                "cache_read_input_tokens": 30,
                "cache_creation_input_tokens": 10,
            },
            "openai-compatible",
            Usage(input_tokens=45, output_tokens=9, cached_tokens=30, cache_write_tokens=10),
        ),
        (
            {
                "input_tokens": 5,
                "output_tokens": 9,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3},
            },
            "anthropic",
            Usage(
                input_tokens=15, output_tokens=9, cached_tokens=0, cache_write_tokens=10, cache_write_1h_tokens=3
            ),
        ),
        (
            {"inputTokens": 5, "outputTokens": 9, "totalTokens": 44, "cacheReadInputTokens": 30},
            "openai-compatible",
            Usage(input_tokens=35, output_tokens=9, cached_tokens=30),
        ),
    ],
)  # fmt: skip
def test_tokens_are_what_the_figures_together_say(usage: Any, provider: str, right: Usage) -> None:
    assert read(usage, provider).usage == right


NONSENSE: tuple[Any, ...] = (
    -1, -0.5, 1.5, float("nan"), float("inf"), 1e300, 10**400, 2**31, 2**63, True, False, "many", "", "-3", "1e3",
    "9" * 400, [], [7], {}, {"tokens": 7}, "0x10", "٣", 30_000_000,
)  # fmt: skip
"""What some send as a count."""


@pytest.mark.parametrize("count", NONSENSE, ids=lambda count: repr(count)[:20])
def test_a_count_that_makes_no_sense_is_unknown_and_never_zero(count: Any) -> None:
    asked = read(chat(count, 20))
    assert (asked.usage.input_tokens, asked.usage.output_tokens) == (None, 20)
    assert asked.warnings == ("the input's count makes no sense: unknown",)
    answered = read(chat(100, count))
    assert (answered.usage.input_tokens, answered.usage.output_tokens) == (100, None)
    parts = read(chat(100, 20, 120, cached=count, written=count, reasoning=count))
    assert parts.usage == Usage(input_tokens=100, output_tokens=20)
    assert len(parts.warnings) == 3


@pytest.mark.parametrize(("count", "right"), [(12.0, 12), ("12", 12), (" 12 ", 12), ("12.0", 12), (0, 0)])
def test_a_count_in_another_type_is_a_count(count: Any, right: int) -> None:
    assert read(chat(count, 20)).usage.input_tokens == right


HOUR_DOUBTED = "how long the cache keeps what was written makes no sense: what may be an hour is taken for one"


def anthropic(written: Any, **lifetimes: Any) -> Any:
    usage = {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 0}
    kept = {
        f"ephemeral_{lifetime.removeprefix('for_')}_input_tokens": told for lifetime, told in lifetimes.items()
    }
    return usage | {"cache_creation_input_tokens": written, "cache_creation": kept}


@pytest.mark.parametrize(
    ("written", "lifetimes", "for_an_hour", "doubted"),
    [
        (10, {"for_5m": 10, "for_1h": 0}, 0, False),
        (10, {"for_5m": 7, "for_1h": 3}, 3, False),
        (10, {"for_1h": 3}, 3, False),
        ("10", {"for_5m": 7.0, "for_1h": " 3 "}, 3, False),
        (0, {"for_5m": 0, "for_1h": 0}, None, False),
        # what a gateway fills in for figures that it was not told
        (10, {"for_5m": 0, "for_1h": 0}, None, False),
        (10, {"for_5m": None, "for_1h": None}, None, False),
        # sums that are none: the most that may be for an hour
        (10, {"for_5m": 5, "for_1h": 3}, 5, True),
        (10, {"for_5m": 10, "for_1h": 10}, 10, True),
        (10, {"for_5m": 7}, 3, True),
        (10, {"for_1h": 11}, 10, True),
        # counts that are none
        (10, {"for_5m": 10, "for_1h": -1}, 0, True),
        (10, {"for_5m": 7, "for_1h": "many"}, 3, True),
        (10, {"for_5m": -7, "for_1h": 3}, 3, True),
        (10, {"for_5m": True, "for_1h": 10**400}, 10, True),
    ],
)  # fmt: skip
def test_what_is_kept_for_an_hour_is_told_apart(
    written: Any, lifetimes: dict[str, Any], for_an_hour: int | None, doubted: bool
) -> None:
    reply = read(anthropic(written, **lifetimes), "anthropic")
    assert (reply.usage.cache_write_tokens, reply.usage.cache_write_1h_tokens) == (int(written), for_an_hour)
    assert reply.warnings == ((HOUR_DOUBTED,) if doubted else ())


@pytest.mark.parametrize("count", [*NONSENSE, [{"a": 1}]], ids=lambda count: repr(count)[:20])
def test_lifetimes_that_make_no_sense_are_not_taken_for_none(count: Any) -> None:
    reply = read(anthropic(10, for_1h=count), "anthropic")
    assert reply.usage.cache_write_1h_tokens == 10, "all of it may be"
    unsummed = read(anthropic(None, for_5m=10, for_1h=count), "anthropic")
    assert unsummed.usage.cache_write_tokens is None, "unknown, and not what is known of it"
    assert reply.warnings == unsummed.warnings == (HOUR_DOUBTED,)


@pytest.mark.parametrize("count", NONSENSE, ids=lambda count: repr(count)[:20])
@pytest.mark.parametrize("part", ["cache_read_input_tokens", "cache_creation_input_tokens"])
def test_an_input_that_lacks_a_part_beside_it_is_unknown(part: str, count: Any) -> None:
    """Nobody knows how many were read or written, and all of them are paid for."""
    told = anthropic(10, for_5m=10, for_1h=0) | {part: count}
    reply = read(told, "anthropic")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, 9)
    assert len(reply.warnings) == 1
    assert read(told | {"total_tokens": 50}, "anthropic").usage.input_tokens == 41, "the total says it"
    assert read(told | {"total_tokens": 14}, "anthropic").usage.input_tokens is None, "a sum of the rest"
    unsummed = {name: each for name, each in told.items() if name != "cache_creation_input_tokens"}
    kept = {"ephemeral_5m_input_tokens": count, "ephemeral_1h_input_tokens": 3}
    assert read(unsummed | {"cache_creation": kept, part: None}, "anthropic").usage.input_tokens is None


def test_a_gateway_tells_lifetimes_with_the_prompts_details() -> None:
    details = {"cache_creation_tokens": 10, "cached_tokens": 30}
    kept = {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4}
    usage = chat(45, 9, 54) | {"prompt_tokens_details": details | {"cache_creation_token_details": kept}}
    right = Usage(
        input_tokens=45, output_tokens=9, cached_tokens=30, cache_write_tokens=10, cache_write_1h_tokens=4
    )
    assert read(usage).usage == right


@pytest.mark.parametrize(
    ("details", "for_an_hour", "doubted"),
    [
        ([{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 6}], 4, False),
        ([{"ttl": "5m", "inputTokens": 10}], 0, False),
        ([], None, False),
        ([{"ttl": "1h", "inputTokens": -4}, {"ttl": "5m", "inputTokens": 6}], 4, True),
        ([{"ttl": ["1h"], "inputTokens": 4}, "1h", None], None, False),
        ({"ttl": "1h"}, None, False),
    ],
)
def test_bedrock_tells_lifetimes_as_a_list(details: Any, for_an_hour: int | None, doubted: bool) -> None:
    told = {"inputTokens": 5, "outputTokens": 9, "totalTokens": 24, "cacheWriteInputTokens": 10}
    reply = read(told | {"cacheDetails": details})
    assert (reply.usage.input_tokens, reply.usage.cache_write_tokens) == (15, 10)
    assert (reply.usage.cache_write_1h_tokens or 0) == (for_an_hour or 0)
    assert bool(reply.warnings) is doubted


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 60), st.integers(), st.floats(), st.text(max_size=4), st.lists(st.none())
)  # fmt: skip


@given(written=ODD, five=ODD, hour=ODD, asked=ODD, cached=ODD)
def test_whatever_is_told_of_a_cache_the_parts_fit_into_their_wholes_and_have_a_price(
    written: Any, five: Any, hour: Any, asked: Any, cached: Any
) -> None:
    told = anthropic(written, for_5m=five, for_1h=hour)
    reply = read(told | {"input_tokens": asked, "cache_read_input_tokens": cached}, "anthropic")
    usage = reply.usage
    assert (
        (usage.cache_write_1h_tokens or 0) <= (usage.cache_write_tokens or 0) <= (usage.input_tokens or 20_000_000)
    )
    paid = cost(usage, provider="anthropic", model="claude-sonnet-4-5").usd
    assert (paid is None) == (usage.input_tokens is None)
    if usage.input_tokens:
        most = worst_case(usage.input_tokens, 9, provider="anthropic", model="claude-sonnet-4-5")
        assert paid is not None
        assert most is not None
        assert paid <= most


def test_no_combination_of_figures_is_absurd() -> None:
    counts = (None, 0, 9, 5000, 1_900_000, 19_000_000, -1, 10**400)
    for asked, answered, total, part in itertools.product(counts, repeat=4):
        usage = read(chat(asked, answered, total, cached=part, reasoning=part)).usage
        told = {name: count for name, count in vars(usage).items() if count is not None}
        assert all(0 <= count <= 20_000_000 for count in told.values())
        assert told.get("output_tokens", 0) <= 2_000_000
        assert told.get("cached_tokens", 0) <= told.get("input_tokens", 20_000_000)
        assert told.get("reasoning_tokens", 0) <= told.get("output_tokens", 2_000_000)


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("x_groq", {"x_groq": {"id": "r", "usage": {"prompt_tokens": 9, "completion_tokens": 4}}}),
        ("usage_metadata", {"usage_metadata": {"input_tokens": 9, "output_tokens": 4}}),
        ("meta", {"meta": {"billed_units": {"input_tokens": 9, "output_tokens": 4}}}),
        ("meta.tokens", {"meta": {"tokens": {"input_tokens": 9.0, "output_tokens": 4.0}}}),
        ("metrics", {"metrics": {"input_token_count": 9, "output_token_count": 4}}),
        ("outside", {"prompt_eval_count": 9, "eval_count": 4}),
    ],
)
def test_a_usage_is_found_where_gateways_put_it(place: str, body: dict[str, Any]) -> None:
    assert read(None, **body).usage == Usage(input_tokens=9, output_tokens=4)


def test_a_usage_of_the_choice_is_found() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    choice = {"message": {"content": "x"}, "finish_reason": "stop", "usage": usage}
    reply = read_reply(provider="openai", status=200, headers={}, body={"choices": [choice]})
    assert reply.usage == Usage(input_tokens=9, output_tokens=4)


def test_geminis_total_says_whether_thoughts_are_within_the_answer() -> None:
    for answered, total in ((3, 53), (43, 53)):
        counts = {"promptTokenCount": 10, "candidatesTokenCount": answered, "thoughtsTokenCount": 40}
        body = {
            "candidates": [{"content": {"parts": [{"text": "x"}]}}],
            "usageMetadata": counts | {"totalTokenCount": total},
        }
        reply = read_reply(provider="gemini", status=200, headers={}, body=body)
        assert reply.usage == Usage(input_tokens=10, output_tokens=43, reasoning_tokens=40)


@pytest.mark.parametrize(
    ("charge", "right"),
    [
        ({"cost": 0.00012}, "0.00012"),
        ({"cost": "0.00012"}, "0.00012"),
        ({"cost": 1.2e-05}, "0.000012"),
        ({"cost": 0}, "0"),
        ({"cost": 0, "is_byok": False}, "0"),
        # an own key: the fee, and what the provider behind it charges
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}, "0.036"),
        ({"cost": 0.0018, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}, "0.0378"),
        ({"cost": 0.0018, "is_byok": "true", "cost_details": {"upstream_inference_cost": "0.036"}}, "0.0378"),
        ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.036}}, "0.036"),
        ({"cost": 0.0018, "cost_details": {"upstream_inference_cost": 0.036}}, "0.0378"),
        (
            {
                "cost": 0.001,
                "is_byok": True,
                "cost_details": {
                    "upstream_inference_prompt_cost": 0.03,
                    "upstream_inference_completions_cost": 0.006,
                },
            },
            "0.037",
        ),
        # an own key of which nobody tells what it was charged
        ({"cost": 0, "is_byok": True}, None),
        ({"cost": 0.0018, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0.0018, "is_byok": True, "cost_details": {"upstream_inference_cost": -1}}, None),
        # OpenRouter's own key: its cost is the whole, and says so with what is behind it
        ({"cost": 0.036, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.036}}, "0.036"),
        ({"cost": 0.036, "cost_details": {"upstream_inference_cost": 0.036}}, "0.036"),
        # Perplexity
        ({"cost": {"total_cost": 0.006, "request_cost": 0.005}}, "0.006"),
        # no cost
        ({"cost": None}, None),
        ({"cost": -0.5}, None),
        ({"cost": float("nan")}, None),
        ({"cost": "inf"}, None),
        ({"cost": 1e300}, None),
        ({"cost": "9" * 400}, None),
        ({"cost": True}, None),
        ({"cost": "free"}, None),
        ({"cost": "1_0"}, None),
        ({"cost": {}}, None),
        ({"cost": [0.1]}, None),
        ({"cost": 200_000}, None),
    ],
)
def test_a_cost_is_all_that_the_call_was_charged_or_unknown(charge: dict[str, Any], right: str | None) -> None:
    reply = read({"prompt_tokens": 9, "completion_tokens": 4, **charge}, "openrouter")
    assert reply.cost_usd == right
    assert bool(reply.warnings) == (right is None and charge["cost"] is not None)
