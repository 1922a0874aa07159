"""An answer held against its prompt and its document, in this process or in one apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from db.jobs import Answer, Job
from prompts import Excerpt, PromptVersion
from tasks.verdicts import Question, Span, Verdict, verdict_on

__all__ = ["Judge", "judge", "question_of"]


class Judge(Protocol):
    """Says what a reply is worth."""

    def __call__(self, job: Job, prompt: PromptVersion, excerpt: Excerpt, answer: Answer) -> Verdict:
        """The verdict. What the prompt's own code raises goes on; a judge in a process apart raises
        NotNow, TookLong, Died and Broke (:mod:`tasks.apart.judge`).
        """


def judge(job: Job, prompt: PromptVersion, excerpt: Excerpt, answer: Answer) -> Verdict:
    """The judge in this process: a check of the prompt's that hangs, crashes or swells does so here."""
    return verdict_on(question_of(job, excerpt, answer), prompt)


def question_of(job: Job, excerpt: Excerpt, answer: Answer) -> Question:
    """What a verdict on the answer depends on, beside the prompt."""
    document = job.document
    assert document is not None  # noqa: S101 - without it there was nothing to ask a model about
    text = document.text or ""
    chosen = job.context or {"passages": [(0, len(text))]}
    return Question(
        reply=answer.text,
        finish_reason=answer.finish_reason,
        text=text,
        media_type=document.media_type,
        pages=tuple(document.pages or ()),
        layout=bytes(document.layout or b""),
        shown=_spans(chosen["passages"]),
        seen=_spans(chosen.get("seen", ())),
        unread=tuple(chosen.get("unread") or ()),
        found=excerpt.found,
        found_at=tuple((each["document_id"], each["start"]) for each in chosen.get("found", ())),
    )


def _spans(told: Iterable[Any]) -> tuple[Span, ...]:
    return tuple((start, end) for start, end in told)
