"""Context: which parts of the document the model is shown, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db import jobs
from db.jobs import Job
from docmill.errors import Failure
from docmill.llm.tokens import count, count_messages, shortened
from docmill.settings import Models
from prompts import Excerpt, PromptVersion
from tasks.services import Services
from tasks.steps import Onward, Step, Stop

__all__ = ["context", "passages"]


def context(services: Services, job: Job) -> Step:
    """Chooses passages that fit the prompt's and the model's limits, and records what does not."""
    prompt = services.registry.get(job.prompt, job.version)
    document = job.document
    if document is None or document.text is None:
        return _gone(services, job)
    chosen = choose(document.text, job, prompt, services.settings.models)
    with services.autocommit.connect() as connection:
        moved = jobs.advance(connection, job, "complete", message_s=services.message_s, context=chosen)
    return Onward() if moved else Stop("stale")


def choose(text: str, job: Job, prompt: PromptVersion, models: Models) -> dict[str, Any]:
    """The record of the choice: ``passages`` as offsets in the text, tokens, and characters left out."""
    frame = count_messages(prompt.render(Excerpt(passages=("",)), job.params))
    spans = shortened(text, max(1, _input_limit(job, prompt, models) - frame))
    kept = sum(end - start for start, end in spans)
    return {
        "passages": spans,
        "tokens": frame + sum(count(text[start:end]) for start, end in spans),
        "left_out_chars": len(text) - kept,
    }


def passages(text: str, chosen: Mapping[str, Any]) -> Excerpt:
    """The chosen passages' words."""
    return Excerpt(passages=tuple(text[start:end] for start, end in chosen["passages"]))


def _input_limit(job: Job, prompt: PromptVersion, models: Models) -> int:
    """In tokens; the last cut that a provider made necessary included."""
    limits = prompt.config.limits
    window = models.get(job.model or prompt.config.ladder[0]).context_tokens
    known = [limits.max_input_tokens]
    if window is not None:
        known.append(window - limits.max_output_tokens)
    last = job.history[-1] if job.history else {}
    if last.get("remedy") == "cut_context":
        known.append(last.get("target_tokens") or int((job.context or {}).get("tokens", 0)) // 2)
    return max(1, min(known))


def _gone(services: Services, job: Job) -> Step:
    failure = Failure(kind="unreadable", message="the document was deleted")
    with services.autocommit.connect() as connection:
        jobs.end(connection, job, "failed", failure=failure, detail="empty")
    return Stop("failed: unreadable")
