"""Context: which parts of the document the model is shown, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from db import jobs, models
from db.jobs import Job
from docmill.errors import Failure
from docmill.llm.tokens import counter_for
from docmill.retrieval.fitting import fitting, left_out
from docmill.retrieval.offline import embed_offline
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
    chosen = choose(document.text, room, prompt.asked(job.params))
    with services.autocommit.connect() as connection:
        moved = jobs.advance(connection, job, "complete", message_s=services.message_s, context=chosen)
    return Onward() if moved else Stop("stale")


def choose(text: str, room: Room, asked: Sequence[str]) -> dict[str, Any]:
    """The record of the choice: ``passages`` as offsets in the text, tokens, and what was left out.

    A document that fits is shown whole; of another, the passages that say most about what is ``asked``.
    """
    spans = fitting(
        text,
        asked,
        tokens=room.tokens,
        counter=room.counter,
        embed=embed_offline,
        gap_tokens=room.counter.count(Excerpt.GAP),
    )
    rest = left_out(text, spans)
    estimate = room.counter.estimate(passages(text, {"passages": spans}).text)
    return {
        "passages": spans,
        **room.record(estimate),
        "left_out": rest,
        "left_out_chars": sum(end - start for start, end in rest),
    }


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
