from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Misconfigured
from docmill.llm.types import Usage
from docmill.money import amount, cost, worst_case
from docmill.money.cost import MOST_USD
from docmill.money.prices import Price, Processing, correction, corrections, list_price
from docmill.settings import load_settings

MILLION = Usage(input_tokens=1_000_000, output_tokens=0)
WRITTEN = Usage(input_tokens=0, output_tokens=1_000_000)


@pytest.mark.parametrize("key", list(corrections()), ids="/".join)
def test_a_correction_is_needed_until_the_list_has_caught_up(key: tuple[str, str, Processing]) -> None:
    provider, model, processing = key
    ours = correction(*key)
    assert ours is not None
    listed = [list_price(usage, provider, model, None, processing) for usage in (MILLION, WRITTEN)]
    theirs = tuple(each.usd if each else None for each in listed)
    assert theirs != (ours.input_per_million, ours.output_per_million), "caught up: take it out of prices.toml"


def test_azures_batches_are_needed_until_the_list_has_them() -> None:
    import genai_prices

    usage = genai_prices.Usage(input_tokens=1_000_000)
    listed = [
        genai_prices.calc_price(usage, "gpt-4o", provider_id="azure", price_context=context).total_price
        for context in (None, {"processing": "batch"})
    ]
    assert listed[0] == listed[1], "caught up: take Azure out of prices.toml"


@pytest.mark.parametrize(
    ("provider", "model", "processing", "usd"),
    [
        ("mistral", "mistral-large-latest", "standard", "0.5"),
        ("mistral", "mistral-large-2512", "standard", "0.5"),
        ("mistral", "mistral-large-2411", "standard", "2"),  # the old one has its old price
        ("openai", "text-embedding-3-small", "standard", "0.02"),
        ("openai", "text-embedding-3-small", "batch", "0.01"),
        ("openai", "gpt-4o", "batch", "1.25"),
        ("azure", "gpt-4o", "batch", "1.25"),
        ("azure", "gpt-4o", "standard", "2.5"),
        ("anthropic", "claude-haiku-4-5", "batch", "0.5"),
    ],
)
def test_a_million_tokens_in_cost(provider: str, model: str, processing: Processing, usd: str) -> None:
    assert cost(MILLION, provider=provider, model=model, processing=processing).usd == Decimal(usd)


def test_a_batch_that_the_list_has_no_price_for_is_unknown() -> None:
    assert cost(MILLION, provider="mistral", model="mistral-large-latest", processing="batch").usd is None
    assert cost(MILLION, provider="groq", model="llama-3.1-8b-instant", processing="batch").usd is None
    assert cost(MILLION, provider="groq", model="llama-3.1-8b-instant").usd is not None


def test_a_batch_at_ones_own_price_is_unknown_unless_its_share_is_told() -> None:
    price = Price(input_per_million=Decimal(2), output_per_million=Decimal(4))
    told = Price(input_per_million=Decimal(2), output_per_million=Decimal(4), batch_share=Decimal("0.5"))
    for each, usd in ((price, None), (told, Decimal(1))):
        assert cost(MILLION, provider="x", model="m", prices={"m": each}, processing="batch").usd == usd


def test_cached_written_and_reasoning_tokens_have_their_prices() -> None:
    usage = Usage(
        input_tokens=3_000_000, cached_tokens=1_000_000, cache_write_tokens=1_000_000, output_tokens=1_000_000,
        reasoning_tokens=900_000,
    )  # fmt: skip
    # 1 fresh at 3, 1 read at 0.30, 1 written at 3.75, and 1 out at 15, thinking included.
    small = Usage(**{name: (value or 0) // 100 for name, value in vars(usage).items()})
    found = cost(small, provider="anthropic", model="claude-3-7-sonnet-latest").usd
    assert found == Decimal("22.05") / 100


@pytest.mark.parametrize(
    ("provider", "model", "processing", "usd"),
    [
        ("anthropic", "claude-sonnet-4-5", "standard", "0.255"),
        ("anthropic", "claude-sonnet-4-5", "batch", "0.1275"),
        ("anthropic", "claude-3-5-haiku-latest", "standard", "0.068"),
        # the list has no price for an hour here: four times what five minutes cost more than input
        ("google", "claude-3-5-haiku", "standard", "0.068"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "standard", "0.255"),
        # writing to the cache costs nothing more than input
        ("openai", "gpt-4o", "standard", "0.15"),
    ],
)
def test_what_is_kept_for_an_hour_costs_twice_its_input(
    provider: str, model: str, processing: Processing, usd: str
) -> None:
    # 20,000 fresh ones, 20,000 for five minutes at 1.25 times the price, and 20,000 for an hour at 2 times.
    usage = Usage(input_tokens=60_000, cache_write_tokens=40_000, cache_write_1h_tokens=20_000, output_tokens=0)
    assert cost(usage, provider=provider, model=model, processing=processing).usd == Decimal(usd)


@pytest.mark.parametrize(
    ("told", "usd"),
    [
        ("", "3"),
        ('cache_write = "3.75"', "6"),
        ('cache_write = "3.75", cache_write_1h = "5"', "5"),
        ('cache_write = "1"', "1"),
        ('cache_write_1h = "7"', "7"),
        ('cache_write_1h = "0"', "0"),
    ],
)
def test_an_hour_in_the_cache_at_ones_own_price(tmp_path: Path, told: str, usd: str) -> None:
    found = configured(tmp_path, f'price = {{ input = "3", output = "15"{", " if told else ""}{told} }}')
    usage = Usage(
        input_tokens=1_000_000, cache_write_tokens=1_000_000, cache_write_1h_tokens=1_000_000, output_tokens=0
    )
    assert cost(usage, provider="x", model="m", prices=found).usd == Decimal(usd)
    most = worst_case(1_000_000, 0, provider="x", model="m", prices=found)
    assert most == max(Decimal(3), Decimal(usd))


def test_no_price_of_the_list_is_above_the_worst_case_where_all_is_cached() -> None:
    """A list may have what is read from a cache dearer than what is not."""
    from genai_prices import data_snapshot

    listed = [(each.id, model.id) for each in data_snapshot.get_snapshot().providers for model in each.models]
    cached = Usage(input_tokens=1000, cached_tokens=1000, output_tokens=10)
    above = []
    for provider, model in listed:
        spent = cost(cached, provider=provider, model=model).usd
        most = worst_case(1000, 10, provider=provider, model=model)
        if spent is not None and (most is None or spent > most):
            above.append((provider, model))
    assert above == []


def configured(tmp_path: Path, price: str) -> dict[str, Price]:
    path = tmp_path / "docmill.toml"
    path.write_text(f'[models.small]\nmodel = "m"\n{price}\n', encoding="utf-8")
    settings = load_settings(config=path, llm_url="http://127.0.0.1:1")
    return dict(settings.models.get("small").prices)


@pytest.mark.parametrize(
    ("price", "message"),
    [
        ('price = { inptu = "1", output = "2" }', "models.small.price.inptu: there is no such name"),
        ('price = { input = "1" }', "models.small.price.output: Field required"),
        ('price = { input = "-1", output = "2" }', "models.small.price.input: .*greater than or equal to 0"),
        ('price = { input = "nan", output = "2" }', "models.small.price.input: .*finite number"),
        ('price = { input = inf, output = "2" }', "models.small.price.input: .*finite number"),
        ('price = { input = "2500000", output = "2" }', "none is above 10,000"),
        ('price = { input = "0.00000015", output = "2" }', "looks like one for a single token"),
        ('price = { input = true, output = "2" }', "a price is a number"),
        ('price = { input = "cheap", output = "2" }', "models.small.price.input: .*valid decimal"),
        ('price = { input = "1", output = "2", batch = "2" }', "less than or equal to 1"),
        ('price = { input = "1", output = }', "cannot be read"),
        ('[prices."openai/m"]\ninput = "1"\noutput = "-2"', "prices.openai/m.output"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, price: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message) as refused:
        configured(tmp_path, price)
    assert "docmill.toml" in str(refused.value)


def test_prices_stand_under_a_model_or_in_a_table_of_their_own(tmp_path: Path) -> None:
    table = '[prices.m]\ninput = 9\noutput = 9\n[prices."x/echoed"]\ninput = "1"\noutput = 0.15'
    found = configured(tmp_path, f'price = {{ input = 0, output = "2.5" }}\n{table}')
    assert (found["m"].input_per_million, found["m"].output_per_million) == (Decimal(0), Decimal("2.5"))
    answered = cost(WRITTEN, provider="x", model="m", model_echoed="echoed", prices=found)
    assert (answered.usd, answered.source) == (Decimal("0.15"), "own")


@pytest.mark.parametrize(
    ("given", "usd"), [("1", "1"), (" $0.50 ", "0.5"), ("0", "0"), ("1e2", "100"), ("1e9", "1000000000")]
)
def test_an_amount_is_what_a_person_writes(given: str, usd: str) -> None:
    assert amount(given) == Decimal(usd)


@pytest.mark.parametrize("given", ["", "-1", "nan", "inf", "1e10", "0.00000000001", "one", "1,50", "1 000"])
def test_an_absurd_amount_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"number|negative|above|finer"):
        amount(given)


@given(st.text(max_size=20))
def test_whatever_is_written_is_an_amount_or_refused(given: str) -> None:
    try:
        found = amount(given)
    except ValueError:
        return
    assert 0 <= found <= MOST_USD
