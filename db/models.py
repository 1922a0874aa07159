"""What the fleet has learned about a model of an account: holds, and what it rejects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection, Row, text

__all__ = [
    "STATE",
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


STATE = (
    "greatest(0, coalesce(extract(epoch from hold_until - clock_timestamp()), 0))::float as hold_s,"
    " hold_cause, learned"
)
"""SQL for what :func:`state_from` reads from a row of ``model_state``, or from none that was joined."""


def state_of(connection: Connection, model: Named) -> ModelState:
    row = connection.execute(KNOWN, names_of(model)).first()
    return ModelState() if row is None else state_from(row)


KNOWN = text(f"select {STATE} from model_state where account = :account and model = :model")


def state_from(row: Row[Any]) -> ModelState:
    return ModelState(hold_s=row.hold_s, hold_cause=row.hold_cause, learned=row.learned or {})


def hold(connection: Connection, model: Named, *, for_s: float, cause: str) -> None:
    """No job of the fleet asks the model before the time is over, or an operator releases it."""
    connection.execute(
        text(
            "insert into model_state (account, model, hold_until, hold_cause)"
            " values (:account, :model, clock_timestamp() + make_interval(secs => :for_s), :cause)"
            " on conflict (account, model) do update"
            " set hold_until = excluded.hold_until, hold_cause = excluded.hold_cause"
        ),
        {**names_of(model), "for_s": for_s, "cause": cause},
    )


def hold_key(model: Named) -> str:
    """What jobs are held for that wait for the end of the model's hold."""
    return f"hold:{model.account}/{model.model}"


def release(connection: Connection, model: Named) -> None:
    """Ends a hold, and wakes the jobs that wait for it."""
    connection.execute(
        text("update jobs set wake_at = clock_timestamp() where wait = 'rate' and held_for = :held_for"),
        {"held_for": hold_key(model)},
    )
    connection.execute(
        text(
            "update model_state set hold_until = null, hold_cause = null"
            " where account = :account and model = :model"
        ),
        names_of(model),
    )


def learn(connection: Connection, model: Named, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Changes what is known about the model; two workers that learn at once take turns."""
    connection.execute(
        text("insert into model_state (account, model) values (:account, :model) on conflict do nothing"),
        names_of(model),
    )
    known = connection.execute(
        text("select learned from model_state where account = :account and model = :model for update"),
        names_of(model),
    ).scalar_one()
    connection.execute(
        text(
            "update model_state set learned = cast(:learned as jsonb) where account = :account and model = :model"
        ),
        {**names_of(model), "learned": json.dumps(dict(change(known)))},
    )


def names_of(model: Named) -> dict[str, str]:
    """What the SQL of this module calls a model by."""
    return {"account": model.account, "model": model.model}
