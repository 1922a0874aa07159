"""The paid call: admitted by limits and budgets, written down before it is made, settled after it."""
