from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import Failure, FailureKind, Repair
from docmill.remedies import ANSWERED, REMEDIES, Policy, Purpose, Remedy, Tried, decide

SMALL, LARGE = "small", "large"
LADDER = Policy(ladder=(SMALL, LARGE))


def tried(kind: FailureKind, model: str = SMALL, purpose: Purpose = "first") -> Tried:
    return Tried(purpose=purpose, kind=kind, model=model)


def after(*history: Tried, policy: Policy = LADDER, **fields: object) -> Remedy:
    """The remedy for the last failure of a history."""
    return decide(Failure(kind=history[-1].kind, **fields), history, policy)  # type: ignore[arg-type]  # by name


def test_every_kind_has_a_remedy() -> None:
    assert set(REMEDIES) == set(get_args(FailureKind))


def test_a_short_wait_is_a_countdown_and_a_long_one_a_hold() -> None:
    short = after(tried("rate_limited"), retry_after_s=20.0)
    long = after(tried("rate_limited"), retry_after_s=61.0)
    assert (short.action, short.model, short.purpose) == ("retry", SMALL, "first")
    assert 20 <= short.countdown_s < 23
    assert (long.action, long.hold_s) == ("hold", 61.0)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("told", [0.0, 0.2, 59.9, 60.0])
def test_nobody_comes_back_before_the_told_wait(told: float, jitter: float) -> None:
    policy = Policy(ladder=(SMALL,), jitter=jitter)
    remedy = after(tried("rate_limited"), policy=policy, retry_after_s=told)
    assert told <= remedy.countdown_s <= 60


def test_the_wait_nobody_told_doubles_and_ends_in_a_hold() -> None:
    waits = [after(*[tried("rate_limited")] * times) for times in range(1, 10)]
    assert [wait.countdown_s for wait in waits[:4]] == [0.75, 1.5, 3.0, 6.0]
    assert waits[-2].action == "retry"
    assert (waits[-1].action, waits[-1].hold_s) == ("hold", 900)


@pytest.mark.parametrize("kind", ["overloaded", "server_error", "connection"])
def test_an_outage_backs_off_and_then_asks_the_next_model(kind: FailureKind) -> None:
    down = tried(kind)
    assert after(down).action == after(down, down).action == "retry"
    third = after(down, down, down)
    assert (third.action, third.model, third.purpose) == ("next_model", LARGE, "first")
    assert after(down, down, down, *[tried(kind, LARGE)] * 3).action == "fail"


def test_an_outage_in_a_correction_does_not_use_it_up() -> None:
    remedy = after(
        tried("malformed"), tried("server_error", purpose="correction"), tried("malformed", purpose="first")
    )
    assert remedy.action == "correct"


def test_an_outage_after_a_doubtful_value_goes_to_a_person() -> None:
    assert after(tried("wrong"), *[tried("overloaded", LARGE, "escalation")] * 3).action == "review"


def test_a_timeout_is_tried_twice_more() -> None:
    out = tried("timeout")
    assert [after(*[out] * times).action for times in (1, 2, 3)] == ["retry", "retry", "next_model"]


def test_two_calls_in_doubt_are_a_persons_matter() -> None:
    doubt = tried("in_doubt")
    assert [after(doubt).action, after(doubt, doubt).action] == ["retry", "fail"]


def test_a_spent_quota_holds_the_model_and_uses_another_account() -> None:
    two = Policy(ladder=(SMALL, LARGE), accounts={SMALL: "a", LARGE: "b"})
    one = Policy(ladder=(SMALL, LARGE), accounts={SMALL: "a", LARGE: "a"})
    other = after(tried("quota_exhausted"), policy=two)
    held = after(tried("quota_exhausted"), policy=one)
    assert (other.action, other.model, other.hold_model) == ("next_model", LARGE, True)
    assert (held.action, held.hold_s, held.hold_model) == ("hold", 900, True)


def test_a_wrong_key_fails_the_job_and_holds_the_model() -> None:
    remedy = after(tried("auth"))
    assert (remedy.action, remedy.hold_model, remedy.hold_s) == ("fail", True, 900)


def test_a_rejected_request_is_repaired_where_it_can_be() -> None:
    repair = Repair(action="drop", parameter="temperature")
    rejected = tried("bad_request")
    remedy = after(rejected, repair=repair)
    assert (remedy.action, remedy.repair, remedy.purpose) == ("adapt", repair, "first")
    assert after(rejected).action == "fail"
    assert after(*[rejected] * 5, repair=repair).action == "fail"


def test_the_context_is_cut_to_the_limit_that_was_named() -> None:
    policy = Policy(ladder=(SMALL,), max_output_tokens=1000)
    big = tried("context_overflow")
    first = after(big, policy=policy, limit_tokens=8000)
    second = after(big, big, policy=policy, limit_tokens=8000)
    assert (first.action, first.purpose, first.target_tokens) == ("cut_context", "overflow", 6650)
    assert second.target_tokens is not None
    assert second.target_tokens < 6650
    assert after(big, policy=policy).target_tokens is None
    assert after(*[big] * 4, policy=policy, limit_tokens=8000).action == "fail"


def test_a_tiny_limit_leaves_something_of_the_document() -> None:
    remedy = after(tried("context_overflow"), limit_tokens=3)
    assert remedy.target_tokens == 1


def test_a_cut_answer_gets_more_room_while_there_is_some() -> None:
    policy = Policy(ladder=(SMALL, LARGE), max_output_tokens=1000, model_max_output_tokens=3000)
    cut = tried("truncated")
    remedies = [after(*[cut] * times, policy=policy) for times in (1, 2, 3, 4)]
    assert [remedy.action for remedy in remedies] == [
        "raise_output",
        "raise_output",
        "cut_context",
        "next_model",
    ]
    assert [remedy.max_output_tokens for remedy in remedies[:2]] == [2000, 3000]
    full = Policy(ladder=(SMALL,), max_output_tokens=1000, model_max_output_tokens=1000)
    assert after(cut, policy=full).action == "cut_context"
    assert after(cut, cut, policy=full).action == "fail"


@pytest.mark.parametrize(("kind", "end"), [("malformed", "fail"), ("invalid", "review")])
def test_an_unusable_answer_is_corrected_then_asked_as_json_then_escalated(kind: FailureKind, end: str) -> None:
    history = [tried(kind)]
    first = after(*history)
    assert (first.action, first.purpose, first.model) == ("correct", "correction", SMALL)
    history.append(tried(kind, purpose="correction"))
    second = after(*history)
    assert (second.action, second.purpose) == ("json_mode", "json_mode")
    history.append(tried(kind, purpose="json_mode"))
    third = after(*history)
    assert (third.action, third.purpose, third.model) == ("next_model", "escalation", LARGE)
    history.append(tried(kind, LARGE, "escalation"))
    assert after(*history).action == "correct"
    history.append(tried(kind, LARGE, "correction"))
    assert after(*history).action == end


def test_a_wrong_value_is_escalated_and_then_reviewed() -> None:
    first = after(tried("wrong"))
    assert (first.action, first.model, first.purpose) == ("next_model", LARGE, "escalation")
    both = (tried("wrong"), tried("wrong", LARGE, "escalation"))
    assert after(*both).action == "review"
    assert after(*both, policy=Policy(ladder=(SMALL, LARGE), may_review=False)).action == "fail"
    assert after(tried("wrong"), policy=Policy(ladder=(SMALL, LARGE), escalate=False)).action == "review"


@pytest.mark.parametrize("kind", ["content_filtered", "refused"])
def test_a_refusal_asks_one_other_model_and_then_a_person(kind: FailureKind) -> None:
    three = Policy(ladder=(SMALL, LARGE, "huge"))
    assert after(tried(kind), policy=three).model == LARGE
    assert after(tried(kind), tried(kind, LARGE, "escalation"), policy=three).action == "review"


@pytest.mark.parametrize("kind", ["not_found", "deadline", "poison", "internal", "unreadable"])
def test_what_no_call_can_mend_fails_at_once(kind: FailureKind) -> None:
    assert after(tried(kind)).action == "fail"


def test_a_spent_budget_does_what_its_policy_says() -> None:
    hold = after(tried("budget"), retry_after_s=3600.0)
    assert (hold.action, hold.hold_s) == ("hold", 3600)
    assert after(tried("budget"), policy=Policy(ladder=(SMALL,), over_budget="fail")).action == "fail"
    cheaper = Policy(ladder=(SMALL, LARGE), over_budget="cheaper")
    at_large = after(tried("budget", LARGE), policy=cheaper)
    assert (at_large.action, at_large.model) == ("next_model", SMALL)
    assert after(tried("budget"), policy=cheaper).action == "hold"
    assert after(tried("wrong"), tried("budget", LARGE, "escalation"), policy=cheaper).action == "review"


def test_an_empty_history_is_the_first_call_of_the_first_model() -> None:
    remedy = decide(Failure(kind="malformed"), (), LADDER)
    assert (remedy.action, remedy.model) == ("correct", SMALL)


def test_a_ladder_without_models_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        Policy(ladder=())


def test_a_model_that_left_the_ladder_still_ends() -> None:
    assert after(tried("wrong", "gone")).action == "review"


failures = st.builds(
    Failure,
    kind=st.sampled_from(sorted(REMEDIES)),
    retry_after_s=st.none() | st.floats(0, 200),
    limit_tokens=st.none() | st.integers(1, 10**6),
    repair=st.none() | st.just(Repair(action="drop", parameter="seed")),
)
policies = st.builds(
    Policy,
    ladder=st.sampled_from([(SMALL,), (SMALL, LARGE), (SMALL, LARGE, "huge")]),
    accounts=st.sampled_from([{}, {SMALL: "a", LARGE: "b"}]),
    model_max_output_tokens=st.none() | st.integers(100, 10_000),
    context_tokens=st.none() | st.integers(1, 200_000),
    corrections=st.integers(0, 2),
    json_mode=st.booleans(),
    escalate=st.booleans(),
    output_raises=st.integers(0, 3),
    max_cuts=st.integers(0, 3),
    may_review=st.booleans(),
    over_budget=st.sampled_from(["hold", "fail", "cheaper"]),
)
NOT_BOUNDED_BY_CALLS = {"rate_limited", "quota_exhausted", "budget"}


@settings(max_examples=300, deadline=None)
@given(policy=policies, start=st.integers(0, 2), data=st.data())
def test_whatever_goes_wrong_a_job_makes_a_bounded_number_of_answered_calls(
    policy: Policy, start: int, data: st.DataObject
) -> None:
    model = policy.ladder[min(start, len(policy.ladder) - 1)]
    purpose: Purpose = "first"
    history: list[Tried] = []
    for _ in range(200):
        failure = data.draw(failures)
        history.append(Tried(purpose=purpose, kind=failure.kind, model=model))
        remedy = decide(failure, history, policy)
        answered = sum(call.kind in ANSWERED or call.kind == "context_overflow" for call in history)
        assert answered <= policy.worst_case_calls
        if remedy.action in ("fail", "review"):
            return
        if remedy.action in ("retry", "next_model"):
            assert remedy.countdown_s <= policy.max_countdown_s
        model, purpose = remedy.model, remedy.purpose
    assert sum(call.kind in NOT_BOUNDED_BY_CALLS for call in history) > 100


@given(policy=policies, kind=st.sampled_from(sorted(set(REMEDIES) - NOT_BOUNDED_BY_CALLS)))
def test_the_same_failure_for_ever_ends_the_job(policy: Policy, kind: FailureKind) -> None:
    model = policy.ladder[0]
    purpose: Purpose = "first"
    history: list[Tried] = []
    for _ in range(40):
        history.append(Tried(purpose=purpose, kind=kind, model=model))
        remedy = decide(Failure(kind=kind, repair=Repair(action="schema")), history, policy)
        if remedy.action in ("fail", "review"):
            return
        model, purpose = remedy.model, remedy.purpose
    pytest.fail("no end")
