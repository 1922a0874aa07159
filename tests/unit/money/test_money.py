from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.llm.types import Usage
from docmill.money import Cost, Load, Price, ahead, amount, cost, forecast, worst_case

PRICE = Price(
    input_per_million=Decimal(2),
    cached_input_per_million=Decimal("0.5"),
    cache_write_per_million=Decimal("2.5"),
    output_per_million=Decimal(8),
)
USAGE = Usage(input_tokens=1000, output_tokens=100)


def test_the_simulators_models_have_built_in_prices() -> None:
    usage = Usage(input_tokens=1001, output_tokens=10, cached_tokens=1)
    small = cost(usage, provider="simulator", model="sim-small")
    large = cost(usage, provider="simulator", model="sim-large")
    assert small == Cost(usd=Decimal("0.000156075"), source="simulator")
    assert large.usd == Decimal("0.00156075")
    embedded = cost(Usage(input_tokens=50), provider="simulator", model="sim-embed")
    assert embedded.usd == Decimal("0.000001")


def test_the_users_own_price_wins() -> None:
    own = {"gpt-4o-mini": PRICE}
    assert cost(USAGE, provider="openai", model="gpt-4o-mini", prices=own) == Cost(
        usd=Decimal("0.0028"), source="own"
    )
    assert (
        cost(USAGE, provider="simulator", model="sim-small", prices={"simulator/sim-small": PRICE}).source == "own"
    )


def test_the_price_of_a_providers_model_wins_over_that_of_the_model_anywhere() -> None:
    dear = replace(PRICE, input_per_million=Decimal(20))
    own = {"m": dear, "here/m": PRICE}
    assert cost(USAGE, provider="here", model="m", prices=own).usd == Decimal("0.0028")
    assert cost(USAGE, provider="elsewhere", model="m", prices=own).usd == Decimal("0.0208")


def test_the_model_that_answered_is_priced_before_the_one_that_was_asked() -> None:
    cheap = Price(input_per_million=Decimal(1), output_per_million=Decimal(1))
    own = {"reasoner": PRICE, "flash": cheap}
    answered = cost(USAGE, provider="deepseek", model="reasoner", model_echoed="flash", prices=own)
    assert answered.usd == Decimal("0.0011")
    dated = cost(USAGE, provider="x", model="alias", model_echoed="flash-2026-01-31", prices=own)
    assert dated.usd == Decimal("0.0011")


def test_cached_and_written_tokens_are_counted_once() -> None:
    usage = Usage(input_tokens=1000, cached_tokens=600, cache_write_tokens=300, output_tokens=10)
    expected = (100 * Decimal(2) + 600 * Decimal("0.5") + 300 * Decimal("2.5") + 10 * Decimal(8)) / 1_000_000
    assert cost(usage, provider="x", model="m", prices={"m": PRICE}).usd == expected


def test_published_prices_are_known_offline() -> None:
    found = cost(USAGE, provider="openai", model="gpt-4o-mini", model_echoed="gpt-4o-mini-2024-07-18")
    assert found == Cost(usd=Decimal("0.00021"), source="genai-prices")
    morning = cost(USAGE, provider="openai", model="gpt-4o-mini", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert morning == found


@pytest.mark.parametrize(
    ("usage", "provider", "model"),
    [
        (USAGE, "openai", "no-such-model"),
        (USAGE, "vllm", "gpt-4o-mini"),
        (USAGE, "nobody", "gpt-4o-mini"),
        (Usage(), "openai", "gpt-4o-mini"),
        (Usage(input_tokens=5), "openai", "gpt-4o-mini"),
        (Usage(output_tokens=5), "openai", "gpt-4o-mini"),
        (Usage(input_tokens=5), "simulator", "sim-small"),
    ],
)
def test_unknown_is_never_zero(usage: Usage, provider: str, model: str) -> None:
    assert cost(usage, provider=provider, model=model).usd is None


NONSENSE: tuple[Any, ...] = (-1, 1.5, 12.0, float("nan"), float("inf"), True, "12", [], 2**31, 10**400)


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-4o"), ("x", "m"), ("simulator", "sim-small")])
@pytest.mark.parametrize("field", sorted(vars(USAGE)))
@pytest.mark.parametrize("count", NONSENSE, ids=lambda count: repr(count)[:20])
def test_tokens_that_make_no_sense_have_no_known_cost(provider: str, model: str, field: str, count: Any) -> None:
    usage = Usage(**{"input_tokens": 1000, "output_tokens": 100, field: count})
    assert cost(usage, provider=provider, model=model, prices={"m": PRICE}).usd is None
    said = cost(usage, provider=provider, model=model, reported_usd="0.01")
    assert said == Cost(usd=Decimal("0.01"), source="provider")


@pytest.mark.parametrize(
    "parts",
    [
        {"cached_tokens": 1001},
        {"cache_write_tokens": 1001},
        {"cache_write_1h_tokens": 1},
        {"cache_write_tokens": 300, "cache_write_1h_tokens": 301},
        {"cached_tokens": 600, "cache_write_tokens": 600},
        {"reasoning_tokens": 101},
    ],
)
def test_a_part_that_is_larger_than_its_whole_makes_the_cost_unknown(parts: dict[str, int]) -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, **parts)
    for provider, model in (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("x", "m")):
        assert cost(usage, provider=provider, model=model, prices={"m": PRICE}).usd is None


@pytest.mark.parametrize("reported", ["nan", "inf", "-1", "1e300", "free", "", "100001"])
def test_a_reported_cost_that_makes_no_sense_is_as_good_as_unreported(reported: str) -> None:
    found = cost(USAGE, provider="openai", model="gpt-4o-mini", reported_usd=reported)
    assert found == Cost(usd=Decimal("0.00021"), source="genai-prices")
    assert cost(USAGE, provider="vllm", model="m", reported_usd=reported).usd is None


@given(
    figures=st.dictionaries(
        st.sampled_from(sorted(vars(USAGE))),
        st.integers() | st.floats() | st.text(max_size=5) | st.none() | st.sampled_from(NONSENSE),
    ),
    model=st.text(max_size=20) | st.sampled_from(["gpt-4o", "claude-sonnet-4-5", "m"]),
    reported=st.none() | st.text(max_size=10) | st.decimals().map(str),
)
def test_a_cost_is_known_or_unknown_and_never_raises(
    figures: dict[str, Any], model: str, reported: str | None
) -> None:
    for provider in ("openai", "anthropic", "gemini", "openrouter", "vllm"):
        found = cost(Usage(**figures), provider=provider, model=model, prices={"m": PRICE}, reported_usd=reported)
        assert found.usd is None or (found.usd.is_finite() and 0 <= found.usd <= 100_000)


def test_an_embedding_has_no_output_and_a_cost_all_the_same() -> None:
    found = cost(Usage(input_tokens=1_000_000), provider="openai", model="text-embedding-3-small")
    assert found == Cost(usd=Decimal("0.02"), source="genai-prices")


def test_what_the_provider_says_goes_before_what_others_publish() -> None:
    said = cost(USAGE, provider="openrouter", model="x/y", reported_usd="0.00012")
    assert said == Cost(usd=Decimal("0.00012"), source="provider")


def test_ten_decimals_are_kept() -> None:
    odd = Price(input_per_million=Decimal("0.00012345"), output_per_million=Decimal(0))
    assert cost(Usage(input_tokens=1), provider="x", model="m", prices={"m": odd}).usd == Decimal("1E-10")
    round_sum = cost(Usage(input_tokens=10_000_000), provider="x", model="m", prices={"m": PRICE_OF_ONE}).usd
    assert str(round_sum) == "10"


PRICE_OF_ONE = Price(input_per_million=Decimal(1), output_per_million=Decimal(0))


def test_the_worst_case_knows_no_cache_and_fills_the_output() -> None:
    assert worst_case(1000, 500, provider="simulator", model="sim-small") == Decimal("0.00045")
    # an hour in the cache, at 2 + 4 * (2.5 - 2)
    assert worst_case(1000, 0, provider="x", model="m", prices={"m": PRICE}) == Decimal("0.004")
    assert worst_case(1000, 500, provider="x", model="m") is None


counts = st.integers(0, 10**7)


@given(fresh=counts, cached=counts, output=counts, limit=counts)
def test_no_call_costs_more_than_its_worst_case(fresh: int, cached: int, output: int, limit: int) -> None:
    usage = Usage(input_tokens=fresh + cached, cached_tokens=cached, output_tokens=min(output, limit))
    spent = cost(usage, provider="simulator", model="sim-large").usd
    most = worst_case(fresh + cached, limit, provider="simulator", model="sim-large")
    assert spent is not None
    assert most is not None
    assert spent <= most


per_million = st.integers(0, 20).map(Decimal)
maybe = st.none() | per_million
prices = st.builds(
    Price,
    input_per_million=per_million,
    output_per_million=per_million,
    cached_input_per_million=maybe,
    cache_write_per_million=maybe,
    cache_write_1h_per_million=maybe,
)


@given(price=prices, parts=st.lists(counts, min_size=4, max_size=4), output=counts)
def test_no_call_costs_more_than_its_worst_case_whatever_the_own_price_says(
    price: Price, parts: list[int], output: int
) -> None:
    _, cached, brief, lasting = parts
    usage = Usage(
        input_tokens=sum(parts),
        cached_tokens=cached,
        cache_write_tokens=brief + lasting,
        cache_write_1h_tokens=lasting,
        output_tokens=output,
    )
    spent = cost(usage, provider="x", model="m", prices={"m": price}).usd
    most = worst_case(sum(parts), output, provider="x", model="m", prices={"m": price})
    assert spent is not None
    assert most is not None
    assert spent <= most


@given(price=prices, tokens=counts, output=counts)
def test_the_worst_case_is_the_dearest_of_what_can_happen_to_the_input(
    price: Price, tokens: int, output: int
) -> None:
    fresh = Usage(input_tokens=tokens, output_tokens=output)
    written = replace(fresh, cache_write_tokens=tokens)
    each = (fresh, replace(fresh, cached_tokens=tokens), written, replace(written, cache_write_1h_tokens=tokens))
    costs = [cost(usage, provider="x", model="m", prices={"m": price}).usd for usage in each]
    assert worst_case(tokens, output, provider="x", model="m", prices={"m": price}) == max(
        filter(None, costs), default=0
    )


# --- forecast ---

SIMPLE: dict[str, Any] = {
    "requests_per_day": 1000,
    "input_tokens": 3000,
    "output_tokens": 500,
    "input_price": 0.15,
    "output_price": 0.60,
}


def test_a_plain_load_is_the_plain_sum() -> None:
    told = forecast(Load(**SIMPLE))
    assert told.day.p50 == told.day.p95 == Decimal("0.75")
    assert told.month.p50 == told.month.p95 == Decimal("22.5")
    assert told.formula == (
        "1,000 requests a day × 1 scale × (1 − 0 cached) × (1 + 0 retries + 0 escalated)"
        " × (3,000 input tokens × $0.15 + 500 output tokens × $0.6) / 1,000,000"
        " = $0.75 a day; × 30 days = $22.50 a month"
    )


def test_rates_and_scale_are_in_the_sum() -> None:
    told = forecast(Load(**SIMPLE, cache_hit_rate=0.2, retry_rate=0.05, escalation_rate=0.1, scale=Decimal("2.5")))
    expected = Decimal("0.75") * Decimal("0.8") * Decimal("1.15") * Decimal("2.5")
    assert told.day.p50 == expected
    assert told.month.p50 == 30 * expected
    assert expected < told.day.p95 < expected * Decimal("1.05")
    assert told.month.p95 < 30 * told.day.p95


def test_all_cached_costs_nothing_and_nothing_asked_neither() -> None:
    for change in ({"cache_hit_rate": 1}, {"requests_per_day": 0}, {"scale": 0}):
        told = forecast(Load(**(SIMPLE | change)))
        assert told.month.p50 == told.month.p95 == 0


def test_an_escalation_may_have_a_price_of_its_own() -> None:
    load = Load(**SIMPLE, escalation_rate=0.1, escalation_input_price=1.5, escalation_output_price=6)
    told = forecast(load)
    assert told.day.p50 == Decimal("1.5")
    assert "0.1 escalated × (3,000 input tokens × $1.5" in told.formula


def test_samples_widen_the_spread_and_keep_the_middle() -> None:
    told = forecast(Load(**(SIMPLE | {"input_tokens": [1000, 2000, 6000], "output_tokens": [100, 500, 900]})))
    assert told.day.p50 == Decimal("0.75")
    assert told.day.p95 > told.day.p50
    assert "3,000 (mean of 3) input tokens" in told.formula


def test_sampled_days_are_drawn_the_same_way_for_a_seed() -> None:
    load = Load(**(SIMPLE | {"requests_per_day": [500, 1000, 1500]}))
    told = forecast(load, seed=1)
    assert told == forecast(load, seed=1)
    assert told.day.p50 == pytest.approx(Decimal("0.75"), rel=Decimal("0.05"))
    assert Decimal("1.125") <= told.day.p95 <= Decimal("1.8")
    assert told.month.p50 == pytest.approx(Decimal("22.5"), rel=Decimal("0.06"))
    assert Decimal(24) < told.month.p95 < 30 * told.day.p95


def test_the_spread_is_what_brute_force_finds() -> None:
    import random
    import statistics

    chance = random.Random(7)

    def one_day() -> float:
        total = 0.0
        for _ in range(200):
            if chance.random() >= 0.3:
                total += 0.00075 * (1 + (chance.random() < 0.2))
        return total

    days = statistics.quantiles([one_day() for _ in range(1500)], n=20)
    told = forecast(Load(**(SIMPLE | {"requests_per_day": 200}), cache_hit_rate=0.3, escalation_rate=0.2))
    assert float(told.day.p50) == pytest.approx(days[9], rel=0.01)
    assert float(told.day.p95) == pytest.approx(days[18], rel=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"requests_per_day": -1},
        {"input_tokens": []},
        {"input_price": float("nan")},
        {"cache_hit_rate": 1.5},
        {"output_price": "cheap"},
    ],
)
def test_a_load_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change)) + "|no number"):
        forecast(Load(**(SIMPLE | change)))


@given(
    requests=st.integers(0, 10**6) | st.lists(st.integers(0, 10**5), min_size=1, max_size=5),
    tokens=st.integers(0, 10**5) | st.lists(st.integers(0, 10**5), min_size=1, max_size=5),
    hit=st.floats(0, 1),
    retry=st.floats(0, 2),
)
def test_p95_is_never_below_the_middle(requests: Any, tokens: Any, hit: float, retry: float) -> None:
    load = Load(
        **(SIMPLE | {"requests_per_day": requests, "input_tokens": tokens}),
        cache_hit_rate=hit,
        retry_rate=retry,
    )
    # The module has the name of the function that the package shows.
    with patch.object(import_module("docmill.money.cost"), "DRAWS", 50):
        told = forecast(load)
    assert 0 <= told.day.p50 <= told.day.p95
    assert 0 <= told.month.p50 <= told.month.p95


@pytest.mark.parametrize("part", ["cached_tokens", "cache_write_tokens"])
def test_a_part_above_its_whole_is_no_price_below_zero(part: str) -> None:
    """Fresh tokens are what is left of the input: fewer than none would take from the sum."""
    usage = Usage(input_tokens=100, output_tokens=1000, **{part: 101})
    assert cost(usage, provider="simulator", model="sim-small").usd is None
    whole = Usage(input_tokens=100, output_tokens=1000, **{part: 100})
    assert cost(whole, provider="simulator", model="sim-small").usd is not None


def test_parts_that_are_more_together_than_the_whole_are_no_price() -> None:
    usage = Usage(input_tokens=100, output_tokens=1, cached_tokens=60, cache_write_tokens=60)
    assert cost(usage, provider="simulator", model="sim-small").usd is None


@pytest.mark.parametrize(("share", "usd"), [("0.5", "0.75"), (None, None)])
def test_a_batch_costs_its_share_and_one_that_nobody_told_is_unknown(share: str | None, usd: str | None) -> None:
    price = Price(
        input_per_million=Decimal(1), output_per_million=Decimal(1), batch_share=Decimal(share) if share else None
    )
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    found = cost(usage, provider="p", model="m", prices={"m": price}, processing="batch")
    assert found.usd == (Decimal(usd) if usd else None)
    assert cost(usage, provider="p", model="m", prices={"m": price}).usd == Decimal("1.5")


@pytest.mark.parametrize(
    ("given", "told"),
    [("-1", "negative"), ("1e10", "above"), ("0.00000000001", "finer"), ("nan", "finite"), ("ten", "no number")],
)
def test_an_amount_that_nobody_means_is_refused_with_its_reason(given: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        amount(given)
    assert amount(" $12.50 ") == Decimal("12.5")


@pytest.mark.parametrize("requests", [100, [80, 120, 100] * 10], ids=["a number", "days"])
def test_the_coming_days_are_summed_and_thirty_of_them_are_the_month(requests: Any) -> None:
    load = Load(
        requests_per_day=requests,
        input_tokens=[300, 500],
        output_tokens=[30, 50],
        input_price=Decimal("0.15"),
        output_price=Decimal("0.6"),
    )
    days = ahead(load, 30)
    month = forecast(load).month
    assert len(days) == 30
    assert all(one.p50 < next_one.p50 and one.p95 < next_one.p95 for one, next_one in pairwise(days))
    assert all(day.p50 <= day.p95 for day in days)
    for name in ("p50", "p95"):
        assert float(getattr(days[-1], name)) == pytest.approx(float(getattr(month, name)), rel=0.1)
    with pytest.raises(ValueError, match="must be zero or more"):
        ahead(replace(load, input_price=-1), 3)
