"""What tokens cost: the user's own prices, the simulator's, corrections of ours, and published list prices.

List prices come from ``genai-prices``, which is bundled data; ``prices.toml`` corrects the rows of it that are out
of date or missing, and a test says when they are not any more. Both are USD.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from docmill.llm.types import Usage

__all__ = ["HOUR_EXTRA", "SIMULATOR_PRICES", "Price", "Processing", "correction", "corrections", "list_price"]

Processing: TypeAlias = Literal["standard", "batch"]


@dataclass(frozen=True, kw_only=True)
class Price:
    """USD for a million tokens."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None = None
    """None: cached input costs what input costs."""
    cache_write_per_million: Decimal | None = None
    """None: input written to the provider's cache costs what input costs."""
    cache_write_1h_per_million: Decimal | None = None
    """For what the cache keeps for an hour; None: by ``HOUR_EXTRA``."""
    batch_share: Decimal | None = None
    """What a call in a batch costs, as a share; None is unknown."""


HOUR_EXTRA = 4
"""How much more an hour in a cache adds to the price of input than five minutes do, where only these are priced:
Anthropic takes 1.25 times the price of input for five minutes, and twice that price for an hour."""


SIMULATOR_PRICES: Mapping[str, Price] = {
    "sim-small": Price(
        input_per_million=Decimal("0.15"),
        cached_input_per_million=Decimal("0.075"),
        output_per_million=Decimal("0.60"),
    ),
    "sim-large": Price(
        input_per_million=Decimal("1.50"),
        cached_input_per_million=Decimal("0.75"),
        output_per_million=Decimal("6.00"),
    ),
    "sim-text": Price(
        input_per_million=Decimal("0.15"),
        cached_input_per_million=Decimal("0.075"),
        output_per_million=Decimal("0.60"),
    ),
    "sim-embed": Price(input_per_million=Decimal("0.02"), output_per_million=Decimal(0)),
}

# The names of genai-prices for those of docmill.toml. Nobody publishes a price for a server of one's own.
PUBLISHED = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "gemini": "google",
    "gemini-compat": "google",
    "google": "google",
    "mistral": "mistral",
    "groq": "groq",
    "together": "together",
    "openrouter": "openrouter",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "cohere": "cohere",
    "cerebras": "cerebras",
    "fireworks": "fireworks",
    "voyage": "voyageai",
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What the list says of a call; None where its tokens are not known."""

    usd: Decimal | None


def list_price(
    usage: Usage, provider: str, model: str, at: datetime | None, processing: Processing = "standard"
) -> Listed | None:
    """Returns what a call costs by the provider's published price; None where the list does not have the model."""
    provider_id = PUBLISHED.get(provider)
    if provider_id is None or usage.input_tokens is None:
        return None
    if processing == "batch":
        provider_id = _batches_like().get(provider_id, provider_id)
    # Imported late: it takes a tenth of a second, and those who bring their own prices need none of it.
    import genai_prices

    def total(usage: Usage, context: dict[str, str] | None) -> genai_prices.types.PriceCalculation:
        counted = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=1 if usage.output_tokens is None else usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
        )
        return genai_prices.calc_price(
            counted, model, provider_id=provider_id, genai_request_timestamp=at, price_context=context
        )

    context = {"processing": "batch"} if processing == "batch" else None
    try:
        found = total(usage, context)
    except LookupError:
        return None
    # An embedding has no output; a chat reply whose output nobody counted has no known cost. And where the list
    # has no price for batches, it silently gives the full one.
    uncounted = usage.output_tokens is None and found.output_price
    no_batch = processing == "batch" and found.total_price and found.total_price == total(usage, None).total_price
    if uncounted or no_batch:
        return Listed(usd=None)
    if not usage.cache_write_1h_tokens or found.model_price.cache_write_1h_mtok is not None:
        return Listed(usd=found.total_price)
    # Having no price for an hour, the list takes it for five minutes.
    without = total(_with_the_hour_fresh(usage), context).total_price
    return Listed(usd=found.total_price + (HOUR_EXTRA - 1) * max(found.total_price - without, Decimal(0)))


def _with_the_hour_fresh(usage: Usage) -> Usage:
    """The usage as if what is kept for an hour had not been written to the cache."""
    brief = (usage.cache_write_tokens or 0) - (usage.cache_write_1h_tokens or 0)
    return replace(usage, cache_write_tokens=brief, cache_write_1h_tokens=0)


def correction(provider: str, model: str, processing: Processing) -> Price | None:
    """The price that holds where the list is wrong."""
    return corrections().get((provider, model, processing))


@cache
def corrections() -> Mapping[tuple[str, str, str], Price]:
    """Every correction, by provider, model and processing."""
    return {
        (row["provider"], model, row.get("processing", "standard")): Price(
            input_per_million=Decimal(row["input"]),
            output_per_million=Decimal(row["output"]),
            cached_input_per_million=Decimal(row["cached_input"]) if "cached_input" in row else None,
        )
        for row in _table()["correction"]
        for model in row["models"]
    }


@cache
def _batches_like() -> Mapping[str, str]:
    """Providers whose batches cost what another's do, and that the list has no batch prices for."""
    return {row["provider"]: row["like"] for row in _table()["batch"]}


@cache
def _table() -> dict[str, list[dict[str, str]]]:
    return tomllib.loads(files("docmill.money").joinpath("prices.toml").read_text(encoding="utf-8"))
