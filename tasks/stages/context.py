"""Context: what the model is shown of the document, and of a collection, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from db.jobs import Document, Job
from docmill.errors import Failure, Unreadable
from docmill.reading import Busy
from prompts import PromptVersion
from tasks import remedies
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.stages.choosing import choose, those_that_fit
from tasks.stages.measuring import measured_room
from tasks.stages.parting import in_parts
from tasks.stages.searching import passages_beside
from tasks.stages.seeing import Look, look
from tasks.stages.step import Step, fail, go_on, in_hand
from tasks.stages.window import Room, ladder_model

__all__ = ["context"]

BUSY_S = 2.0
"""After so long a job asks again whose pages could not be drawn, because others' were."""


def context(services: Services, job: Job) -> Step:
    """Chooses passages that fit the prompt's and the model's limits, and records what does not."""
    prompt = prompt_of(services, job)
    document = job.document
    if document is None or document.text is None:
        return _gone(services, job)
    seen = _seen(services, job, prompt)
    if not isinstance(seen, Look):
        return seen
    job = job.but(model=seen.model if seen.model != ladder_model(job, prompt) else job.model)
    room = measured_room(services, job, prompt, seen.pictures)
    text = document.text if seen.shows_text else ""
    if room.tokens == 0:
        return _no_room(services, job)
    chosen = _chosen(services, job, prompt, Shown(text=text, whole=document, room=room, seen=seen))
    if not isinstance(chosen, dict):
        return chosen
    chosen |= seen.record
    if job.epoch > 1:  # it may have calls, and complete has to see them
        kept: dict[str, Any] = {"context": chosen, "model": job.model}
        return services.database.run(go_on, job, "complete", message_s=services.message_s, **kept)
    return in_hand(job, "complete", context=chosen, model=job.model)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A document, its text as far as that is shown, and the room for it beside its pictures."""

    text: str
    whole: Document
    room: Room
    seen: Look


def _chosen(services: Services, job: Job, prompt: PromptVersion, shown: Shown) -> dict[str, Any] | Step:
    """The record of what is shown: the document in parts, or the passages that fit."""
    if shown.seen.shows_text and not shown.seen.pictures:
        parted = in_parts(shown.text, shown.room, prompt, job, pages=shown.whole.pages or ())
        if parted is not None:
            return _failed(services, job, parted) if isinstance(parted, Failure) else parted
    found = passages_beside(services, job, prompt, shown.text or shown.whole.text or "")
    if not isinstance(found, list):
        return found
    fitting = those_that_fit(found, shown.text, shown.room, prompt)
    return choose(shown.text, shown.room, prompt.asked(job.params), fitting)


def _seen(services: Services, job: Job, prompt: PromptVersion) -> Look | Step:
    """What is shown as pictures, or what is done where that cannot be."""
    try:
        seen = look(services, job, prompt)
    except Unreadable as error:
        return _failed(services, job, Failure(kind="unreadable", message=str(error)), error.kind)
    except Busy:
        return services.database.run(remedies.wait, job, BUSY_S, "pages")
    return _failed(services, job, seen) if isinstance(seen, Failure) else seen


def _no_room(services: Services, job: Job) -> Step:
    message = "the prompt alone fills the model's window: use a shorter prompt, or a ladder with a larger window"
    return _failed(services, job, Failure(kind="context_overflow", message=message))


def _gone(services: Services, job: Job) -> Step:
    return _failed(services, job, Failure(kind="unreadable", message="the document was deleted"), "empty")


def _failed(services: Services, job: Job, failure: Failure, detail: str = "") -> Step:
    return services.database.run(fail, job, failure, detail=detail)
