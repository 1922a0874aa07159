"""The only publisher of chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import transitions
from db.engine import is_passing
from db.jobs import Drive, Job
from db.stages import Stage
from docmill.errors import DocmillError
from docmill.remedies import Purpose
from tasks.services import Services

__all__ = ["PublishFailed", "drive", "drive_to_store", "publish_all"]

log = structlog.get_logger()


class PublishFailed(DocmillError):
    """The broker did not take all messages. ``taken`` are the first ones, of which it is known that it did; of the
    others any may have arrived.
    """

    def __init__(self, message: str, *, taken: int = 0) -> None:
        super().__init__(message)
        self.taken = taken


def drive(
    connection: Connection,
    services: Services,
    job: Job,
    to: Stage,
    cause: str,
    *,
    next_attempt: bool = False,
    purpose: Purpose | None = None,
    model: str | None = None,
) -> Drive | None:
    """Takes the job to a stage under a new epoch; None where somebody was faster.

    The caller commits, then hands what this returns to :func:`publish_all`.
    """
    move = transitions.Move(
        id=job.id,
        epoch=job.epoch,
        stage=job.stage,
        to=to,
        cause=cause,
        next_attempt=next_attempt,
        purpose=purpose,
        model=model,
    )
    return transitions.start_drive(connection, move, message_s=services.message_s)


def drive_to_store(
    connection: Connection, services: Services, job: Job, value: Mapping[str, Any], cause: str
) -> Drive | None:
    """Takes a job from complete to store with a value, past parse; None where somebody was faster."""
    if not transitions.advance(connection, job, "store", message_s=services.message_s, value=value):
        return None
    return drive(connection, services, job.but(stage="store"), "store", cause)


def _take_back(services: Services, drives: Sequence[Drive]) -> None:
    """Where the database is away as well, the sweep takes them for lost messages."""
    try:
        services.database.run(transitions.take_back, drives)
    except SQLAlchemyError as error:
        if not is_passing(error):
            raise
        log.warning("not_taken_back", error=type(error).__name__, drives=len(drives))


def publish_all(services: Services, drives: Sequence[Drive]) -> bool:
    """Publishes, and returns whether all were; those that may not have been wait in Postgres again.

    Of these a message that did arrive may still move its job, once, until upkeep drives it anew.
    """
    if not drives:
        return True
    try:
        services.publish(drives)
    except PublishFailed as error:
        log.warning("publish_failed", error=str(error), drives=len(drives) - error.taken)
        _take_back(services, drives[error.taken :])
        return False
    return True
