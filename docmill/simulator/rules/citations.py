"""Answers out of numbered passages: the sentence that has most of the question's words, or none."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["answer", "passages_in"]

PASSAGE_BEGINS = re.compile(r'<passage-([0-9a-f]{12}) number="\d+">\n')
SENTENCE = re.compile(r"[^\s.!?][^.!?\n]*(?:[.!?](?=\s|$)|$|\n)", re.MULTILINE)
SMALL = frozenset(
    re.findall(
        r"\w+",
        "a an the of to in on at by for from with and or is are was were be been do does did has have"
        " had how what when where which who whom whose why can could may must shall should will would it"
        " its this that these those there i we you they he she my our your their any some not if as",
    )
)
STEM = 5
"""Letters of a word that count."""
ENOUGH = 0.5
"""Of the question's words, by their weight, that a sentence and its passage must have to answer it."""


def passages_in(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The passages of a request, in the order of their numbers."""
    return [passage for message in messages for passage in _fenced(str(message.get("content")))]


def _fenced(content: str) -> Iterator[str]:
    """What stands between the fences of a request; they have all the same mark, and a passage may hold others."""
    begins = PASSAGE_BEGINS.search(content)
    fence = f"\n</passage-{begins[1]}>" if begins else ""
    while begins:
        ends = content.find(fence, begins.end())
        if ends < 0:
            return
        yield content[begins.end() : ends]
        begins = PASSAGE_BEGINS.search(content, ends)


def answer(question: str, passages: Sequence[str]) -> dict[str, Any]:
    """The best sentence as an answer, cited; or that the passages do not hold one."""
    asked = _stems(question)
    weights = _weights(asked, passages)
    best = max(_scored(asked, weights, passages), default=(0.0, 0, ""), key=lambda each: each[0])
    score, number, sentence = best
    if score < ENOUGH:
        return {"answered": False, "answer": None, "citations": []}
    return {
        "answered": True,
        "answer": " ".join(sentence.split()),
        "citations": [{"passage": number, "quote": sentence}],
    }


def _scored(
    asked: frozenset[str], weights: Mapping[str, float], passages: Sequence[str]
) -> Iterator[tuple[float, int, str]]:
    """For each sentence the share of the question's words that it has; those of its passage count a third."""
    total = sum(weights.values()) or 1.0
    for number, passage in enumerate(passages, start=1):
        around = _stems(passage)
        for found in SENTENCE.finditer(passage):
            words = _stems(found[0])
            near = sum(weights[each] for each in asked & words)
            far = sum(weights[each] for each in asked & around - words)
            yield (near + far / 3) / total, number, found[0].strip()


def _weights(asked: frozenset[str], passages: Sequence[str]) -> dict[str, float]:
    """Rare words say more; one that no passage has says most."""
    having = Counter(stem for passage in passages for stem in asked & _stems(passage))
    return {stem: math.log(2 + len(passages) / (1 + having[stem])) for stem in asked}


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:STEM] for word in re.findall(r"\w+", text.casefold()) if word not in SMALL)
