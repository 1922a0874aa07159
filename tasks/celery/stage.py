"""All the Celery there is in a stage: load or claim the job, call its plain function, do what that comes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from tasks.celery.going_on import IN_HAND, following, go_on_here, goes_on
from tasks.celery.publishing import StageTask
from tasks.pinning import leave
from tasks.services import Services
from tasks.stages.step import Again, InHand, Onward, Step, Stop, fail, go_on
from tasks.tracing import traced_stage

__all__ = ["GOES_ON_WITHIN_S", "Handler", "StageBroke", "StageFunction", "stage"]

log = structlog.get_logger()

LARGEST_ID = 2**63
DATABASE_BACK_S = 3.0
"""A message that found no database comes again, as long as there is none; its job need not wait for the sweep. So
often a stage is tried again that was gone on with under a claim, whose job no message finds."""

GOES_ON_WITHIN_S = 5.0
"""What took longer is written and published: whoever takes it up reads it anew, and has all of its time."""

LAST_TRY_S = 15.0
"""Of a stage's time limit, what it took before it was gone on with, and what a last try may take."""

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
            then = following(task)
            job: Job | None = task.request.get(IN_HAND)
            if job is None:
                step = handler.run(services, job_id, epoch, then=then)
            else:
                step = handler.go_on(services, job, then=then)
            return _act(task, services, step, then)

    return shared_task(
        run,
        base=StageTask,
        name=f"docmill.{name}",
        bind=True,
        max_retries=None,
        soft_time_limit=rules.soft_s,
        time_limit=rules.hard_s,
    )


@dataclass(frozen=True, kw_only=True)
class At:
    """Where a job's row stands: at the stage, or at the one that it was gone on to, once that is written."""

    job_id: int
    epoch: int
    stage: Stage
    to: Stage


@dataclass(frozen=True, kw_only=True)
class Handler:
    """What is done with a stage's message, whoever brings it."""

    name: Stage
    function: StageFunction
    lease_s: float
    sleep: Callable[[float], None] = time.sleep

    def run(self, services: Services, job_id: int, epoch: int, *, then: Stage | None = None) -> Step:
        """What the stage comes to for the job that the message names; stale if it stands elsewhere.

        ``then`` is the stage with which this process goes on: a step that leads there may be in hand.
        Raises StageBroke for a defect, which is on record then.
        """
        taken: Job | None = None
        until = services.turns.clock() + _claimed_for_s(self.name)

        def step() -> Step:
            if self._is_anothers_turn(services, job_id, epoch):
                return Stop("another's turn")
            nonlocal taken
            taken = self._take(services, job_id, epoch)
            return Stop("stale") if taken is None else self._step(services, taken, then)

        def when_away(why: str) -> Step:
            let_go = taken is not None and self._let_go(services, taken, until)
            return Stop(why) if let_go else Again(why, DATABASE_BACK_S)

        at = At(job_id=job_id, epoch=epoch, stage=self.name, to=self.name)
        return self._guarded(services, step, at, when_away)

    def go_on(self, services: Services, job: Job, *, then: Stage | None = None) -> Step:
        """What the stage comes to for a job that this process has in hand from the stage before."""
        at = At(job_id=job.id, epoch=job.epoch, stage=job.stage, to=self.name)
        # Nobody knows whether its row stands where it stood or has moved on: of two messages one finds it.
        stands = job.message
        both = (stands, replace(stands, stage=self.name))
        until = services.turns.clock() + (_claimed_for_s(job.stage) if job.claimed else 0.0)
        while True:
            step = self._guarded(
                services, lambda: self._step(services, job, then), at, lambda why: Stop(why, both)
            )
            away = isinstance(step, Stop) and step.drives is both
            if not away or services.turns.clock() >= until:
                return step
            self.sleep(DATABASE_BACK_S)

    def _let_go(self, services: Services, job: Job, until: float) -> bool:
        """Ends the claim, if it is one, as soon as the database is there: no message finds a job that is claimed.

        False where it was written after all, or cannot be ended: it runs out then, and that is a crash.
        """
        while job.redrives < transitions.MOST_LET_GO and services.turns.clock() < until:
            try:
                return services.database.run(transitions.let_go, job, owner=services.owner)
            except SQLAlchemyError as error:
                if not is_passing(error):
                    raise StageBroke(where(error)) from None
                self.sleep(DATABASE_BACK_S)
        return False

    def _guarded(
        self, services: Services, step: Callable[[], Step], at: At, when_away: Callable[[str], Step]
    ) -> Step:
        try:
            return step()
        except Exception as error:  # noqa: BLE001 - the boundary: told, counted, and raised again
            if isinstance(error, SQLAlchemyError) and is_passing(error):
                return when_away(f"database away: {type(error).__name__}")
            place = where(error)
            _broke(services, at, place)
            raise StageBroke(place) from None

    def _step(self, services: Services, job: Job, then: Stage | None) -> Step:
        began = services.turns.clock()
        step = self._worked(services, job, began)
        if not isinstance(step, InHand):
            return step
        if then == step.to and services.turns.clock() - began < GOES_ON_WITHIN_S:
            return step  # whose function writes it
        return services.database.run(go_on, step.job, step.to, message_s=services.message_s, **step.kept)

    def _worked(self, services: Services, job: Job, began: float) -> Step:
        if job.overdue:
            return services.database.run(fail, job, Failure(kind="deadline", message="its deadline passed"))
        try:
            return traced_stage(services.tracer, self.name, job, lambda: self.function(services, job))
        except ContentMissing as error:
            return services.database.run(leave, job, error, owner=services.owner)
        except PromptError as error:
            # Its files are gone or broken, and no try changes that. A retry uses what is paid for.
            return services.database.run(fail, job, Failure(kind="internal", message=str(error)))
        finally:
            services.times.note(self.name, services.turns.clock() - began)
            if STAGES[self.name].claimed and services.hurry is None:
                services.turns.note(job.tenant, began)

    def _is_anothers_turn(self, services: Services, job_id: int, epoch: int) -> bool:
        """Whether the job waits in Postgres again, because another tenant waits for this process."""
        if STAGES[self.name].role != "cpu" or services.hurry is not None or not services.turns.matter:
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


def _act(task: Task, services: Services, step: Step, then: Stage | None) -> str:
    """The transition is committed, or in hand; this does what follows from it."""
    match step:
        case InHand(job):
            go_on_here(task, job)
            return "onward"
        case Onward(job):
            # Celery publishes the chain's next task whenever a task returns.
            if goes_on(then, job):
                go_on_here(task, job)
            return "onward"
        case Stop(word, drives):
            task.request.chain = None
            publish_all(services, drives)
            return word
        case Again(word, countdown_s):
            log.info("waits", why=word, countdown_s=round(countdown_s, 3))
            raise task.retry(countdown=countdown_of(task.app, countdown_s), max_retries=None)


def _claimed_for_s(stage: Stage) -> float:
    """So long a stage that is gone on with under a claim is tried again: none but its holder finds the job."""
    rules = STAGES[stage]
    return max(0.0, (rules.soft_s or 0) - LAST_TRY_S) if rules.claimed else 0.0


def _broke(services: Services, at: At, place: str) -> None:
    log.error("stage_broke", where=place)
    with services.database.work() as connection:
        if not STAGES[at.stage].claimed:
            for stage in {at.stage, at.to}:
                transitions.wake_soon(connection, at.job_id, at.epoch, stage)
            return
        job = jobs.load(connection, at.job_id, at.epoch, at.stage)
        if job is not None:
            transitions.release_crashed(connection, job, place)
