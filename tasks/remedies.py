"""Doing what a remedy says: one transaction, with the failure and the remedy on record in the job's history."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from db import fleet, ledger, model_state, transitions
from db.jobs import Job
from db.model_state import ModelState
from db.stages import Stage
from docmill.errors import Failure, Repair
from docmill.llm.wire import learn
from prompts import PromptVersion
from tasks.calls.calibration import learn_tokens
from tasks.celery.drive import drive, drive_to_store
from tasks.services import Services
from tasks.setbacks import Setback, shows_pictures
from tasks.stages.step import Again, Onward, Step, Stop, fail
from tasks.stages.window import ladder_model, sent

__all__ = ["apply", "past_blindness", "past_hold", "wait"]


def past_hold(services: Services, job: Job, prompt: PromptVersion, state: ModelState) -> Step | None:
    """A call of another account's model, where the present one is held for want of quota; else None.

    Nobody has to meet the empty account again to be told where to go.
    """
    if state.hold_cause != "quota_exhausted":
        return None
    message = "the model is held: its account had no quota or credit left"
    failure = Failure(kind="quota_exhausted", message=message, retry_after_s=state.hold_s)
    setback = Setback.of(services, job, prompt, failure, answered=False)
    if setback.remedy.action != "next_model":
        return None
    # The hold stands; an operator may be ending it just now.
    remedy = replace(setback.remedy, hold_model=False)
    return services.database.run(apply, services, replace(setback, remedy=remedy))


def past_blindness(services: Services, job: Job, prompt: PromptVersion) -> Step:
    """Returns what is done where the model is known to take no pictures, without asking it again."""
    failure = Failure(
        kind="bad_request",
        message="the model is known to take no pictures",
        repair=Repair(action="no_images"),
    )
    setback = Setback.of(services, job, prompt, failure, answered=False)
    return services.database.run(apply, services, setback)


def apply(connection: Connection, services: Services, setback: Setback) -> Step:
    """Records the failure, and takes the job where the remedy says. The caller commits, then publishes."""
    if not transitions.note_failure(connection, setback.job, setback.entry):
        return Stop("stale")
    _tell_fleet(connection, services, setback)
    if setback.answered and setback.remedy.action not in ("review", "fail"):
        ledger.reject(connection, setback.job)
    job, remedy, kind = setback.job, setback.remedy, setback.failure.kind
    match remedy.action:
        case "retry" | "adapt":
            return wait(connection, job, remedy.countdown_s, kind, next_attempt=setback.answered)
        case "hold":
            held_for = model_state.hold_key(services.settings.models.find(ladder_model(job, setback.prompt)))
            transitions.hold(
                connection, job, "rate", for_s=remedy.hold_s, next_attempt=setback.answered, held_for=held_for
            )
            return Stop(f"held: {kind}")
        case "review":
            return _review(connection, services, setback)
        case "fail":
            return fail(connection, job, setback.last_word)
        case _:
            return _drive(connection, services, setback)


def _tell_fleet(connection: Connection, services: Services, setback: Setback) -> None:
    """What every job should know of the model: that it is held, or what it does not take."""
    remedy = setback.remedy
    model = services.settings.models.find(ladder_model(setback.job, setback.prompt))
    if remedy.hold_model and remedy.hold_s is not None:
        model_state.hold(connection, model, for_s=remedy.hold_s, cause=setback.failure.kind)
    repair = remedy.repair
    if repair is not None:
        model_state.learn(connection, model, lambda learned: learn(learned, repair))
    estimate = sent(setback.job, setback.prompt).get("estimate")
    if remedy.counted_tokens and estimate:
        learn_tokens(connection, model, {}, estimated=estimate, counted=remedy.counted_tokens, at_once=True)


def wait(connection: Connection, job: Job, countdown_s: float, word: str, *, next_attempt: bool = False) -> Step:
    """A Celery countdown while the broker has few of them; else the job is held in Postgres."""
    if countdown_s > 0 and not fleet.room_for_countdown(connection):
        transitions.hold(connection, job, "rate", for_s=countdown_s, next_attempt=next_attempt)
        return Stop(f"held: {word}")
    moved = transitions.count_down(connection, job, countdown_s=countdown_s, next_attempt=next_attempt)
    return Again(word, countdown_s) if moved else Stop("stale")


def _drive(connection: Connection, services: Services, setback: Setback) -> Step:
    job, remedy = setback.job, setback.remedy
    # Another model sees otherwise, and so its pictures are drawn for it.
    chosen_anew = remedy.action == "cut_context" or (remedy.action == "next_model" and shows_pictures(job))
    to: Stage = "context" if chosen_anew else "complete"
    started = drive(
        connection,
        services,
        job,
        to,
        remedy.action,
        next_attempt=setback.answered or remedy.purpose != job.purpose,
        purpose=remedy.purpose,
        model=remedy.model,
    )
    return Stop(remedy.action, (started,)) if started else Stop("stale")


def _review(connection: Connection, services: Services, setback: Setback) -> Step:
    job, failure = setback.job, setback.failure
    value = {**(job.value or {"answer": None}), "doubt": {"kind": failure.kind, "message": failure.message}}
    if job.stage == "parse":
        moved = transitions.advance(connection, job, "store", message_s=services.message_s, value=value)
        return Onward() if moved else Stop("stale")
    started = drive_to_store(connection, services, job, value, "review")
    return Stop("review", (started,)) if started else Stop("stale")
