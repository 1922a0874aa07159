"""All the Celery there is in a stage: load or claim the job, call its plain function, do what that comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from celery import Task, shared_task
from sqlalchemy.exc import SQLAlchemyError

from db import jobs, transitions
from db.engine import is_passing
from db.jobs import Job
from db.stages import STAGES, Stage
from db.turns import waiting
from docmill.errors import ContentMissing, Failure, PromptError
from docmill.logs import where
from tasks.celery.broker import countdown_of
from tasks.celery.drive import publish_all
from tasks.pinning import leave
from tasks.services import Services
from tasks.stages.step import Again, Onward, Step, Stop, fail
from tasks.tracing import traced_stage

__all__ = ["Handler", "StageFunction", "stage"]

log = structlog.get_logger()

LARGEST_ID = 2**63
DATABASE_BACK_S = 3.0
"""A message that found no database comes again, as long as there is none; its job need not wait for the sweep."""

StageFunction: TypeAlias = Callable[[Services, Job], Step]


class StageBroke(Exception):
    """A defect of ours or of a prompt's code: where, and never with what values, which may be a document's."""


def stage(name: Stage, function: StageFunction) -> Task:
    """The Celery task of a stage."""
    rules = STAGES[name]
    handler = Handler(name=name, function=function, lease_s=(rules.hard_s or 0) + 5)

    def run(task: Task, job_id: int, epoch: int) -> str:
        services: Services = task.app.services
        if not all(type(each) is int and 0 <= each < LARGEST_ID for each in (job_id, epoch)):
            log.error("message_dropped", why="no job's id and epoch")
            task.request.chain = None
            return "dropped"
        with structlog.contextvars.bound_contextvars(job=job_id, epoch=epoch, stage=name):
            return _act(task, services, handler.run(services, job_id, epoch))

    return shared_task(
        run,
        name=f"docmill.{name}",
        bind=True,
        max_retries=None,
        soft_time_limit=rules.soft_s,
        time_limit=rules.hard_s,
    )


@dataclass(frozen=True, kw_only=True)
class Handler:
    """What is done with a stage's message, whoever brings it."""

    name: Stage
    function: StageFunction
    lease_s: float

    def run(self, services: Services, job_id: int, epoch: int) -> Step:
        """What the stage comes to for the job that the message names; stale if it stands elsewhere.

        Raises StageBroke for a defect, which is on record then.
        """
        try:
            return self._step(services, job_id, epoch)
        except Exception as error:  # noqa: BLE001 - the boundary: told, counted, and raised again
            if isinstance(error, SQLAlchemyError) and is_passing(error):
                return Again(f"database away: {type(error).__name__}", DATABASE_BACK_S)
            place = where(error)
            _broke(services, self.name, job_id, epoch, place)
            raise StageBroke(place) from None

    def _step(self, services: Services, job_id: int, epoch: int) -> Step:
        if self._is_anothers_turn(services, job_id, epoch):
            return Stop("another's turn")
        job = self._take(services, job_id, epoch)
        if job is None:
            return Stop("stale")
        if job.overdue:
            return services.database.run(fail, job, Failure(kind="deadline", message="its deadline passed"))
        began = services.turns.clock()
        try:
            return traced_stage(services.tracer, self.name, job, lambda: self.function(services, job))
        except ContentMissing as error:
            return services.database.run(leave, job, error, owner=services.owner)
        except PromptError as error:
            # Its files are gone or broken, and no try changes that. A retry uses what is paid for.
            return services.database.run(fail, job, Failure(kind="internal", message=str(error)))
        finally:
            services.times.note(self.name, services.turns.clock() - began)
            if STAGES[self.name].claimed:
                services.turns.note(job.tenant, began)

    def _is_anothers_turn(self, services: Services, job_id: int, epoch: int) -> bool:
        """Whether the job waits in Postgres again, because another tenant waits for this process."""
        if STAGES[self.name].role != "cpu" or not services.turns.matter:
            return False
        seen = services.database.run(waiting, job_id, epoch)
        due = seen is None or services.turns.is_due(seen)
        return not due and services.database.run(transitions.give_back, job_id, epoch, self.name)

    def _take(self, services: Services, job_id: int, epoch: int) -> Job | None:
        if not STAGES[self.name].claimed:
            return services.database.run(jobs.load, job_id, epoch, self.name)
        return services.database.run(
            transitions.claim, job_id, epoch, self.name, owner=services.owner, lease_s=self.lease_s
        )


def _act(task: Task, services: Services, step: Step) -> str:
    """The transition is committed; this publishes what follows from it."""
    match step:
        case Onward():
            return "onward"
        case Stop(word, drives):
            # Celery publishes the chain's next task whenever a task returns.
            task.request.chain = None
            publish_all(services, drives)
            return word
        case Again(word, countdown_s):
            log.info("waits", why=word, countdown_s=round(countdown_s, 3))
            raise task.retry(countdown=countdown_of(task.app, countdown_s), max_retries=None)


def _broke(services: Services, name: Stage, job_id: int, epoch: int, place: str) -> None:
    log.error("stage_broke", where=place)
    with services.database.work() as connection:
        if not STAGES[name].claimed:
            transitions.wake_soon(connection, job_id, epoch, name)
            return
        job = jobs.load(connection, job_id, epoch, name)
        if job is not None:
            transitions.release_crashed(connection, job, place)
