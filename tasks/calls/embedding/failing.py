"""What is done about a call for vectors that failed: there is no other model, and no smaller request, to try."""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import Connection

from db import model_state, transitions
from db.jobs import Job
from docmill.errors import Failure
from docmill.remedies import Policy, Remedy, Tried, decide
from docmill.settings import Model
from tasks import remedies
from tasks.stages.step import Step, Stop, fail

__all__ = ["apply_remedy"]


def apply_remedy(connection: Connection, job: Job, model: Model, failure: Failure) -> Step:
    """Waits as the failure asks for; there is no other model, and no smaller request, to try."""
    name = model.name
    now = Tried(purpose="first", kind=failure.kind, model=name)
    embeds = [entry for entry in job.history if entry["purpose"] == "embed"]
    before = [Tried(purpose="first", kind=entry["kind"], model=name) for entry in embeds]
    policy = Policy(ladder=(name,), jitter=random.random(), may_review=False)  # noqa: S311 - it spreads waits
    remedy = decide(failure, [*before, now], policy)
    if not transitions.note_failure(connection, job, _entry(name, failure, remedy)):
        return Stop("stale")
    if remedy.hold_model and remedy.hold_s is not None:
        model_state.hold(connection, model, for_s=remedy.hold_s, cause=failure.kind)
    match remedy.action:
        case "retry":
            return remedies.wait(connection, job, remedy.countdown_s, failure.kind)
        case "hold":
            transitions.hold(connection, job, "rate", for_s=remedy.hold_s, held_for=model_state.hold_key(model))
            return Stop(f"held: {failure.kind}")
        case _:
            message = f"{name}: {failure.message}"
            return fail(connection, job, Failure(kind=failure.kind, message=message, status=failure.status))


def _entry(name: str, failure: Failure, remedy: Remedy) -> dict[str, Any]:
    """What the job's history keeps of it."""
    return {
        "kind": failure.kind,
        "purpose": "embed",
        "attempt": 0,
        "model": name,
        "remedy": remedy.action,
        "reason": remedy.reason,
        "message": failure.message,
    }
