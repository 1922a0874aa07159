"""Which passages of one document say most about what is asked; in memory, without a database.

The same two scores as in a search of a collection: BM25 over stems, and the cosine of vectors. The document itself
says how rare a word is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import Stemmer
from numpy.typing import NDArray

from docmill.retrieval.languages import language_of, searchable

__all__ = ["Embed", "ranked"]

Embed: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""A vector of length 1 for each text."""
Scores: TypeAlias = NDArray[np.float64]

WORD = re.compile(r"\w+")
SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those and or nor but if than then so as of to in on at by for from with"
        " within into under up out about between any some such no not only own same each all both more most"
        " other is are was were be been being am do does did has have had having will would shall should can"
        " could may might must it its he she they them their his her him we us our you your i my me who whom"
        " whose which what when where why how there here",
    )
)
"""Of English questions. They say nothing, and some of them (``should`` in a contract) are rare in a document."""
SATURATION, LENGTH = 1.2, 0.75
"""BM25's k1 and b."""
WORDS_SHARE = 0.6
"""Of the score; what it is between 0.4 and 0.8 makes no difference that was seen."""
NEIGHBOUR_SHARE = 0.3
"""Of a passage's score comes from those beside it, if they are better: a clause often goes on there."""


def ranked(passages: Sequence[str], asked: Sequence[str], *, embed: Embed) -> list[int]:
    """The passages' places, the most telling first.

    With several questions each has its best passage before any has its second.
    """
    if not passages:
        return []
    words = _word_scores(passages, asked)
    vectors = _vector_scores(passages, asked, embed)
    scores = np.array([_blurred(each) for each in WORDS_SHARE * words + (1 - WORDS_SHARE) * vectors])
    places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    best_place, best_score = places.min(axis=0), scores.max(axis=0)
    return sorted(range(len(passages)), key=lambda at: (best_place[at], -best_score[at], at))


def _word_scores(passages: Sequence[str], asked: Sequence[str]) -> Scores:
    """BM25 of each passage (columns) for each question (rows), as a share of the question's best."""
    stems = _Stems("\n".join(passages))
    counts = [Counter(stems.of(passage)) for passage in passages]
    lengths = np.array([each.total() for each in counts], dtype=np.float64)
    norm = SATURATION * (1 - LENGTH + LENGTH * lengths / max(1.0, lengths.mean()))
    scores = np.zeros((len(asked), len(passages)))
    for row, question in enumerate(asked):
        for stem in dict.fromkeys(stems.of(question)):
            found = np.array([each[stem] for each in counts], dtype=np.float64)
            scores[row] += _rarity(found) * found * (SATURATION + 1) / (found + norm)
    best = scores.max(axis=1, keepdims=True)
    shares: Scores = np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)
    return shares


def _rarity(found: Scores) -> float:
    having = np.count_nonzero(found)
    return math.log(1 + (len(found) - having + 0.5) / (having + 0.5))


def _vector_scores(passages: Sequence[str], asked: Sequence[str], embed: Embed) -> Scores:
    vectors = np.asarray(embed([*asked, *passages]), dtype=np.float64)
    cosines: Scores = vectors[: len(asked)] @ vectors[len(asked) :].T
    return cosines


def _blurred(scores: Scores) -> Scores:
    beside = np.pad(scores, 1, mode="edge")
    blurred: Scores = (1 - NEIGHBOUR_SHARE) * scores + NEIGHBOUR_SHARE * (beside[:-2] + beside[2:]) / 2
    return np.maximum(scores, blurred)


class _Stems:
    """Words without their endings, in the language of a text."""

    def __init__(self, text: str) -> None:
        language = language_of(text)
        self._stemmer = Stemmer.Stemmer(language) if language in Stemmer.algorithms() else None

    def of(self, text: str) -> list[str]:
        words = [word for word in WORD.findall(searchable(text).casefold()) if word not in SMALL_WORDS]
        stems: list[str] = self._stemmer.stemWords(words) if self._stemmer else words
        return stems
