"""A reply held against its prompt and its document: the place of each value, or what is wrong with them.

Pure, and light to import: it is done in a process apart too (:mod:`tasks.apart`), where nothing of a job's row,
of its database or of the settings is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from docmill.errors import FailureKind, ReplyRejected
from docmill.parsing import accept, correction_problems
from docmill.parsing.cells import cells_apart
from docmill.parsing.citing import cited
from docmill.parsing.evidence import Evidence, evidence
from docmill.parsing.grounding import Document
from docmill.reading.values import reading_as_kept
from prompts import Excerpt, PromptVersion

__all__ = ["Question", "Rejected", "Span", "Verdict", "verdict_on"]

MOST_NAMED = 5
"""Values that a message names."""

Span: TypeAlias = tuple[int, int]
"""Where words stand in a document's text: from the first character up to the second."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A reply, and all that it is held against."""

    reply: str
    finish_reason: str
    text: str
    """The document's."""
    media_type: str
    pages: Sequence[int]
    """Where in the text each page begins."""
    layout: bytes
    """Where its words stand on its pages, packed; empty where nobody knows."""
    shown: Sequence[Span]
    """What the model was shown of the text."""
    seen: Sequence[Span]
    """Where the texts stand of pages that were shown as pictures alone."""
    unread: Sequence[int]
    """Pages that were shown, and of which there is no text to hold a value against."""
    found: Sequence[str]
    """Passages of a collection."""
    found_at: Sequence[tuple[int, int]]
    """Of each the id of its document, and where in that it begins."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Why a reply is no answer."""

    kind: FailureKind
    message: str
    problems: tuple[str, ...]
    """One line each, for the correction prompt."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a reply is worth; as it would be written into its job's row."""

    kept: dict[str, Any] | None
    """``answer`` and ``evidence``, and ``doubt`` where a person has to look at it. Of a rejected reply the value
    as far as it was understood, which a person may have to look at; None where there is none."""
    rejected: Rejected | None = None


def verdict_on(question: Question, prompt: PromptVersion) -> Verdict:
    """Checks the answer that a reply holds, and finds its places. What the prompt's own checks raise goes on."""
    try:
        return Verdict(kept=_checked(question, prompt))
    except ReplyRejected as error:
        problems = tuple(correction_problems(error))
        rejected = Rejected(kind=error.kind, message=str(error), problems=problems)
        value = error.value
    return Verdict(kept=None if value is None else _kept(question, prompt, value), rejected=rejected)


def _checked(question: Question, prompt: PromptVersion) -> dict[str, Any]:
    """Raises ReplyRejected."""
    spans = (*question.shown, *question.seen)
    shown = Excerpt.GAP.join(question.text[start:end] for start, end in spans)
    document = Document(cells_apart(shown, question.media_type))
    value = accept(
        question.reply,
        prompt.output_model,
        document=document,
        passages=tuple(question.found),
        unread=bool(question.unread),
        finish_reason=question.finish_reason,
    )
    return _held_against_text(question, prompt, _kept(question, prompt, value, known=document))


def _kept(
    question: Question, prompt: PromptVersion, value: object, *, known: Document | None = None
) -> dict[str, Any]:
    """The answer with its places. ``known`` is what the answer was held against."""
    reading = reading_as_kept(question.text, question.media_type, pages=question.pages, layout=question.layout)
    shown = sorted([*question.shown, *question.seen])
    places = evidence(value, prompt.output_model, reading, shown, known=known)
    if question.found:
        places = (places or {}) | _citations(question, value)
    return {"answer": value, "evidence": places}


def _held_against_text(question: Question, prompt: PromptVersion, kept: dict[str, Any]) -> dict[str, Any]:
    """The answer with a word at each value that was read from a picture, where no text is there to say the same.

    Unless the prompt accepts such values, a person looks at them.
    """
    places = kept["evidence"] or {}
    doubtful = [place for place, found in places.items() if found.get("found") is False] if question.unread else []
    if not doubtful:
        return kept
    marked = {**places, **{place: {**places[place], "unchecked": True} for place in doubtful}}
    kept = {**kept, "evidence": marked}
    if prompt.config.input.unchecked == "accept":
        return kept
    pages = ", ".join(map(str, question.unread))
    where = f"read from a picture (page {pages}), where no text is there to hold it against"
    message = "; ".join(f"{place}: {where}" for place in doubtful[:MOST_NAMED])
    return {**kept, "doubt": {"kind": "wrong", "message": message}}


def _citations(question: Question, value: object) -> Evidence:
    """Where the quotes of citations stand, each in a document of the collection."""
    places = {}
    for place, number, start, end in cited(value, [Document(passage) for passage in question.found]):
        document, begins = question.found_at[number]
        places[place] = {"document_id": document, "start": begins + start, "end": begins + end}
    return places
