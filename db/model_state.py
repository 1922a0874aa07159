"""What the fleet has learned about a model of an account: holds, and what it rejects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of
from docmill.remedies import LONGEST_HOLD_S, believable_wait_s
from docmill.storable import dump_json

__all__ = [
    "ModelState",
    "Named",
    "hold",
    "hold_key",
    "learn",
    "names_of",
    "probe_soon",
    "release",
    "state_from",
    "state_of",
    "take_probe",
]

ACCOUNT = ("auth", "quota_exhausted")
"""Causes of holds that an operator mends."""

SQL, TRANSITIONS = statements_of("model_state"), statements_of("transitions")


class Named(Protocol):
    """A model of an account."""

    @property
    def account(self) -> str: ...
    @property
    def model(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """``hold_s``: seconds until it may be asked again; 0 for now, by one caller alone where there is a cause."""

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
    """Keeps all jobs of the fleet from asking the model for an hour at most; then one of them probes.

    An operator may release it before.
    """
    held_s = believable_wait_s(for_s)
    values = {"for_s": LONGEST_HOLD_S if held_s is None else min(held_s, LONGEST_HOLD_S), "cause": cause}
    SQL["hold"].count(connection, {**names_of(model), **values})


@one_statement
def take_probe(connection: Connection, model: Named, *, for_s: float) -> bool:
    """Lets this caller alone try whether a hold whose time is over is over indeed; the others wait for so long."""
    return bool(SQL["take_probe"].count(connection, {**names_of(model), "for_s": for_s}))


@one_statement
def probe_soon(connection: Connection) -> None:
    """Ends the time of every hold for an account's fault: a process that has just begun may have another key."""
    SQL["probe_soon"].count(connection, {"causes": list(ACCOUNT)})


def hold_key(model: Named) -> str:
    """Returns what jobs are held for that wait for the end of the model's hold."""
    return f"hold:{model.account}/{model.model}"


def release(connection: Connection, model: Named, *, also: Sequence[str] = ()) -> None:
    """Ends a hold, and wakes the jobs that wait for it; and those that are held for what else is given."""
    TRANSITIONS["wake_released"].count(connection, {"models": [hold_key(model), *also]})
    SQL["release"].count(connection, names_of(model))


def learn(connection: Connection, model: Named, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Changes what is known about the model; two workers that learn at once take turns."""
    SQL["add"].count(connection, names_of(model))
    learned = change(SQL["lock"].scalar(connection, names_of(model)))
    SQL["learn"].count(connection, {**names_of(model), "learned": dump_json(dict(learned))})


def names_of(model: Named) -> dict[str, str]:
    """Returns what statements call a model by."""
    return {"account": model.account, "model": model.model}
