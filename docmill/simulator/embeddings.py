"""Embeddings by rule: words hashed into a vector, so that texts which share words lie near each other.

The shape and the limits are those of OpenAI's endpoint. No model is behind them: synonyms do not meet.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

__all__ = ["DIMENSIONS", "MOST_TOKENS_EACH", "MOST_TOKENS_TOGETHER", "inputs_in", "rows", "vector"]

DIMENSIONS = 256
MOST_DIMENSIONS = 3072
MOST_INPUTS = 2048
MOST_TOKENS_EACH = 8192
MOST_TOKENS_TOGETHER = 300_000
STEM = 5
"""Letters of a word's beginning that count beside the word, so that its forms lie near it."""
SHORT_WORD = 3
"""Words up to here are mostly grammar, and weigh little."""


def inputs_in(body: Mapping[str, Any]) -> list[str] | str:
    """The texts to embed; what is wrong with the request, where something is."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return "'input' must be a string or an array of strings"
    if not texts or not all(texts):
        return "'input' must not be empty, nor hold an empty string"
    if len(texts) > MOST_INPUTS:
        return f"'input' has {len(texts)} items, at most {MOST_INPUTS} are allowed"
    dimensions = body.get("dimensions", DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= MOST_DIMENSIONS:
        return f"'dimensions' must be a whole number from 1 to {MOST_DIMENSIONS}"
    if body.get("encoding_format", "float") not in ("float", "base64"):
        return "'encoding_format' must be float or base64"
    return texts


def rows(texts: Sequence[str], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ``data`` of the answer: one vector a text, of unit length."""
    dimensions = body.get("dimensions", DIMENSIONS)
    written = _as_base64 if body.get("encoding_format") == "base64" else list
    vectors = (vector(text, dimensions) for text in texts)
    return [
        {"object": "embedding", "index": at, "embedding": written(values)} for at, values in enumerate(vectors)
    ]


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A unit vector; the same text gives the same one everywhere."""
    values = [0.0] * dimensions
    for feature, weight in _features(text).items():
        hashed = crc32(feature.encode("utf-8", "surrogatepass"))
        values[hashed % dimensions] += weight if hashed & 0x8000_0000 else -weight
    length = math.sqrt(sum(value * value for value in values))
    # A text without words, or whose words cancel out, still has a direction.
    return [value / length for value in values] if length else [1.0] + [0.0] * (dimensions - 1)


def _features(text: str) -> dict[str, float]:
    counts: Counter[str] = Counter(re.findall(r"\w+", text.casefold()))
    features: dict[str, float] = {}
    for word, times in counts.items():
        weight = (1 + math.log(times)) * (0.25 if len(word) <= SHORT_WORD else 1.0)
        features[word] = weight
        if len(word) > STEM:
            features[f"{word[:STEM]}…"] = features.get(f"{word[:STEM]}…", 0.0) + weight / 2
    return features


def _as_base64(values: Sequence[float]) -> str:
    """Little-endian float32, as OpenAI writes them."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
