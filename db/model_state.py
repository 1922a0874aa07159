"""What the fleet has learned about a model of an account: holds, and what it rejects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of
from docmill.storable import dump_json

__all__ = [
    "ModelState",
    "Named",
    "hold",
    "hold_key",
    "learn",
    "names_of",
    "release",
    "state_from",
    "state_of",
]

SQL, TRANSITIONS = statements_of("model_state"), statements_of("transitions")


class Named(Protocol):
    """A model of an account."""

    @property
    def account(self) -> str: ...
    @property
    def model(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """``hold_s``: seconds until it may be asked again; 0 for now."""

    hold_s: float = 0.0
    hold_cause: str | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)


@one_statement
def state_of(connection: Connection, model: Named) -> ModelState:
    """Reads what is known of the model; of one that nothing is known of, that it may be asked."""
    row = SQL["state"].first(connection, names_of(model))
    return ModelState() if row is None else state_from(row)


def state_from(row: Any) -> ModelState:
    """The state from the columns of the fragment ``model_state``, of a row or of none that was joined."""
    return ModelState(hold_s=row.hold_s, hold_cause=row.hold_cause, learned=row.learned or {})


def hold(connection: Connection, model: Named, *, for_s: float, cause: str) -> None:
    """Keeps all jobs of the fleet from asking the model until the time is over, or an operator releases it."""
    SQL["hold"].count(connection, {**names_of(model), "for_s": for_s, "cause": cause})


def hold_key(model: Named) -> str:
    """What jobs are held for that wait for the end of the model's hold."""
    return f"hold:{model.account}/{model.model}"


def release(connection: Connection, model: Named) -> None:
    """Ends a hold, and wakes the jobs that wait for it."""
    TRANSITIONS["wake_released"].count(connection, {"held_for": hold_key(model)})
    SQL["release"].count(connection, names_of(model))


def learn(connection: Connection, model: Named, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Changes what is known about the model; two workers that learn at once take turns."""
    SQL["add"].count(connection, names_of(model))
    learned = change(SQL["lock"].scalar(connection, names_of(model)))
    SQL["learn"].count(connection, {**names_of(model), "learned": dump_json(dict(learned))})


def names_of(model: Named) -> dict[str, str]:
    """What statements call a model by."""
    return {"account": model.account, "model": model.model}
