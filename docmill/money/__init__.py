"""What calls cost, what they may cost, and what a month of them will: pure, in exact Decimals.

Unknown is None, never zero.
"""

from __future__ import annotations

from docmill.money.cost import (
    DAYS_A_MONTH,
    Cost,
    Forecast,
    Load,
    Spread,
    ahead,
    amount,
    cost,
    forecast,
    worst_case,
)
from docmill.money.prices import SIMULATOR_PRICES, Price

__all__ = [
    "DAYS_A_MONTH",
    "SIMULATOR_PRICES",
    "Cost",
    "Forecast",
    "Load",
    "Price",
    "Spread",
    "ahead",
    "amount",
    "cost",
    "forecast",
    "worst_case",
]
