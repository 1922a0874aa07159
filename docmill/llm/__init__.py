"""Talking to models: wire formats, failures, transport, shared limits, cache."""

from docmill.llm.classification import classify
from docmill.llm.wire.replies import read_reply

__all__ = ["classify", "read_reply"]
