"""Models as a tenant sees them: which are held, who waits for which, and how they answered lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db import model_state, waiting
from db.database import Database
from db.model_state import ModelState, hold_key
from db.waiting import Answering, WaitingFor
from docmill.errors import Misconfigured
from docmill.settings import Model
from tasks.services import Services

__all__ = ["ModelSeen", "look_at"]


@dataclass(frozen=True, kw_only=True)
class ModelSeen:
    """A model that can be asked, and how it stands."""

    model: Model
    state: ModelState
    limited_s: float
    """Seconds until its provider's limits let somebody ask it again."""
    waiting: Sequence[WaitingFor]
    lately: Answering | None
    """None where the tenant has not asked it in the last hour."""


@dataclass(frozen=True, kw_only=True)
class ModelsSeen:
    """Every model by its name in ladders."""

    models: Sequence[ModelSeen]
    broken: Sequence[str]
    """Why the others cannot be asked."""
    others: Sequence[WaitingFor]
    """Who waits for a model that is configured no more."""


def look_at(services: Services, database: Database, tenant: str) -> ModelsSeen:
    """Reads how all models stand; who waits, and how they answered, is of the tenant alone."""
    known, broken = _known(services)
    with database.work() as connection:
        states = {model.name: model_state.state_of(connection, model) for model in known}
        held = waiting.for_models(connection, tenant)
        lately = {(each.account, each.model): each for each in waiting.calls_lately(connection, tenant)}
    return ModelsSeen(
        models=[
            ModelSeen(
                model=model,
                state=states[model.name],
                limited_s=services.limiter.held_s(model.limit_key),
                waiting=[each for each in held if each.held_for in _keys(model)],
                lately=lately.get((model.account, model.model)),
            )
            for model in known
        ],
        broken=broken,
        others=[each for each in held if not any(each.held_for in _keys(model) for model in known)],
    )


def _keys(model: Model) -> tuple[str, str]:
    """What jobs are held for that wait for the model."""
    return model.limit_key, hold_key(model)


def _known(services: Services) -> tuple[list[Model], list[str]]:
    """The models that can be asked, and why the others cannot."""
    known, broken = [], []
    for name in services.settings.models.names():
        try:
            known.append(services.settings.models.get(name))
        except Misconfigured as error:
            broken.append(str(error))
    return known, broken
