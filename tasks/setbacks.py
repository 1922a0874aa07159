"""What failed on a job's way, and the remedy for it, decided from what is on record of the job."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from db.jobs import Job
from docmill.errors import Failure
from docmill.remedies import Policy, Remedy, Tried, decide
from prompts import PromptVersion
from tasks.services import Configured
from tasks.stages.window import ladder_model, sent

__all__ = ["Setback", "policy_of", "shows_pictures", "too_many_doubts"]

SIZED = ("context_overflow", "truncated")
"""Kinds after which the size of the request is worth keeping."""


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
        """Decides the remedy of a failure, given all that failed before."""
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

    @classmethod
    def over_budget(
        cls,
        services: Configured,
        job: Job,
        prompt: PromptVersion,
        failure: Failure,
        policy: Literal["hold", "fail", "cheaper"],
    ) -> Setback:
        """The setback of a call that no budget has room for, as the strictest budget's ``policy`` wants it."""
        limits = replace(policy_of(services, prompt, job, 0.0), over_budget=policy)
        now = Tried(purpose=job.purpose, kind="budget", model=ladder_model(job, prompt))
        remedy = decide(failure, [*tried(job, prompt), now], limits)
        return cls(job=job, prompt=prompt, failure=failure, remedy=remedy, answered=False)

    @property
    def last_word(self) -> Failure:
        """The failure with which the job ends: why nothing more is tried, and what it met."""
        reason, failure = self.remedy.reason, self.failure
        told = failure.message and failure.message not in reason
        message = f"{reason}: {failure.message}" if told else reason
        return Failure(kind=failure.kind, message=message, status=failure.status)

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


def _ladder(services: Configured, prompt: PromptVersion, job: Job) -> tuple[str, ...]:
    """The models that can take the job's request: pictures are for those alone that are not known to be blind."""
    ladder = prompt.config.ladder
    if not shows_pictures(job):
        return ladder
    present = ladder_model(job, prompt)
    configured = services.settings.models
    return tuple(name for name in ladder if name == present or configured.find(name).sees)


def shows_pictures(job: Job) -> bool:
    """Returns whether the job's request has pictures of pages."""
    return bool((job.context or {}).get("pictures"))


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


def too_many_doubts(services: Configured, job: Job, prompt: PromptVersion) -> Failure | None:
    """After calls of unknown outcome, which may all be billed, a person decides about another one."""
    if not job.history or job.history[-1]["kind"] != "in_doubt":
        return None
    policy = policy_of(services, prompt, job, jitter=0.0)
    remedy = decide(Failure(kind="in_doubt"), tried(job, prompt), policy)
    return Failure(kind="in_doubt", message=remedy.reason) if remedy.action == "fail" else None
