"""An answer held against its prompt and its document: with the place of each value, or with what is wrong."""

from __future__ import annotations

from typing import Any

from db.jobs import Answer, Job
from docmill.parsing import accept
from docmill.parsing.cells import cells_apart
from docmill.parsing.citing import cited
from docmill.parsing.evidence import Evidence, evidence
from docmill.parsing.grounding import Document
from prompts import Excerpt, PromptVersion
from tasks.stages.excerpt import found_places
from tasks.stages.seeing import spans_seen

__all__ = ["checked", "kept"]

MOST_NAMED = 5
"""Values that a message names."""


def checked(job: Job, prompt: PromptVersion, excerpt: Excerpt, answer: Answer) -> dict[str, Any]:
    """Checks the answer that a reply holds, and finds its places. Raises ReplyRejected."""
    text = (job.document.text if job.document else None) or ""
    media_type = job.document.media_type if job.document else ""
    document = Document(cells_apart(Excerpt.GAP.join([*excerpt.passages, *_seen(job, text)]), media_type))
    value = accept(
        answer.text,
        prompt.output_model,
        document=document,
        passages=excerpt.found,
        unread=bool((job.context or {}).get("unread")),
        finish_reason=answer.finish_reason,
    )
    return _held_against_text(job, prompt, kept(job, prompt, excerpt, value, known=document))


def kept(
    job: Job, prompt: PromptVersion, excerpt: Excerpt, value: object, *, known: Document | None = None
) -> dict[str, Any]:
    """The answer with its places. Also one that was rejected is kept: a person may have to look at it.

    ``known`` is what the answer was held against.
    """
    assert job.document is not None  # noqa: S101 - without it there was nothing to parse
    reading = job.document.reading
    chosen = job.context or {"passages": [(0, len(reading.text))]}
    shown = sorted([*chosen["passages"], *spans_seen(chosen)])
    places = evidence(value, prompt.output_model, reading, shown, known=known)
    if excerpt.found:
        places = (places or {}) | _citations(job, excerpt, value)
    return {"answer": value, "evidence": places}


def _seen(job: Job, text: str) -> list[str]:
    """What OCR found on pages that were shown as pictures alone: the model's reading is held against it."""
    return [text[start:end] for start, end in spans_seen(job.context or {})]


def _held_against_text(job: Job, prompt: PromptVersion, kept: dict[str, Any]) -> dict[str, Any]:
    """The answer with a word at each value that was read from a picture, where no text is there to say the same.

    Unless the prompt accepts such values, a person looks at them.
    """
    unread = (job.context or {}).get("unread") or ()
    places = kept["evidence"] or {}
    doubtful = [place for place, found in places.items() if found.get("found") is False] if unread else []
    if not doubtful:
        return kept
    marked = {**places, **{place: {**places[place], "unchecked": True} for place in doubtful}}
    kept = {**kept, "evidence": marked}
    if prompt.config.input.unchecked == "accept":
        return kept
    pages = ", ".join(map(str, unread))
    where = f"read from a picture (page {pages}), where no text is there to hold it against"
    message = "; ".join(f"{place}: {where}" for place in doubtful[:MOST_NAMED])
    return {**kept, "doubt": {"kind": "wrong", "message": message}}


def _citations(job: Job, excerpt: Excerpt, value: object) -> Evidence:
    """Where the quotes of citations stand, each in a document of the collection."""
    at = found_places(job.context or {})
    return {
        place: {
            "document_id": at[number].document_id,
            "start": at[number].start + start,
            "end": at[number].start + end,
        }
        for place, number, start, end in cited(value, [Document(passage) for passage in excerpt.found])
    }
