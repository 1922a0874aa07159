"""A provider to practise on: a real HTTP server whose answers come from rules and not from a language model."""

from docmill.simulator.server import Simulator
from docmill.simulator.settings import Settings

__all__ = ["Settings", "Simulator"]
