"""The room for a job's document, with what the fleet has learned of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from db import model_state
from db.jobs import Job
from docmill.llm.tokens import counter_for
from docmill.llm.types import Picture
from docmill.settings import ModelTable
from prompts import PromptVersion
from tasks.services import Services
from tasks.stages.window import Room, ladder_model, room_for

__all__ = ["measured_room"]


def measured_room(services: Services, job: Job, prompt: PromptVersion, pictures: Sequence[Picture]) -> Room:
    """Measures the room for the document in the job's next request, as its model counts."""
    model = services.settings.models.find(ladder_model(job, prompt))
    return room_for(job, prompt, model, _learned(services, model, pictures), pictures)


def _learned(services: Services, model: ModelTable, pictures: Sequence[Picture]) -> Mapping[str, Any]:
    """Nothing needs to be looked up of a model whose tokenizer is public, and that is shown no pictures."""
    if counter_for(model.model).encoding is not None and not pictures:
        return {}
    return services.database.run(model_state.state_of, model).learned
