"""What the simulator charges: a table of its own, in whole billionths of a dollar, and not docmill's prices.

A test compares this bill with docmill's ledger line by line, so the two share no code.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

__all__ = ["CHAT_MODELS", "EMBEDDING_MODELS", "Bill"]

NANODOLLARS = {
    "sim-small": (150, 600),
    "sim-large": (1500, 6000),
    "sim-text": (150, 600),
    "sim-embed": (20, 0),
}
"""For each model: a token in, a token out."""
CHAT_MODELS = ("sim-small", "sim-large", "sim-text")
"""The last one takes no pictures."""
EMBEDDING_MODELS = ("sim-embed",)


class Bill:
    """The calls that were answered, in their order; a call is billed also when its caller has gone."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []

    def charge(self, call_id: str | None, model: str, *, tokens_in: int, tokens_out: int) -> None:
        """One line, under the id that the caller sent."""
        price_in, price_out = NANODOLLARS[model]
        cost = Decimal(tokens_in * price_in + tokens_out * price_out).scaleb(-9)
        self._lines.append(
            {
                "id": call_id,
                "model": model,
                "input_tokens": tokens_in,
                "cached_tokens": 0,
                "output_tokens": tokens_out,
                "cost_usd": f"{cost:f}",
            }
        )

    def as_json_lines(self) -> str:
        return "".join(json.dumps(line) + "\n" for line in self._lines)

    def totals(self) -> str:
        """Calls, tokens and cost so far, as JSON."""
        cost = sum((Decimal(line["cost_usd"]) for line in self._lines), Decimal(0))
        tokens = {key: sum(line[key] for line in self._lines) for key in ("input_tokens", "output_tokens")}
        return json.dumps({"calls": len(self._lines), **tokens, "cost_usd": str(cost)})
