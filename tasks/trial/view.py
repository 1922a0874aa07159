"""What a trial's model is shown: of a file in hand, with what the settings say of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db.jobs import Document, Job
from docmill.errors import Failure, PromptError
from docmill.llm.sight import sees
from docmill.reading.drawn import Drawn, DrawnPages
from docmill.settings import Settings
from prompts import Excerpt, PromptVersion
from tasks.stages.choosing import choose
from tasks.stages.parting import in_parts
from tasks.stages.seeing import Look, is_drawn, look_at, pages_of, pictures_in
from tasks.stages.window import ladder_model, room_for

__all__ = ["OwnEyes", "excerpt_shown", "show"]

PATIENCE_S = 60.0
"""For a page to be drawn."""


@dataclass(frozen=True, kw_only=True)
class OwnEyes:
    """A trial's: pages of a file in hand, and what the settings say of models."""

    settings: Settings
    body: bytes
    name: str | None
    drawn: DrawnPages

    def sees(self, name: str) -> bool:
        model = self.settings.models.find(name)
        return sees(model.model, told=model.images, met=None) is True

    def draw(self, page: int, dots: int) -> Drawn:
        return self.drawn.page(
            self.body, page, dots_an_inch=dots, fetch=lambda: (self.body, self.name, None), patience_s=PATIENCE_S
        )


def show(
    eyes: OwnEyes, job: Job, prompt: PromptVersion, document: Document, learned: Mapping[str, Mapping[str, Any]]
) -> Job | Failure:
    """The job with the choice of what its model is shown; a failure where not even the prompt fits.

    ``learned`` is what is known of models, by name. Raises PromptError, Unreadable.
    """
    reading, look = document.reading, Look(model=ladder_model(job, prompt))
    if is_drawn(reading):
        found = look_at(pages_of(reading), eyes, job, prompt)
        if isinstance(found, Failure):
            return found
        look = found
    if look.pictures:
        job = job.but(model=look.model)
    name = ladder_model(job, prompt)
    room = room_for(job, prompt, eyes.settings.models.find(name), learned.get(name, {}), look.pictures)
    if room.tokens == 0:
        message = "the prompt alone fills the model's window: use a shorter prompt, or a ladder with a larger one"
        return Failure(kind="context_overflow", message=message)
    text = (document.text or "") if look.shows_text else ""
    if not look.pictures and in_parts(text, room, prompt, job, pages=reading.pages) is not None:
        raise PromptError(f"prompt {prompt} asks so long a document in parts, which a stack alone does: submit it")
    return job.but(context=choose(text, room, prompt.asked(job.params)) | dict(look.record))


def excerpt_shown(job: Job, document: Document) -> Excerpt:
    """The words and pictures of the choice."""
    chosen, text = job.context or {}, document.text or ""
    passages = tuple(text[start:end] for start, end in chosen["passages"])
    return Excerpt(passages=passages, pictures=pictures_in(chosen))
