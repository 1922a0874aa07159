"""Closing a call that was made: as it should be, or else with what can be kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import structlog
from sqlalchemy import Connection

from db import embeddings, jobs, ledger, transitions
from db.database import Database
from db.engine import is_passing
from db.jobs import Drive, Job
from db.ledger import Settlement
from db.stages import Stage
from docmill.errors import Failure
from docmill.logs import where

__all__ = ["Closure", "close", "close_with_what_can_be_kept"]

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Closure:
    """What closes a call: its settlement, and the drive that it belongs to."""

    job_id: int | None
    """None for a question's call, which belongs to none."""
    epoch: int
    settlement: Settlement
    embedding_model: str | None = None
    """Of an embedding call; its vectors by the hex digests of their texts."""
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)
    part: int = 0
    """Of the document that the call was about; 0 is the whole."""

    @classmethod
    def of(cls, job: Job, settlement: Settlement, *, part: int = 0) -> Closure:
        return cls(job_id=job.id, epoch=job.epoch, settlement=settlement, part=part)

    @property
    def stage(self) -> Stage:
        return "complete" if self.embedding_model is None else "embed"


def close(database: Database, closure: Closure, *, message_s: float) -> Drive | None:
    """Closes the call and moves its job on, in one commit; what it gives is still to be published.

    A call that is closed already stays as it was, and so does its job, as for one that was never opened: it
    may have another call open by now.
    """
    try:
        return _close(database, closure, message_s)
    except ledger.AnsweredMeanwhile:
        return _close(database, closure, message_s)


def _close(database: Database, closure: Closure, message_s: float) -> Drive | None:
    with database.work() as connection:
        if closure.embedding_model is not None:
            vectors = {bytes.fromhex(digest): vector for digest, vector in closure.vectors.items()}
            embeddings.keep(connection, closure.embedding_model, vectors)
            embeddings.release(connection, closure.settlement.id)
        closed = ledger.close_call(connection, closure.settlement)
        return _move_on(connection, closure, message_s) if closed.now else None


def _move_on(connection: Connection, closure: Closure, message_s: float) -> Drive | None:
    """The job that still waits for the reply goes to parse; where there was no answer, the call is made again.

    An index job goes on with the texts that have no vector yet, and a job in parts with those that have no answer.
    """
    answered: Stage = "embed" if closure.stage == "embed" else "complete" if closure.part else "parse"
    if closure.job_id is None:
        return None
    move = transitions.Move(
        id=closure.job_id,
        epoch=closure.epoch,
        stage=closure.stage,
        to=answered if closure.settlement.answered else closure.stage,
        cause="spooled",
    )
    return transitions.start_drive(connection, move, message_s=message_s)


def close_with_what_can_be_kept(
    database: Database, closure: Closure, error: Exception, *, message_s: float
) -> Drive | None:
    """Closes a call whose settling broke over ``error``; each step stands alone, so that none takes another along.

    An answer that is stored goes on to parse; without one the job ends, and says why. What was closed before is
    left to who closed it. Raises what passes.
    """
    place = where(error)
    log.error("call_not_settled", call=str(closure.settlement.id), job=closure.job_id, where=place)
    kept = _close_somehow(database, closure)
    if kept == "before":
        return None
    if kept == "whole" and closure.settlement.answered and closure.stage == "complete":
        try:
            return database.run(_move_on, closure, message_s)
        except Exception as second:
            _raise_passing(second)
            log.exception("job_not_moved", job=closure.job_id)
    _end(database, closure, place)
    return None


Kept: TypeAlias = Literal["whole", "figures", "nothing", "before"]
"""What the ledger has of a call: ``before``, whatever somebody else has closed it with."""


def _close_somehow(database: Database, closure: Closure) -> Kept:
    """What of the call could be kept: the reply, or the figures at least."""
    bare = replace(closure.settlement, answered=False, reply=None, model_echoed=None, request_id=None)
    bare = replace(bare, possibly_billed=True, failure_kind=bare.failure_kind or "internal")
    for settlement in (closure.settlement, bare):
        try:
            with database.work() as connection:
                embeddings.release(connection, settlement.id)
                closed = ledger.close_call(connection, settlement)
        except Exception as error:
            _raise_passing(error)
            log.exception("call_not_closed", call=str(settlement.id))
        else:
            return "before" if not closed.now else "whole" if settlement is closure.settlement else "figures"
    return "nothing"  # its lease runs out, and the ledger says then that it is in doubt


def _end(database: Database, closure: Closure, place: str) -> None:
    if closure.job_id is None:
        return
    message = f"what came of its call could not be stored ({place}): see the log, then `docmill retry`"
    with database.work() as connection:
        job = jobs.load(connection, closure.job_id, closure.epoch, closure.stage)
        if job is not None:
            transitions.end(connection, job, "failed", failure=Failure(kind="internal", message=message))


def _raise_passing(error: Exception) -> None:
    if is_passing(error):
        raise error
