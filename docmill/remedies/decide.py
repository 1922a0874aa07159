"""What to do about a failure: pure, and the only place that decides.

Everything it needs is in its arguments: the failure, the failed calls of the job so far, and the policy of
the prompt. It never says "again" without an end: whatever a remedy leads to is counted in the history, and a job
that has made :func:`most_calls` of them ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from docmill.errors import Failure, FailureKind, Repair
from docmill.remedies.overflow import fit
from docmill.remedies.policy import (
    LONGEST_HOLD_S,
    Action,
    Policy,
    Purpose,
    Remedy,
    Tried,
    believable_wait_s,
    most_calls,
)

__all__ = ["decide"]

OUTAGES: frozenset[FailureKind] = frozenset({"overloaded", "server_error", "connection"})
MALFORMED: frozenset[FailureKind] = frozenset({"malformed", "invalid"})
BLOCKED: frozenset[FailureKind] = frozenset({"content_filtered", "refused"})
VALUED: frozenset[FailureKind] = frozenset({"invalid", "wrong"})
"""Failures that leave a value behind which a person can look at."""
ANSWERED: frozenset[FailureKind] = frozenset(("truncated", "wrong", *MALFORMED, *BLOCKED))
"""Failures of a call that the model has answered, and the provider charged for."""
FREE: frozenset[FailureKind] = frozenset({"budget"})
"""Failures without a call."""

FIRST_OUTAGE_HOLD_S = 30.0
FIRST_LIMIT_HOLD_S = 60.0


def decide(failure: Failure, history: Sequence[Tried], policy: Policy) -> Remedy:
    """The remedy for a failure.

    ``history`` holds the failed calls of the job, the oldest first and the one in question last. Where the last
    is of another kind, or there is none, the one in question is taken for the call that followed.
    """
    if failure.kind not in FREE:  # a budget's next window may be weeks away
        failure = replace(failure, retry_after_s=believable_wait_s(failure.retry_after_s))
    case = Situation(failure=failure, history=_with_this_one(failure, history, policy), policy=policy)
    calls = sum(tried.kind not in FREE for tried in case.history)
    if calls >= most_calls(policy) and failure.kind not in FREE:
        return _give_up(case, f"{calls} calls are the most that this prompt allows a job")
    return REMEDIES[failure.kind](case)


def _with_this_one(failure: Failure, history: Sequence[Tried], policy: Policy) -> tuple[Tried, ...]:
    if not history:
        return (Tried(kind=failure.kind, model=policy.ladder[0]),)
    before = history[-1]
    if before.kind == failure.kind:
        return tuple(history)
    remedy = decide(Failure(kind=before.kind), history, policy)
    return (*history, Tried(purpose=remedy.purpose, kind=failure.kind, model=remedy.model))


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
    def output_limit(self) -> int:
        """The one that was sent."""
        return self.history[-1].output_limit or self.policy.max_output_tokens

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
        """The next cheaper model that was not asked yet."""
        ladder = self.policy.ladder
        below = ladder[: ladder.index(self.model)] if self.model in ladder else ()
        asked = {tried.model for tried in self.history if tried.kind not in FREE}
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
        counted_tokens: int | None = None,
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
            counted_tokens=counted_tokens,
            repair=repair,
        )


# --- waits ---


def _wait(case: Situation, failures: int, reason: str) -> Remedy:
    """The same call again after the wait that was told, else after a growing one."""
    told = case.failure.retry_after_s
    if told is None:
        return case.does("retry", reason, countdown_s=_backoff_s(case.policy, failures))
    if told > case.policy.max_countdown_s:
        return case.does("hold", f"{reason}: the provider says to wait {told:.0f} s", hold_s=_held_s(told))
    return case.does("retry", reason, countdown_s=_with_jitter(told, case.policy))


def _held_s(told_s: float) -> float:
    """A believable wait holds for an hour at most; then somebody tries whether it is over."""
    return min(told_s, LONGEST_HOLD_S)


def _backoff_s(policy: Policy, failures: int) -> float:
    """Doubled with each failure up to the longest countdown, of which half to all is waited."""
    longest = min(policy.max_countdown_s, policy.base_backoff_s * 2.0 ** min(failures - 1, 32))
    return longest * (0.5 + policy.jitter / 2)


def _with_jitter(told_s: float, policy: Policy) -> float:
    """A little more than told, so that a fleet that was told the same does not come back as one."""
    wait = max(told_s, 0.0)
    return min(wait + policy.jitter * (0.1 + 0.05 * wait), policy.max_countdown_s)


def _rate_limited(case: Situation) -> Remedy:
    reason = "the provider's rate limit is reached"
    if case.count("rate_limited") > case.policy.most_waits:
        return _give_up(case, f"{reason}, for the {case.count('rate_limited')}th time")
    row = case.in_a_row("rate_limited")
    beyond = row - case.policy.rate_limit_patience
    if beyond <= 0:
        return _wait(case, row, reason)
    told = case.failure.retry_after_s
    hold_s = _growing(FIRST_LIMIT_HOLD_S, beyond, case.policy) if told is not None else case.policy.hold_unknown_s
    return case.does("hold", f"{reason}, {row} times in a row", hold_s=_held_s(max(told or 0.0, hold_s)))


def _growing(first_s: float, times: int, policy: Policy) -> float:
    """Doubled each time, up to the hold for what nobody knows the end of."""
    return min(first_s * 2.0 ** min(times - 1, 32), policy.hold_unknown_s)


def _outage(case: Situation) -> Remedy:
    policy = case.policy
    outages = case.count(*OUTAGES, model=case.model)
    if outages < policy.tries_per_model:
        return _wait(case, outages, f"{case.failure.kind} ({outages} of {policy.tries_per_model})")
    reason = f"{case.model} had {outages} outages"
    holds = outages - policy.tries_per_model + 1
    if (case.stronger() and policy.escalate) or holds > policy.outage_holds:
        return _next_after_outage(case, reason)
    # An outage is nobody's fault here, and most end within minutes: the job is not lost for it.
    told = case.failure.retry_after_s or 0.0
    hold_s = _held_s(max(told, _growing(FIRST_OUTAGE_HOLD_S, holds, policy)))
    return case.does("hold", f"{reason}, and the ladder has no other model", hold_s=hold_s)


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
    refused = case.count("quota_exhausted")
    if refused > case.policy.most_waits:
        return _give_up(case, f"the account of {case.model} had no quota or credit left, {refused} times")
    hold_s = _held_s(case.failure.retry_after_s or case.policy.hold_unknown_s)
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


def _no_rule(case: Situation) -> Remedy:
    """Asking again, or another model of the simulator's, finds no more."""
    return case.does("fail", case.failure.message or "the simulator's rules find no value for what is asked")


def _budget(case: Situation) -> Remedy:
    if case.policy.over_budget == "fail":
        return case.does("fail", "the budget is spent, and its policy is to fail")
    # Once only for each model: a cheaper one that is out of order leads back here.
    goes_cheaper = case.policy.over_budget == "cheaper" and case.count("budget", model=case.model) <= 1
    cheaper = case.cheaper_unasked() if goes_cheaper else None
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
    if repair.action == "no_images":
        return _blind(case, repair)
    if case.count("bad_request", model=case.model) > case.policy.adaptations:
        return case.does("fail", f"the request was changed and is still rejected: {case.failure.message}")
    named = f" {repair.parameter}" if repair.parameter else ""
    return case.does("adapt", f"the model does not take the request: {repair.action}{named}", repair=repair)


def _blind(case: Situation, repair: Repair) -> Remedy:
    """The same model is never asked again with a picture: a stronger one is, or the text is chosen instead."""
    reason = f"{case.model} takes no pictures"
    stronger = case.stronger() if case.policy.escalate else ()
    if stronger:
        return case.does("next_model", reason, model=stronger[0], repair=repair)
    if case.policy.may_read and case.count("bad_request", model=case.model) <= 1:
        return case.does("cut_context", reason, repair=repair)
    told = f"{reason}, and the ladder has no other model that does: name one with images = true in docmill.toml"
    return case.does("fail", told, repair=repair)


def _context_overflow(case: Situation) -> Remedy:
    cuts = case.count("context_overflow", model=case.model)
    if cuts > case.policy.max_cuts:
        return _escalate(case, f"the request is still too large for {case.model} after {cuts - 1} cuts")
    size = fit(
        limit=case.failure.limit_tokens or case.policy.context_tokens,
        actual=case.failure.actual_tokens,
        sent=case.history[-1].input_tokens,
        output_limit=case.output_limit,
        cuts=cuts,
    )
    reason = "the request is larger than the model or the account takes"
    return case.does(
        "cut_context",
        reason,
        purpose="overflow",
        target_tokens=size.input_tokens,
        counted_tokens=size.counted_tokens,
        max_output_tokens=size.output_limit if size.output_limit != case.output_limit else None,
    )


# --- the answer ---


def _truncated(case: Situation) -> Remedy:
    times = case.count("truncated", model=case.model)
    raised = _raised_output(case, times)
    if raised is not None:
        reason = "the answer was cut off at the output limit"
        return case.does("raise_output", reason, purpose="truncation", max_output_tokens=raised)
    if times <= _possible_raises(case.policy) + 1:
        return case.does("cut_context", "the answer is too long for the model: ask for less", purpose="overflow")
    return _escalate(case, "the answer is cut off however it is asked for")


def _raised_output(case: Situation, times: int) -> int | None:
    """Twice the output limit that was sent; None where it cannot be raised further."""
    if times > _possible_raises(case.policy):
        return None
    raised = _capped(case.output_limit * 2, case.policy)
    return raised if raised > case.output_limit else None


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
    "no_rule": _no_rule,
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
