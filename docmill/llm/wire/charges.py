"""What the provider itself says that a call cost, in USD: OpenRouter, and gateways that do the same.

With one's own key OpenRouter charges its fee alone, and the provider behind it the rest: the cost is both.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from docmill.llm.wire.shapes import amount, at, first, mapping

__all__ = ["charge_in"]

UPSTREAM = "cost_details.upstream_inference_cost"
UPSTREAM_PARTS = (
    ("cost_details.upstream_inference_prompt_cost", "cost_details.upstream_inference_input_cost"),
    ("cost_details.upstream_inference_completions_cost", "cost_details.upstream_inference_output_cost"),
)
CHARGED = ("cost.total_cost", "cost")
"""Perplexity's is an object."""
OWN_KEY = ("usage.is_byok", "body.is_byok")


def charge_in(body: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Reads the cost as a decimal string, and what is wrong with it. None where the provider does not say."""
    usage = mapping(body.get("usage"))
    told = first(usage, CHARGED)
    if told is None:
        return None, ()
    charged = amount(told)
    if charged is None:
        return None, ("the cost that the provider tells makes no sense: unknown",)
    upstream, own_key = _upstream(usage), first({"usage": usage, "body": body}, OWN_KEY)
    # Who does not say whose key it was says so by charging less than the provider behind did.
    if own_key in (True, "true") or (own_key is None and upstream is not None and charged < upstream):
        if upstream is None:
            return None, ("the call was made with an own key, and nobody tells what that was charged: unknown",)
        charged += upstream
    return f"{charged.normalize():f}", ()


def _upstream(usage: Mapping[str, Any]) -> Decimal | None:
    """What the provider behind the gateway charges."""
    if at(usage, UPSTREAM) is not None:
        return amount(at(usage, UPSTREAM))
    parts = [amount(first(usage, paths)) for paths in UPSTREAM_PARTS]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None
