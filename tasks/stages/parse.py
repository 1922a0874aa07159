"""Parse: the reply becomes a checked value, or the remedy for what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from db import transitions
from db.jobs import Answer, Job
from docmill.errors import Failure, ReplyRejected
from docmill.parsing import accept, correction_problems
from docmill.parsing.cells import cells_apart
from docmill.parsing.citing import cited
from docmill.parsing.evidence import Evidence, evidence
from docmill.parsing.grounding import Document
from prompts import Excerpt, PromptVersion
from tasks import remedies
from tasks.pinning import prompt_of
from tasks.remedies import Setback
from tasks.services import Services
from tasks.stages.context import excerpt_of, found_places
from tasks.stages.seeing import spans_seen
from tasks.stages.step import Step, fail, go_on

__all__ = ["checked", "kept", "parse"]

MOST_NAMED = 5
"""Values that a message names."""


def parse(services: Services, job: Job) -> Step:
    """The claimed job goes on to store with a value, or to another attempt, or to a person."""
    prompt = prompt_of(services, job)
    answer, document = job.answer, job.document
    if answer is None or document is None or document.text is None:
        return _nothing_there(services, job)
    excerpt = excerpt_of(services, job, document.text)
    try:
        found = checked(job, prompt, excerpt, answer)
    except ReplyRejected as rejected:
        doubtful = (
            job if rejected.value is None else replace(job, value=kept(job, prompt, excerpt, rejected.value))
        )
        return _rejected(services, doubtful, prompt, rejected)
    return services.database.run(go_on, job, "store", message_s=services.message_s, value=found)


def checked(job: Job, prompt: PromptVersion, excerpt: Excerpt, answer: Answer) -> dict[str, Any]:
    """The answer that a reply holds, with its places. Raises ReplyRejected."""
    text = (job.document.text if job.document else None) or ""
    media_type = job.document.media_type if job.document else ""
    value = accept(
        answer.text,
        prompt.output_model,
        document=cells_apart(Excerpt.GAP.join([*excerpt.passages, *_seen(job, text)]), media_type),
        passages=excerpt.found,
        unread=bool((job.context or {}).get("unread")),
        finish_reason=answer.finish_reason,
    )
    return _held_against_text(job, prompt, kept(job, prompt, excerpt, value))


def kept(job: Job, prompt: PromptVersion, excerpt: Excerpt, value: object) -> dict[str, Any]:
    """The answer with its places. Also one that was rejected is kept: a person may have to look at it."""
    assert job.document is not None  # noqa: S101 - without it there was nothing to parse
    reading = job.document.reading
    chosen = job.context or {"passages": [(0, len(reading.text))]}
    shown = sorted([*chosen["passages"], *spans_seen(chosen)])
    places = evidence(value, prompt.output_model, reading, shown)
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


def _rejected(services: Services, job: Job, prompt: PromptVersion, rejected: ReplyRejected) -> Step:
    failure = Failure(kind=rejected.kind, message=str(rejected))
    problems = correction_problems(rejected)
    setback = Setback.of(services, job, prompt, failure, answered=True, problems=problems)
    with services.database.work() as connection:
        transitions.keep_value(connection, job)
        return remedies.apply(connection, services, setback)


def _nothing_there(services: Services, job: Job) -> Step:
    failure = Failure(kind="internal", message="the reply or the document is gone: `docmill retry` asks again")
    return services.database.run(fail, job, failure)
