"""Distinct short texts out of the measuring data: its sentences, and windows of its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

__all__ = ["passages", "questions"]

SENTENCE = re.compile(r"(?<=[.!?。])\s+|\n\s*\n")
SENTENCES_AT_ONCE = (1, 2, 3)
WINDOWS = ((48, 7), (24, 5), (80, 11), (36, 3), (60, 5), (30, 4), (16, 4))
"""Words of a window, and from one window's beginning to the next."""
SHORTEST = 25
"""Characters; less says nothing."""


def passages(data: Path, count: int) -> list[str]:
    """So many texts, none twice; fewer where the data have no more."""
    bodies = [body for body in _bodies(data) if body.strip()]
    return list(islice(_distinct(_pieces(bodies)), count))


def questions(data: Path) -> list[str]:
    """What people and models have asked about these texts, in three languages."""
    found = [row["query"] for row in _rows(data / "2_rag/cranfield/dev/gold.jsonl")]
    for row in _rows(data / "2_rag/xquad/dev/gold.jsonl"):
        found += [row["question"], row["question_de"], row["question_zh"]]
    return found + [row["question"] for row in _rows(data / "2_rag/chunk_spans/dev/gold.jsonl")]


def _bodies(data: Path) -> Iterator[str]:
    for row in _rows(data / "2_rag/cranfield/corpus.jsonl"):
        yield row["text"]
    for row in _rows(data / "2_rag/xquad/dev/corpus.jsonl"):
        yield from (row["text"], row["text_de"], row["text_zh"])
    for path in sorted((data / "2_rag/chunk_spans/corpus").iterdir()):
        yield path.read_text(encoding="utf-8")
    for path in sorted((data / "1_structured_fields").glob("*/dev/files/*.txt")):
        yield path.read_text(encoding="utf-8", errors="replace")
    for path in sorted((data / "1_classification").glob("*/dev/gold.jsonl")):
        yield from (row["text"] for row in _rows(path))


def _pieces(bodies: list[str]) -> Iterator[str]:
    for size in SENTENCES_AT_ONCE:
        for body in bodies:
            sentences = [sentence for sentence in SENTENCE.split(body) if sentence.strip()]
            yield from (" ".join(sentences[at : at + size]) for at in range(len(sentences) - size + 1))
    words = [body.split() for body in bodies]
    for width, step in WINDOWS:
        for each in words:
            yield from (" ".join(each[at : at + width]) for at in range(0, max(1, len(each) - width), step))


def _distinct(pieces: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for piece in pieces:
        plain = " ".join(piece.split())
        if len(plain) >= SHORTEST and plain not in seen:
            seen.add(plain)
            yield plain


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
