"""The words that were chosen for a job, from the record of the choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db import chunks
from db.chunks import Place
from db.jobs import Job
from prompts import Excerpt
from tasks.services import Services
from tasks.stages.seeing import pictures_in

__all__ = ["excerpt_of"]


def excerpt_of(services: Services, job: Job, text: str) -> Excerpt:
    """The chosen passages' words; those of a collection are looked up."""
    chosen = job.context or {"passages": [(0, len(text))]}
    passages = tuple(text[start:end] for start, end in chosen["passages"])
    places, pictures = _found_places(chosen), pictures_in(chosen)
    if not places:
        return Excerpt(passages=passages, pictures=pictures)
    found = services.database.run(chunks.texts_at, job.tenant, places)
    return Excerpt(passages=passages, found=tuple(found), pictures=pictures)


def _found_places(chosen: Mapping[str, Any]) -> list[Place]:
    """Returns where the passages of a collection stand that were found, in the order of their numbers."""
    return [Place(**place) for place in chosen.get("found", ())]
