"""Talking to models: wire formats, failures, transport, shared limits, cache, simulator."""

from docmill.llm.classification import classify

__all__ = ["classify"]
