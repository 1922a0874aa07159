"""A load as the ledger shows it, with the prices that the settings know: what forecasts are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from db.forecasts import Measured
from docmill.errors import Misconfigured
from docmill.llm.types import Usage
from docmill.settings import ModelTable, Settings

__all__ = ["load_of", "prices_of"]


def load_of(settings: Settings, found: Measured) -> dict[str, Any]:
    """The fields of a :class:`docmill.money.Load`. Raises Misconfigured where a model has no known price."""
    prices = prices_of(settings, found.model)
    stronger = prices_of(settings, found.stronger) if found.stronger else prices
    return {
        "requests_per_day": list(found.requests_per_day),
        "input_tokens": [asked for asked, _ in found.tokens],
        "output_tokens": [answered for _, answered in found.tokens],
        "input_price": prices[0],
        "output_price": prices[1],
        "cache_hit_rate": found.cache_hit_rate,
        "retry_rate": found.retry_rate,
        "escalation_rate": found.escalation_rate,
        "escalation_input_price": stronger[0],
        "escalation_output_price": stronger[1],
    }


def prices_of(settings: Settings, model: str) -> tuple[Decimal, Decimal]:
    """USD a million tokens, in and out, of a model by the provider's name. Raises Misconfigured."""
    tables = (settings.models.find(name) for name in settings.models.names())
    known = next((table for table in tables if table.model == model), ModelTable(model=model))
    # Of a call as they are made: a prompt of a million tokens has a price of its own with some providers.
    asked, answered = (
        settings.models.cost(known, Usage(input_tokens=tokens, output_tokens=1000 - tokens)).usd
        for tokens in (1000, 0)
    )
    if asked is None or answered is None:
        raise Misconfigured(
            f"model {model} has no known price: give it one in docmill.toml, or --input-price and others"
        )
    return asked * 1000, answered * 1000
