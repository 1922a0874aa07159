"""Doing what a remedy says: one transaction, with the failure and the remedy on record in the job's history."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from db import fleet, ledger, model_state, transitions
from db.jobs import Job
from db.model_state import ModelState
from db.stages import Stage
from docmill.errors import Failure, Repair
from docmill.llm.tokens import counter_for, learn_picture_ratio, learn_ratio
from docmill.llm.wire import learn
from docmill.remedies import Policy, Remedy, Tried, decide
from docmill.settings import Model, ModelTable
from prompts import PromptVersion
from tasks.celery.drive import drive, drive_to_store
from tasks.services import Configured, Services
from tasks.stages.step import Again, Onward, Step, Stop, fail
from tasks.stages.window import ladder_model, sent

__all__ = ["Setback", "apply", "ladder_model", "learn_tokens", "past_hold", "policy_of", "tried", "wait"]

SIZED = ("context_overflow", "truncated")
"""Kinds after which the size of the request is worth keeping."""


def policy_of(services: Configured, prompt: PromptVersion, job: Job, jitter: float) -> Policy:
    """The ladder and the limits that remedies keep to."""
    # Found and not got: the process that parses calls nobody, and may have no keys.
    configured = services.settings.models
    present = configured.find(ladder_model(job, prompt))
    return Policy(
        ladder=_ladder(services, prompt, job),
        may_read=prompt.config.input.see == "auto" and not (job.context or {}).get("unread"),
        accounts={name: configured.find(name).account for name in prompt.config.ladder},
        max_output_tokens=prompt.config.limits.max_output_tokens,
        model_max_output_tokens=present.max_output_tokens,
        context_tokens=present.context_tokens,
        jitter=jitter,
    )


def shows_pictures(job: Job) -> bool:
    """Whether the job's request has pictures of pages."""
    return bool((job.context or {}).get("pictures"))


def _ladder(services: Configured, prompt: PromptVersion, job: Job) -> tuple[str, ...]:
    """The models that can take the job's request: pictures are for those alone that are not known to be blind."""
    ladder = prompt.config.ladder
    if not shows_pictures(job):
        return ladder
    present = ladder_model(job, prompt)
    configured = services.settings.models
    return tuple(name for name in ladder if name == present or configured.find(name).sees)


def tried(job: Job, prompt: PromptVersion) -> list[Tried]:
    """The job's failed calls so far, those for a question's vector left out: they are another model's."""
    return [
        Tried(
            purpose=entry["purpose"],
            kind=entry["kind"],
            model=entry.get("model") or prompt.config.ladder[0],
            input_tokens=entry.get("input_tokens"),
            output_limit=entry.get("output_limit"),
        )
        for entry in job.history
        if entry["purpose"] != "embed"
    ]


@dataclass(frozen=True, kw_only=True)
class Setback:
    """A failure of a job's present attempt, and the remedy for it."""

    job: Job
    prompt: PromptVersion
    failure: Failure
    remedy: Remedy
    answered: bool
    """Whether the model gave an answer: what follows one is a new attempt, and else the next try of the same."""
    problems: Sequence[str] = ()
    """What is wrong with the answer, for a correction."""

    @classmethod
    def of(
        cls,
        services: Configured,
        job: Job,
        prompt: PromptVersion,
        failure: Failure,
        *,
        answered: bool,
        problems: Sequence[str] = (),
    ) -> Setback:
        """The setback with its remedy decided, given all that failed before."""
        size = sent(job, prompt)
        now = Tried(
            purpose=job.purpose,
            kind=failure.kind,
            model=ladder_model(job, prompt),
            input_tokens=size.get("input_tokens"),
            output_limit=size["output_limit"],
        )
        jitter = random.random()  # noqa: S311 - it spreads waits
        remedy = decide(failure, [*tried(job, prompt), now], policy_of(services, prompt, job, jitter))
        return cls(job=job, prompt=prompt, failure=failure, remedy=remedy, answered=answered, problems=problems)

    @property
    def entry(self) -> dict[str, Any]:
        """What the job's history keeps of it."""
        entry: dict[str, Any] = {
            "kind": self.failure.kind,
            "purpose": self.job.purpose,
            "attempt": self.job.attempt,
            "model": ladder_model(self.job, self.prompt),
            "remedy": self.remedy.action,
            "reason": self.remedy.reason,
            "message": self.failure.message,
        }
        figures = {
            "problems": list(self.problems),
            "max_output_tokens": self.remedy.max_output_tokens,
            "target_tokens": self.remedy.target_tokens,
            "counted_tokens": self.remedy.counted_tokens,
            "countdown_s": round(self.remedy.countdown_s, 3),
        }
        entry |= {name: figure for name, figure in figures.items() if figure}
        return entry | sent(self.job, self.prompt) if self.failure.kind in SIZED else entry


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
    """What is done where the model is known to take no pictures, without asking it again."""
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
            return fail(connection, job, _final(setback.failure, remedy))
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


def learn_tokens(
    connection: Connection,
    model: Model | ModelTable,
    known: Mapping[str, Any],
    *,
    estimated: int,
    counted: int,
    at_once: bool = False,
) -> None:
    """Keeps how far our count is from the provider's, where that is news; ``known`` as it was last read."""
    if counter_for(model.model).encoding is not None:
        return

    def change(learned: Mapping[str, Any]) -> Mapping[str, Any]:
        return learn_ratio(learned, estimated=estimated, counted=counted, at_once=at_once) or learned

    if change(known) is not known:
        model_state.learn(connection, model, change)


def learn_picture_tokens(
    connection: Connection,
    model: Model | ModelTable,
    known: Mapping[str, Any],
    *,
    words: int,
    pictures: int,
    counted: int,
) -> None:
    """Keeps how far the published rule of pictures is from the provider's count, where that is news."""

    def change(learned: Mapping[str, Any]) -> Mapping[str, Any]:
        told = counter_for(model.model, learned).scaled(words)
        return learn_picture_ratio(learned, words=told, pictures=pictures, counted=counted) or learned

    if change(known) is not known:
        model_state.learn(connection, model, change)


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


def _final(failure: Failure, remedy: Remedy) -> Failure:
    told = failure.message and failure.message not in remedy.reason
    message = f"{remedy.reason}: {failure.message}" if told else remedy.reason
    return Failure(kind=failure.kind, message=message, status=failure.status)
