"""What a stage comes to; the plain functions of the stages return one of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection

from db import transitions
from db.database import one_statement
from db.jobs import Drive, Job
from db.stages import Stage
from docmill.errors import Failure

__all__ = ["Again", "Onward", "Step", "Stop", "fail", "go_on"]


@dataclass(frozen=True)
class Onward:
    """The transition is committed: Celery publishes the chain's next task."""


@dataclass(frozen=True)
class Stop:
    """This chain ends here; ``word`` says why. ``drives`` are committed, and still to be published."""

    word: str
    drives: Sequence[Drive] = ()


@dataclass(frozen=True)
class Again:
    """The same task again, after a countdown."""

    word: str
    countdown_s: float


Step: TypeAlias = Onward | Stop | Again


@one_statement
def go_on(connection: Connection, /, job: Job, to: Stage, *, message_s: float, **kept: Any) -> Step:
    """Moves a job on whose stage is done; ``kept`` are what :func:`db.transitions.advance` keeps."""
    moved = transitions.advance(connection, job, to, message_s=message_s, **kept)
    return Onward() if moved else Stop("stale")


@one_statement
def fail(connection: Connection, job: Job, failure: Failure, *, detail: str = "") -> Stop:
    """Ends the job as failed."""
    transitions.end(connection, job, "failed", failure=failure, detail=detail)
    return Stop(f"failed: {failure.kind}")
