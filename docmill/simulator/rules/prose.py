"""Sentences of running text."""

from __future__ import annotations

import re

__all__ = ["summary"]

SENTENCE = re.compile(r"[^\n.!?][^.!?]{20,400}+[.!?](?=\s|$)")


def summary(document: str, most: int) -> list[dict[str, str]]:
    """The first sentences of the longest paragraphs, each with itself as the place it rests on."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", document) if part.strip()]
    chosen = sorted(sorted(paragraphs, key=len, reverse=True)[:most], key=paragraphs.index)
    found = [match[0].strip() for match in map(SENTENCE.search, chosen) if match]
    distinct = list(dict.fromkeys(found)) or first_lines(document, 1)
    return [{"text": re.sub(r"\s+", " ", sentence)[:600], "quote": sentence[:600]} for sentence in distinct]


def first_lines(document: str, most: int) -> list[str]:
    """The first lines that differ."""
    lines = list(dict.fromkeys(line.strip() for line in document.splitlines() if line.strip()))
    return lines[:most]
