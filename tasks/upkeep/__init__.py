"""Upkeep: what keeps jobs moving when messages and workers get lost, and what comes due by itself."""
