"""Context: which parts of the document the model is shown, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db import jobs, models
from db.jobs import Job
from docmill.errors import Failure
from docmill.llm.tokens import counter_for, shortened
from docmill.settings import ModelTable
from prompts import Excerpt, PromptVersion
from tasks.services import Services
from tasks.steps import Onward, Step, Stop
from tasks.window import Room, ladder_model, room_for

__all__ = ["context", "passages"]


def context(services: Services, job: Job) -> Step:
    """Chooses passages that fit the prompt's and the model's limits, and records what does not."""
    prompt = services.registry.get(job.prompt, job.version)
    document = job.document
    if document is None or document.text is None:
        return _gone(services, job)
    room = _room(services, job, prompt)
    if room.tokens == 0:
        return _no_room(services, job)
    chosen = choose(document.text, room)
    with services.autocommit.connect() as connection:
        moved = jobs.advance(connection, job, "complete", message_s=services.message_s, context=chosen)
    return Onward() if moved else Stop("stale")


def choose(text: str, room: Room) -> dict[str, Any]:
    """The record of the choice: ``passages`` as offsets in the text, tokens, and characters left out."""
    spans = shortened(text, room.tokens, room.counter)
    kept = sum(end - start for start, end in spans)
    estimate = sum(room.counter.estimate(text[start:end]) for start, end in spans)
    return {"passages": spans, **room.record(estimate), "left_out_chars": len(text) - kept}


def passages(text: str, chosen: Mapping[str, Any]) -> Excerpt:
    """The chosen passages' words."""
    return Excerpt(passages=tuple(text[start:end] for start, end in chosen["passages"]))


def _room(services: Services, job: Job, prompt: PromptVersion) -> Room:
    model = services.settings.models.find(ladder_model(job, prompt))
    return room_for(job, prompt, model, _learned(services, model))


def _learned(services: Services, model: ModelTable) -> Mapping[str, Any]:
    """Nothing needs to be looked up of a model whose tokenizer is public."""
    if counter_for(model.model).encoding is not None:
        return {}
    with services.autocommit.connect() as connection:
        return models.state_of(connection, model).learned


def _no_room(services: Services, job: Job) -> Step:
    message = "the prompt alone fills the model's window: use a shorter prompt, or a ladder with a larger window"
    with services.autocommit.connect() as connection:
        jobs.end(connection, job, "failed", failure=Failure(kind="context_overflow", message=message))
    return Stop("failed: context_overflow")


def _gone(services: Services, job: Job) -> Step:
    failure = Failure(kind="unreadable", message="the document was deleted")
    with services.autocommit.connect() as connection:
        jobs.end(connection, job, "failed", failure=failure, detail="empty")
    return Stop("failed: unreadable")
