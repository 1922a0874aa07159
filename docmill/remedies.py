"""What to do about a failure: pure, and the only place that decides (design, section 6).

Everything it needs is in its arguments: the failure, the failed calls of the job so far, and the policy of
the prompt. It never says "again" without an end: each remedy that leads to another answered call is counted
in the history, so a job makes at most :attr:`Policy.worst_case_calls` of them. Only waits may repeat for
long, and their end is the job's deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from docmill.errors import Failure, FailureKind, Repair

__all__ = ["Action", "Policy", "Purpose", "Remedy", "Tried", "decide"]

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

OUTAGES: frozenset[FailureKind] = frozenset({"overloaded", "server_error", "connection"})
MALFORMED: frozenset[FailureKind] = frozenset({"malformed", "invalid"})
BLOCKED: frozenset[FailureKind] = frozenset({"content_filtered", "refused"})
VALUED: frozenset[FailureKind] = frozenset({"invalid", "wrong"})
"""Failures that leave a value behind which a person can look at."""
ANSWERED: frozenset[FailureKind] = frozenset(("truncated", "wrong", *MALFORMED, *BLOCKED))
"""Failures of a call that the model has answered, and the provider charged for."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One failed call of the job."""

    purpose: Purpose
    kind: FailureKind
    model: str


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
    output_raises: int = 2
    max_cuts: int = 3
    """Times the context is cut because a provider found it too large."""
    adaptations: int = 4
    """Changed requests for each model, after the provider rejected one."""
    may_review: bool = True
    """Whether a person may be asked."""
    over_budget: Literal["hold", "fail", "cheaper"] = "hold"
    max_countdown_s: float = 60.0
    """Longer waits are holds: they wait in Postgres and not in the broker."""
    base_backoff_s: float = 1.0
    jitter: float = 0.5
    """A random number in [0, 1), drawn by the caller."""
    hold_unknown_s: float = 900.0
    """How long a model is held whose end of trouble nobody told."""
    rate_limit_patience: int = 8
    """Limits in a row on one model, none of which told a wait, before the job is held."""

    def __post_init__(self) -> None:
        if not self.ladder:
            raise ValueError("a ladder needs at least one model: name it under `ladder` in prompt.toml")

    @property
    def worst_case_calls(self) -> int:
        """An upper bound of the answered calls of one job, for estimates."""
        on_each_model = 1 + self.corrections
        once_a_job = int(self.json_mode) + self.output_raises + 1 + self.max_cuts
        return on_each_model * len(self.ladder) + once_a_job


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
    """The new output limit (raise_output)."""
    target_tokens: int | None = None
    """The most that the input may have (cut_context); None asks for half of what was sent."""
    repair: Repair | None = None
    """The change that makes the request acceptable (adapt)."""


def decide(failure: Failure, history: Sequence[Tried], policy: Policy) -> Remedy:
    """The remedy for a failure.

    ``history`` holds the failed calls of the job, the oldest first and the one in question last; an empty
    history is read as the first call, on the ladder's first model.
    """
    tried = tuple(history) or (Tried(purpose="first", kind=failure.kind, model=policy.ladder[0]),)
    return REMEDIES[failure.kind](Situation(failure=failure, history=tried, policy=policy))


@dataclass(frozen=True, kw_only=True)
class Situation:
    """A failure with all that bears on it."""

    failure: Failure
    history: tuple[Tried, ...]
    policy: Policy

    @property
    def model(self) -> str:
        return self.history[-1].model

    @property
    def purpose(self) -> Purpose:
        return self.history[-1].purpose

    @property
    def has_value(self) -> bool:
        return any(tried.kind in VALUED for tried in self.history)

    def count(self, *kinds: FailureKind, model: str | None = None) -> int:
        """Failed calls of these kinds, in the whole job or with one model."""
        return sum(tried.kind in kinds and model in (None, tried.model) for tried in self.history)

    def answered(self, purpose: Purpose, model: str | None = None) -> int:
        """Attempts of this purpose that were answered; what an outage took from them does not count."""
        return sum(
            tried.purpose == purpose and tried.kind in ANSWERED and model in (None, tried.model)
            for tried in self.history
        )

    def in_a_row(self, kind: FailureKind) -> int:
        """Failures of this kind with this model since anything else happened."""
        row = 0
        for tried in reversed(self.history):
            if (tried.kind, tried.model) != (kind, self.model):
                break
            row += 1
        return row

    def stronger(self) -> tuple[str, ...]:
        """The models above the present one; none above a model that the ladder does not have."""
        ladder = self.policy.ladder
        return ladder[ladder.index(self.model) + 1 :] if self.model in ladder else ()

    def cheaper_unasked(self) -> str | None:
        """The next cheaper model that has not answered yet."""
        ladder = self.policy.ladder
        below = ladder[: ladder.index(self.model)] if self.model in ladder else ()
        asked = {tried.model for tried in self.history if tried.kind in ANSWERED}
        return next((model for model in reversed(below) if model not in asked), None)

    def does(
        self,
        action: Action,
        reason: str,
        *,
        model: str | None = None,
        purpose: Purpose | None = None,
        countdown_s: float = 0.0,
        hold_s: float | None = None,
        hold_model: bool = False,
        max_output_tokens: int | None = None,
        target_tokens: int | None = None,
        repair: Repair | None = None,
    ) -> Remedy:
        """A remedy with the present model and purpose where no others are given."""
        return Remedy(
            action=action,
            reason=reason,
            model=model or self.model,
            purpose=purpose or self.purpose,
            countdown_s=countdown_s,
            hold_s=hold_s,
            hold_model=hold_model,
            max_output_tokens=max_output_tokens,
            target_tokens=target_tokens,
            repair=repair,
        )


# --- waits ---


def _wait(case: Situation, failures: int, reason: str) -> Remedy:
    """The same call again after the wait that was told, else after a growing one."""
    told = case.failure.retry_after_s
    if told is None:
        return case.does("retry", reason, countdown_s=_backoff_s(case.policy, failures))
    if told > case.policy.max_countdown_s:
        return case.does("hold", f"{reason}: the provider says to wait {told:.0f} s", hold_s=told)
    return case.does("retry", reason, countdown_s=_with_jitter(told, case.policy))


def _backoff_s(policy: Policy, failures: int) -> float:
    """Doubled with each failure up to the longest countdown, of which half to all is waited."""
    longest = min(policy.max_countdown_s, policy.base_backoff_s * 2.0 ** min(failures - 1, 32))
    return longest * (0.5 + policy.jitter / 2)


def _with_jitter(told_s: float, policy: Policy) -> float:
    """A little more than told, so that a fleet that was told the same does not come back as one."""
    wait = max(told_s, 0.0)
    return min(wait + policy.jitter * (0.1 + 0.05 * wait), policy.max_countdown_s)


def _rate_limited(case: Situation) -> Remedy:
    row = case.in_a_row("rate_limited")
    if case.failure.retry_after_s is None and row > case.policy.rate_limit_patience:
        reason = f"{row} rate limits in a row, none of which told a wait"
        return case.does("hold", reason, hold_s=case.policy.hold_unknown_s)
    return _wait(case, row, "the provider's rate limit is reached")


def _outage(case: Situation) -> Remedy:
    outages = case.count(*OUTAGES, model=case.model)
    if outages < case.policy.tries_per_model:
        return _wait(case, outages, f"{case.failure.kind} ({outages} of {case.policy.tries_per_model})")
    return _next_after_outage(case, f"{case.model} had {outages} outages")


def _timeout(case: Situation) -> Remedy:
    timeouts = case.count("timeout", model=case.model)
    if timeouts <= case.policy.timeouts:
        return _wait(case, timeouts, "no answer in time; the call may be billed")
    return _next_after_outage(case, f"{case.model} gave no answer in time, {timeouts} times")


def _next_after_outage(case: Situation, reason: str) -> Remedy:
    """The attempt goes on with another model: nothing was answered, so its purpose stays."""
    stronger = case.stronger() if case.policy.escalate else ()
    if stronger:
        return case.does("next_model", reason, model=stronger[0])
    return _give_up(case, f"{reason}, and the ladder has no other model")


def _in_doubt(case: Situation) -> Remedy:
    doubts = case.count("in_doubt")
    if doubts < case.policy.in_doubt:
        return case.does("retry", "the outcome of the call is unknown; it may be billed")
    return case.does("fail", f"{doubts} calls of unknown outcome: see the provider's bill, then `docmill retry`")


# --- the account ---


def _quota(case: Situation) -> Remedy:
    hold_s = case.failure.retry_after_s or case.policy.hold_unknown_s
    account = case.policy.accounts.get(case.model)
    stronger = case.stronger() if case.policy.escalate else ()
    others = [model for model in stronger if case.policy.accounts.get(model) != account]
    reason = f"the account of {case.model} has no quota or credit left"
    if others:
        return case.does("next_model", reason, model=others[0], hold_s=hold_s, hold_model=True)
    return case.does("hold", f"{reason}: top it up, then `docmill models`", hold_s=hold_s, hold_model=True)


def _auth(case: Situation) -> Remedy:
    reason = f"the provider rejects the key of {case.model}: set a valid one, then `docmill models release`"
    return case.does("fail", reason, hold_s=case.policy.hold_unknown_s, hold_model=True)


def _not_found(case: Situation) -> Remedy:
    return case.does("fail", f"the provider knows no {case.model}: see its name and address in docmill.toml")


def _budget(case: Situation) -> Remedy:
    if case.policy.over_budget == "fail":
        return case.does("fail", "the budget is spent, and its policy is to fail")
    cheaper = case.cheaper_unasked() if case.policy.over_budget == "cheaper" else None
    if cheaper:
        return case.does("next_model", "the budget has room for a cheaper model only", model=cheaper)
    if case.policy.over_budget == "cheaper" and case.has_value and case.policy.may_review:
        return case.does("review", "the budget stops escalation")
    return case.does("hold", "the budget is spent until its next window", hold_s=case.failure.retry_after_s)


# --- the request ---


def _bad_request(case: Situation) -> Remedy:
    repair = case.failure.repair
    if repair is None:
        return case.does("fail", f"the provider rejects the request: {case.failure.message}")
    if case.count("bad_request", model=case.model) > case.policy.adaptations:
        return case.does("fail", f"the request was changed and is still rejected: {case.failure.message}")
    named = f" {repair.parameter}" if repair.parameter else ""
    return case.does("adapt", f"the model does not take the request: {repair.action}{named}", repair=repair)


def _context_overflow(case: Situation) -> Remedy:
    cuts = case.count("context_overflow")
    if cuts > case.policy.max_cuts:
        return _give_up(case, f"the request is still too large after {cuts - 1} cuts")
    reason = "the request is larger than the model or the account takes"
    return case.does("cut_context", reason, purpose="overflow", target_tokens=_target_tokens(case, cuts))


def _target_tokens(case: Situation, cuts: int) -> int | None:
    """The limit less the answer, less a margin that grows with each cut that was not enough.

    A quarter of the limit stays in any case: some servers name the window with the answer already taken off.
    """
    limit = case.failure.limit_tokens or case.policy.context_tokens
    if limit is None:
        return None
    room = max(limit - case.policy.max_output_tokens, limit // 4)
    return max(int(room * 0.95 * 0.75 ** (cuts - 1)), 1)


# --- the answer ---


def _truncated(case: Situation) -> Remedy:
    times = case.count("truncated")
    raised = _raised_output(case.policy, times)
    if raised is not None:
        reason = "the answer was cut off at the output limit"
        return case.does("raise_output", reason, purpose="truncation", max_output_tokens=raised)
    if times <= _possible_raises(case.policy) + 1:
        return case.does("cut_context", "the answer is too long for the model: ask for less", purpose="overflow")
    return _escalate(case, "the answer is cut off however it is asked for")


def _raised_output(policy: Policy, times: int) -> int | None:
    """The output limit after so many answers that were cut off; None where it cannot be raised further."""
    if times > _possible_raises(policy):
        return None
    return _capped(policy.max_output_tokens * 2**times, policy)


def _possible_raises(policy: Policy) -> int:
    limits = [_capped(policy.max_output_tokens * 2**times, policy) for times in range(policy.output_raises + 1)]
    return sum(after > before for before, after in pairwise(limits))


def _capped(tokens: int, policy: Policy) -> int:
    most = policy.model_max_output_tokens
    return tokens if most is None else min(tokens, most)


def _malformed(case: Situation) -> Remedy:
    if case.answered("correction", case.model) < case.policy.corrections:
        return case.does("correct", f"the answer is {case.failure.kind}: say what is wrong", purpose="correction")
    if case.policy.json_mode and case.answered("json_mode") < 1:
        reason = f"the answer is {case.failure.kind} after correction"
        return case.does("json_mode", reason, purpose="json_mode")
    return _escalate(case, f"the answer stays {case.failure.kind}")


def _wrong(case: Situation) -> Remedy:
    return _escalate(case, "the answer does not pass the checks")


def _blocked(case: Situation) -> Remedy:
    reason = f"{case.model}: {case.failure.kind}"
    stronger = case.stronger() if case.policy.escalate else ()
    if stronger and case.count(*BLOCKED) <= 1:
        return case.does("next_model", reason, model=stronger[0], purpose="escalation")
    return case.does("review" if case.policy.may_review else "fail", reason)


def _escalate(case: Situation, reason: str) -> Remedy:
    stronger = case.stronger() if case.policy.escalate else ()
    if stronger:
        return case.does("next_model", reason, model=stronger[0], purpose="escalation")
    return _give_up(case, reason)


def _give_up(case: Situation, reason: str) -> Remedy:
    """A person looks at it where there is a value to look at; else the job has failed."""
    if case.has_value and case.policy.may_review:
        return case.does("review", reason)
    return case.does("fail", reason)


def _fail(case: Situation) -> Remedy:
    return case.does("fail", case.failure.message or f"the job ends as {case.failure.kind}")


REMEDIES: Mapping[FailureKind, Callable[[Situation], Remedy]] = {
    "rate_limited": _rate_limited,
    "overloaded": _outage,
    "server_error": _outage,
    "connection": _outage,
    "timeout": _timeout,
    "in_doubt": _in_doubt,
    "quota_exhausted": _quota,
    "auth": _auth,
    "not_found": _not_found,
    "bad_request": _bad_request,
    "budget": _budget,
    "context_overflow": _context_overflow,
    "truncated": _truncated,
    "malformed": _malformed,
    "invalid": _malformed,
    "wrong": _wrong,
    "content_filtered": _blocked,
    "refused": _blocked,
    "deadline": _fail,
    "poison": _fail,
    "internal": _fail,
    "unreadable": _fail,
}
