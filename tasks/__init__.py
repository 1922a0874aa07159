"""The chain: one module a stage, and upkeep."""
