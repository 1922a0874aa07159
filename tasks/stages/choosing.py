"""Chooses what fits of a document, and of passages of a collection; what does not is on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.search import Hit
from docmill.llm.tokens import Counter
from docmill.retrieval.fitting import fitting, left_out
from docmill.retrieval.offline import embed_offline
from prompts import Excerpt, PromptVersion
from tasks.stages.window import Room

__all__ = ["choose", "those_that_fit"]


def choose(text: str, room: Room, asked: Sequence[str], found: Sequence[Hit] = ()) -> dict[str, Any]:
    """Chooses passages, and returns the record: ``passages`` as offsets in the text, tokens, what was left out.

    A document that fits beside what was ``found`` in a collection is shown whole; of another, the passages that
    say most about what is ``asked``.
    """
    numbered = Excerpt(passages=(), found=tuple(hit.text for hit in found))
    numbered_tokens = room.counter.estimate(numbered.numbered) if found else 0
    spans = fitting(
        text,
        asked,
        tokens=room.tokens - room.counter.scaled(numbered_tokens),
        counter=room.counter,
        embed=embed_offline,
        gap_tokens=room.counter.count(Excerpt.GAP),
    )
    rest = left_out(text, spans)
    shown = Excerpt(passages=tuple(text[start:end] for start, end in spans))
    return {
        "passages": spans,
        **room.record(room.counter.estimate(shown.text) + numbered_tokens),
        "left_out": rest,
        "left_out_chars": sum(end - start for start, end in rest),
        "found": [{"document_id": hit.document_id, "start": hit.start, "end": hit.end} for hit in found],
    }


def those_that_fit(found: Sequence[Hit], text: str, room: Room, prompt: PromptVersion) -> list[Hit]:
    """The best of them that fit: the document has half of the room, as far as it needs it."""
    left = min(
        prompt.config.retrieval.tokens,
        room.tokens - min(room.counter.count(text), room.tokens // 2),
    )
    kept: list[Hit] = []
    for hit in found:
        if _numbered_tokens([*kept, hit], room.counter) <= left:
            kept.append(hit)
    return kept


def _numbered_tokens(hits: Sequence[Hit], counter: Counter) -> int:
    return counter.count(Excerpt(passages=(), found=tuple(hit.text for hit in hits)).numbered)
