"""A provider to practise on: a real HTTP server whose answers come from rules and not from a language model."""

from docmill.llm.simulator.server import Settings, Simulator

__all__ = ["Settings", "Simulator"]
