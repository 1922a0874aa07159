"""What a stage comes to; the plain functions of the stages return one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection

from db import transitions
from db.database import one_statement
from db.jobs import Drive, Job
from db.stages import Stage
from db.stored import as_json, loads
from docmill.errors import Failure

__all__ = ["Again", "InHand", "Onward", "Step", "Stop", "fail", "go_on", "in_hand"]


@dataclass(frozen=True)
class Onward:
    """The transition is committed: Celery publishes the chain's next task, or this process goes on with it."""

    job: Job | None = field(default=None, compare=False)
    """As the next stage would load it, where that is known."""


@dataclass(frozen=True)
class InHand:
    """What the stage came to is not written yet: who goes on with the stage ``to`` at once has it in hand.

    Who does not writes it with :func:`go_on`, which keeps what is ``kept``.
    """

    job: Job
    """As its row stands, with what the stage came to."""
    to: Stage
    kept: Mapping[str, Any]


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


Step: TypeAlias = Onward | InHand | Stop | Again


@one_statement
def go_on(connection: Connection, /, job: Job, to: Stage, *, message_s: float, **kept: Any) -> Step:
    """Moves a job on whose stage is done; ``kept`` are what :func:`db.transitions.advance` keeps."""
    moved = transitions.advance(connection, job, to, message_s=message_s, **kept)
    return Onward() if moved else Stop("stale")


def in_hand(job: Job, to: Stage, **kept: Any) -> InHand:
    """The job with what its stage came to, as it would be read from its row once that is written."""
    read = {name: _as_read(value) for name, value in kept.items()}
    return InHand(job=job.but(**read), to=to, kept=kept)


def _as_read(value: Any) -> Any:
    return loads(as_json(value) or "null") if isinstance(value, Mapping) else value


@one_statement
def fail(connection: Connection, job: Job, failure: Failure, *, detail: str = "") -> Stop:
    """Ends the job as failed."""
    transitions.end(connection, job, "failed", failure=failure, detail=detail)
    return Stop(f"failed: {failure.kind}")
