"""Embeddings as providers write them: OpenAI's shape, which nearly all share, and Ollama's. Pure."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from docmill.errors import Misconfigured
from docmill.llm.types import Reply, Usage
from docmill.llm.wire import wire_for
from docmill.llm.wire.addresses import joined
from docmill.llm.wire.shapes import label, mapping, mappings, number, sequence, whole

__all__ = ["body", "reply", "url", "vectors"]

CHAT = "/chat/completions"
OLLAMA = "/api/embed"
LARGEST = 65_504.0
"""Of a float of two bytes, as vectors are kept."""
MOST_DIMENSIONS = 16_000
"""Of a vector that pgvector keeps."""


def url(provider: str, base_url: str) -> str:
    """The address. Raises Misconfigured for a provider that has no embeddings, or none of these shapes."""
    if provider.lower() == "ollama":
        return joined(base_url, OLLAMA)
    path = wire_for(provider).path
    if not path.endswith(CHAT):
        raise Misconfigured(
            f"{provider} has no embeddings that docmill can ask for: name another provider's model as "
            f"DOCMILL_EMBEDDING, or 'wordllama', which needs none"
        )
    return joined(base_url, path.removesuffix(CHAT) + "/embeddings")


def body(provider: str, model: str, texts: Sequence[str]) -> dict[str, Any]:
    """The JSON to send; no key beyond what every server of the shape knows."""
    if provider.lower() == "ollama":
        # It cuts long texts without a word unless told not to.
        return {"model": model, "input": list(texts), "truncate": False}
    return {"model": model, "input": list(texts)}


def vectors(answer: object, count: int) -> list[list[float]] | None:
    """One vector a text, in the texts' order; None where the answer has not one for each, all of one length."""
    whole_answer = mapping(answer)
    rows = mappings(whole_answer.get("data"))
    found = [_vector(row.get("embedding")) for row in _in_order(rows)]
    found = found or [_vector(each) for each in sequence(whole_answer.get("embeddings"))]
    lengths = {len(each) for each in found}
    fits = len(found) == count and len(lengths) == 1 and 0 not in lengths
    return found if fits else None


def _in_order(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows by their index, as they came where none has one; none where the indexes leave it in doubt."""
    if all(row.get("index") is None for row in rows):
        return rows
    by_index = {whole(row.get("index")): row for row in rows}
    return [by_index[at] for at in range(len(rows))] if set(by_index) == set(range(len(rows))) else []


def reply(answer: object) -> Reply:
    """Returns what the answer tells beside the vectors; never raises."""
    told = mapping(answer)
    usage = mapping(told.get("usage"))
    tokens = next(
        (
            count
            for count in map(
                whole, (usage.get("prompt_tokens"), usage.get("total_tokens"), told.get("prompt_eval_count"))
            )
            if count is not None
        ),
        None,
    )
    return Reply(
        text="",
        usage=Usage(input_tokens=tokens, output_tokens=0),
        model_echoed=label(told.get("model")) or None,
        request_id=label(told.get("id")) or None,
    )


def _vector(value: object) -> list[float]:
    """Numbers, or little-endian float32 in base64; empty for all else, and for what no half of a float holds."""
    numbers = _from_base64(value) if isinstance(value, str) else _numbers(sequence(value))
    fits = len(numbers) <= MOST_DIMENSIONS and all(abs(each) <= LARGEST for each in numbers)
    return numbers if fits else []


def _numbers(values: Sequence[object]) -> list[float]:
    """Reads what are all numbers; none where one is not."""
    if any(isinstance(each, str) or number(each) is None for each in values):
        return []
    return [found for each in values if (found := number(each)) is not None]


def _from_base64(value: str) -> list[float]:
    try:
        packed = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    except (binascii.Error, struct.error, ValueError):
        return []
