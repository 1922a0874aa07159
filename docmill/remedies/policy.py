"""What remedies are decided from, and what a remedy is: values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from docmill.errors import FailureKind, Repair

__all__ = [
    "LONGEST_HOLD_S",
    "Action",
    "Policy",
    "Purpose",
    "Remedy",
    "Tried",
    "believable_wait_s",
    "most_answers",
    "most_calls",
]

LONGEST_WAIT_S = 86_400.0
"""No provider means a longer one: what says so is a date, a mistake, or malice."""
LONGEST_HOLD_S = 3600.0
"""After so long it is tried whether the wait is over, whatever was told: one call too early harms nobody."""

Purpose: TypeAlias = Literal["first", "correction", "json_mode", "overflow", "truncation", "escalation"]
"""Why an attempt is made."""

Action: TypeAlias = Literal[
    "retry",
    "hold",
    "correct",
    "json_mode",
    "cut_context",
    "raise_output",
    "next_model",
    "adapt",
    "review",
    "fail",
]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One failed call of the job."""

    purpose: Purpose = "first"
    kind: FailureKind
    model: str
    input_tokens: int | None = None
    """What was sent, as docmill counted it; None is unknown."""
    output_limit: int | None = None
    """The output limit that was sent; None: that of the policy."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The ladder and the limits of one prompt."""

    ladder: tuple[str, ...]
    """Models in order, the cheapest first; at least one."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Model to account; models without an entry share one."""
    max_output_tokens: int = 2048
    """The output limit of the first attempt."""
    model_max_output_tokens: int | None = None
    """The most that the model can write; None is unknown, and the provider will say."""
    context_tokens: int | None = None
    """The window, as far as it is known, in tokens."""
    tries_per_model: int = 3
    """Calls to one model that end in an outage before the next model is asked."""
    outage_holds: int = 6
    """Holds, each longer, once no model of the ladder answers."""
    timeouts: int = 2
    """Retries of one model after a timeout, each of which may be billed."""
    in_doubt: int = 2
    """Calls with an unknown outcome before a person decides."""
    corrections: int = 1
    """Correction rounds for each model."""
    json_mode: bool = True
    """Whether the native JSON mode is worth asking for, once a job."""
    escalate: bool = True
    """False stops at the model of the first attempt, as the budget policy *cheaper* demands."""
    output_raises: int = 3
    """Times that the output limit is doubled for one model, before its input is made shorter, which loses some."""
    max_cuts: int = 5
    """Times that a request is made smaller for one model. Nothing is paid for a request that is too large."""
    adaptations: int = 4
    """Changed requests for each model, after the provider rejected one."""
    may_review: bool = True
    """Whether a person may be asked."""
    may_read: bool = False
    """Whether the document can be shown as text where no model of the ladder takes pictures."""
    over_budget: Literal["hold", "fail", "cheaper"] = "hold"
    max_countdown_s: float = 60.0
    """Longer waits are holds: they wait in Postgres and not in the broker."""
    base_backoff_s: float = 1.0
    jitter: float = 0.5
    """A random number in [0, 1), drawn by the caller."""
    hold_unknown_s: float = 900.0
    """How long a model is held whose end of trouble nobody told; also the longest hold for an outage."""
    rate_limit_patience: int = 8
    """Limits in a row on one model before the job is held, and leaves the countdowns to others."""
    most_waits: int = 100
    """Refusals for a limit, or for a quota, before the job has failed: more than a day of holds."""

    def __post_init__(self) -> None:
        if not self.ladder:
            raise ValueError("a ladder needs at least one model: name it under `ladder` in prompt.toml")
        # A list is as good: what is frozen must not change under its holder.
        object.__setattr__(self, "ladder", tuple(self.ladder))


def believable_wait_s(told_s: float | None) -> float | None:
    """The wait in seconds as a provider told it; None, as if it had told nothing, where it cannot be meant."""
    if told_s is None or not math.isfinite(told_s) or told_s > LONGEST_WAIT_S:
        return None
    return max(0.0, float(told_s))


def most_answers(policy: Policy) -> int:
    """The most answers that one job can be charged for, lost ones (``possibly_billed``) apart."""
    usable = 1 + policy.corrections
    truncated = policy.output_raises + 2
    return (usable + truncated + policy.max_cuts) * len(policy.ladder) + int(policy.json_mode)


def most_calls(policy: Policy) -> int:
    """The most calls that one job makes, whatever comes back; most of them are refusals that nobody charges for.

    :func:`docmill.remedies.decide` ends a job that has made so many.
    """
    outages = policy.tries_per_model + policy.outage_holds
    on_each_model = outages + policy.timeouts + 1 + policy.max_cuts + 1 + policy.adaptations + 1
    once_a_job = policy.in_doubt + 2 * policy.most_waits
    return most_answers(policy) + on_each_model * len(policy.ladder) + once_a_job


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to do next, and all that is needed to do it."""

    action: Action
    reason: str
    """For the ledger and the operator."""
    model: str
    """The model of the next call, by its name in the ladder."""
    purpose: Purpose
    """The purpose of the next call; that of the failed one where the same attempt goes on."""
    countdown_s: float = 0.0
    hold_s: float | None = None
    """Seconds that the job is held, or the model where ``hold_model`` says so."""
    hold_model: bool = False
    """True where no other job can have success with this model either."""
    max_output_tokens: int | None = None
    """The new output limit (raise_output, cut_context); None leaves it."""
    target_tokens: int | None = None
    """The most that the whole input may have (cut_context); None asks for half of the document."""
    counted_tokens: int | None = None
    """The input that was sent, as the provider counts (cut_context); None where it did not say."""
    repair: Repair | None = None
    """The change that makes the request acceptable (adapt)."""
