from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import Failure, FailureKind, Repair
from docmill.remedies import (
    Policy,
    Purpose,
    Remedy,
    Tried,
    decide,
    most_answers,
    most_calls,
)
from docmill.remedies.decide import ANSWERED, REMEDIES
from docmill.remedies.overflow import fit
from docmill.remedies.policy import believable_wait_s

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


@pytest.mark.parametrize("kind", ["rate_limited", "overloaded", "quota_exhausted"])
def test_whatever_is_told_a_hold_is_looked_at_after_an_hour(kind: FailureKind) -> None:
    hold = after(tried(kind), policy=Policy(ladder=(SMALL,)), retry_after_s=7200.0)
    assert (hold.action, hold.hold_s) == ("hold", 3600.0)


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


def test_told_waits_that_never_help_become_longer_holds_and_end() -> None:
    waits = [after(*[tried("rate_limited")] * times, retry_after_s=1.0) for times in (8, 9, 10, 40, 101)]
    assert [wait.action for wait in waits] == ["retry", "hold", "hold", "hold", "fail"]
    assert [wait.hold_s for wait in waits[1:4]] == [60, 120, 900]


@pytest.mark.parametrize("kind", ["overloaded", "server_error", "connection"])
def test_an_outage_backs_off_and_then_asks_the_next_model(kind: FailureKind) -> None:
    down = tried(kind)
    assert after(down).action == after(down, down).action == "retry"
    third = after(down, down, down)
    assert (third.action, third.model, third.purpose) == ("next_model", LARGE, "first")


@pytest.mark.parametrize("kind", ["overloaded", "server_error", "connection"])
def test_an_outage_of_the_whole_ladder_is_waited_out_for_a_while(kind: FailureKind) -> None:
    down = [tried(kind)] * 3
    holds = [after(*down, *[tried(kind, LARGE)] * times) for times in range(3, 10)]
    assert [each.hold_s for each in holds] == [30, 60, 120, 240, 480, 900, None]
    assert [each.action for each in holds] == ["hold"] * 6 + ["fail"]


def test_an_outage_in_a_correction_does_not_use_it_up() -> None:
    remedy = after(
        tried("malformed"), tried("server_error", purpose="correction"), tried("malformed", purpose="first")
    )
    assert remedy.action == "correct"


def test_an_outage_after_a_doubtful_value_goes_to_a_person() -> None:
    assert after(tried("wrong"), *[tried("overloaded", LARGE, "escalation")] * 9).action == "review"


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


def overflow(model: str = SMALL, sent: int | None = None, output: int | None = None) -> Tried:
    return Tried(purpose="first", kind="context_overflow", model=model, input_tokens=sent, output_limit=output)


def test_a_large_document_is_cut_to_what_the_message_names() -> None:
    policy = Policy(ladder=(SMALL,), max_output_tokens=1000)
    remedy = after(overflow(sent=9000), policy=policy, limit_tokens=8000, actual_tokens=10_050)
    assert (remedy.action, remedy.purpose, remedy.counted_tokens) == ("cut_context", "overflow", 9050)
    assert (remedy.max_output_tokens, remedy.target_tokens) == (None, 6930)


def test_a_small_document_is_left_whole_where_the_answer_can_have_less_room() -> None:
    policy = Policy(ladder=(SMALL,), max_output_tokens=1000)
    remedy = after(overflow(sent=600), policy=policy, limit_tokens=1599, actual_tokens=1600)
    assert (remedy.action, remedy.max_output_tokens, remedy.target_tokens) == ("cut_context", 993, 606)


def test_what_nobody_counted_is_cut_more_each_time_and_ends_with_a_larger_model() -> None:
    policy = Policy(ladder=(SMALL, LARGE), max_output_tokens=1000)
    cuts = [after(*[overflow(sent=7500)] * times, policy=policy, limit_tokens=8000) for times in range(1, 7)]
    targets = [cut.target_tokens or 0 for cut in cuts[:5]]
    assert targets == sorted(targets, reverse=True)
    assert targets[0] < 7000
    assert (cuts[5].action, cuts[5].model) == ("next_model", LARGE)
    assert after(overflow(), policy=policy).target_tokens is None
    both = [overflow()] * 6 + [overflow(LARGE)] * 6
    assert after(*both, policy=policy, limit_tokens=8000).action == "fail"


def test_a_tiny_limit_leaves_something_of_the_document() -> None:
    remedy = after(tried("context_overflow"), limit_tokens=3)
    assert remedy.target_tokens == 1


@given(
    limit=st.integers(1, 300_000),
    actual=st.none() | st.integers(1, 400_000),
    sent=st.none() | st.integers(1, 400_000),
    output=st.integers(1, 64_000),
    cuts=st.integers(1, 6),
)
def test_a_request_that_was_too_large_becomes_smaller(
    limit: int, actual: int | None, sent: int | None, output: int, cuts: int
) -> None:
    size = fit(limit=limit, actual=actual, sent=sent, output_limit=output, cuts=cuts)
    had = size.counted_tokens or sent
    assert size.input_tokens is not None
    assert size.input_tokens >= 1
    assert 1 <= size.output_limit <= output
    if had is not None and had > 20:
        assert size.input_tokens < had or size.output_limit < output


@given(sent=st.integers(100, 100_000), over=st.integers(1, 50_000), output=st.integers(300, 8000))
def test_what_an_honest_message_says_fits_at_once_and_loses_little(sent: int, over: int, output: int) -> None:
    limit = sent + output - over
    if limit < output + sent // 2:
        return
    size = fit(limit=limit, actual=sent + output, sent=sent, output_limit=output, cuts=1)
    assert size.input_tokens is not None
    assert min(sent, size.input_tokens) + size.output_limit <= limit
    assert min(sent, size.input_tokens) >= min(sent, limit - output) * 0.98 - 1


def test_a_cut_answer_gets_more_room_while_there_is_some() -> None:
    policy = Policy(ladder=(SMALL, LARGE), max_output_tokens=1000, model_max_output_tokens=3000)

    def cut(limit: int | None, model: str = SMALL) -> Tried:
        return Tried(purpose="truncation", kind="truncated", model=model, output_limit=limit)

    history = [cut(None), cut(2000), cut(3000), cut(3000)]
    remedies = [after(*history[:times], policy=policy) for times in (1, 2, 3, 4)]
    assert [remedy.action for remedy in remedies] == [
        "raise_output",
        "raise_output",
        "cut_context",
        "next_model",
    ]
    assert [remedy.max_output_tokens for remedy in remedies[:2]] == [2000, 3000]
    full = Policy(ladder=(SMALL,), max_output_tokens=1000, model_max_output_tokens=1000)
    assert after(cut(1000), policy=full).action == "cut_context"
    assert after(cut(1000), cut(1000), policy=full).action == "fail"


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


def test_a_failure_that_the_history_does_not_hold_yet_follows_its_last() -> None:
    remedy = decide(Failure(kind="malformed"), [tried("wrong")], LADDER)
    assert (remedy.action, remedy.model) == ("correct", LARGE)


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
ENDS = ("fail", "review")


def history_of(policy: Policy, start: int, draw: Callable[[], Failure]) -> list[Tried]:
    """A job's failed calls until its end; what a budget holds makes no call, and may be held for ever."""
    model = policy.ladder[min(start, len(policy.ladder) - 1)]
    purpose: Purpose = "first"
    sizes: dict[str, int | None] = {"input_tokens": 5000, "output_limit": policy.max_output_tokens}
    history: list[Tried] = []
    for _ in range(2 * most_calls(policy)):
        failure = draw()
        history.append(Tried(purpose=purpose, kind=failure.kind, model=model, **sizes))
        remedy = decide(failure, history, policy)
        if remedy.action in ENDS:
            return history
        assert remedy.countdown_s <= policy.max_countdown_s
        model, purpose = remedy.model, remedy.purpose
        sizes["output_limit"] = remedy.max_output_tokens or sizes["output_limit"]
    assert sum(call.kind == "budget" for call in history) > most_calls(policy)
    return history


def assert_bounded(history: Sequence[Tried], policy: Policy) -> None:
    assert sum(call.kind != "budget" for call in history) <= most_calls(policy)
    assert sum(call.kind in ANSWERED for call in history) <= most_answers(policy)


@settings(max_examples=200, deadline=None)
@given(policy=policies, start=st.integers(0, 2), data=st.data())
def test_whatever_goes_wrong_every_job_ends_within_the_calls_that_were_foretold(
    policy: Policy, start: int, data: st.DataObject
) -> None:
    assert_bounded(history_of(policy, start, lambda: data.draw(failures)), policy)


@settings(max_examples=200, deadline=None)
@given(
    policy=policies, kinds=st.lists(st.sampled_from(sorted(REMEDIES)), min_size=1, max_size=3), seed=st.randoms()
)
def test_a_few_kinds_in_turn_end_within_the_calls_that_were_foretold(
    policy: Policy, kinds: list[FailureKind], seed: Random
) -> None:
    def draw() -> Failure:
        return Failure(
            kind=seed.choice(kinds), retry_after_s=seed.choice([None, 1.0]), repair=Repair(action="schema")
        )

    assert_bounded(history_of(policy, 0, draw), policy)


@given(policy=policies, kind=st.sampled_from(sorted(set(REMEDIES) - {"budget"})))
def test_the_same_failure_for_ever_ends_the_job(policy: Policy, kind: FailureKind) -> None:
    history = history_of(policy, 0, lambda: Failure(kind=kind, repair=Repair(action="schema")))
    assert len(history) <= most_calls(policy)


def test_a_history_as_long_as_is_allowed_ends_whatever_its_kinds() -> None:
    history = [tried("overloaded" if at % 2 else "budget") for at in range(2 * most_calls(LADDER))]
    assert after(*history, tried("rate_limited")).action == "fail"


def test_a_spent_quota_is_held_as_long_as_was_told() -> None:
    one = Policy(ladder=(SMALL, LARGE), accounts={SMALL: "a", LARGE: "a"})
    two = Policy(ladder=(SMALL, LARGE), accounts={SMALL: "a", LARGE: "b"})
    assert after(tried("quota_exhausted"), policy=one, retry_after_s=120.0).hold_s == 120
    assert after(tried("quota_exhausted"), policy=two, retry_after_s=120.0).hold_s == 120


def test_a_hold_after_many_limits_is_no_shorter_than_was_told() -> None:
    assert after(*[tried("rate_limited")] * 9, retry_after_s=300.0).hold_s == 300


def test_an_outage_is_waited_out_as_long_as_was_told() -> None:
    alone = Policy(ladder=(SMALL,))
    assert after(*[tried("overloaded")] * 3, policy=alone, retry_after_s=200.0).hold_s == 200


def test_a_request_is_changed_four_times_and_a_document_cut_five() -> None:
    repair = Repair(action="drop", parameter="temperature")
    changed = [after(*[tried("bad_request")] * times, repair=repair).action for times in (1, 4, 5)]
    assert changed == ["adapt", "adapt", "fail"]
    cut = [after(*[tried("context_overflow")] * times).action for times in (1, 5, 6)]
    assert cut == ["cut_context", "cut_context", "next_model"]


def test_a_hundred_refusals_for_a_quota_are_the_most() -> None:
    same = Policy(ladder=(SMALL, LARGE), accounts={SMALL: "a", LARGE: "a"})
    ends = [after(*[tried("quota_exhausted")] * times, policy=same).action for times in (100, 101)]
    assert ends == ["hold", "fail"]


def test_what_was_never_called_for_counts_for_no_call() -> None:
    waited = [tried("budget")] * most_calls(LADDER)
    assert after(*waited, tried("server_error")).action == "retry"


def test_a_budget_leads_to_a_cheaper_model_once() -> None:
    cheaper = Policy(ladder=(SMALL, LARGE), over_budget="cheaper")
    spent = tried("budget", LARGE)
    assert [after(*[spent] * times, policy=cheaper).action for times in (1, 2)] == ["next_model", "hold"]


def test_the_answers_room_is_taken_as_long_as_half_of_it_stays() -> None:
    halved = fit(limit=1000, actual=780, sent=780, output_limit=400, cuts=1)
    assert (halved.input_tokens, halved.output_limit) == (787, 213)
    kept = fit(limit=1000, actual=850, sent=850, output_limit=400, cuts=1)
    assert (kept.input_tokens, kept.output_limit) == (594, 400)


@pytest.mark.parametrize(
    ("told_s", "believed_s"),
    [(None, None), (0.0, 0.0), (-5.0, 0.0), (86_400.0, 86_400.0), (86_401.0, None), (float("inf"), None),
     (float("nan"), None)],
)  # fmt: skip
def test_a_wait_beyond_a_day_is_as_good_as_untold(told_s: float | None, believed_s: float | None) -> None:
    assert believable_wait_s(told_s) == believed_s


def test_json_mode_is_asked_for_only_where_the_prompt_takes_it() -> None:
    history = (tried("malformed"), tried("malformed", purpose="correction"))
    assert after(*history, policy=LADDER).action == "json_mode"
    without = after(*history, policy=Policy(ladder=(SMALL, LARGE), json_mode=False))
    assert (without.action, without.model) == ("next_model", LARGE)


def test_a_cheaper_model_that_only_a_budget_refused_was_not_asked() -> None:
    policy = Policy(ladder=(SMALL, "middle", LARGE), over_budget="cheaper")
    history = (tried("budget", "middle"), tried("wrong", SMALL), tried("budget", LARGE))
    remedy = after(*history, policy=policy)
    assert (remedy.action, remedy.model) == ("next_model", "middle")


def test_limits_in_a_row_are_those_of_one_model() -> None:
    policy = Policy(ladder=(SMALL, LARGE), rate_limit_patience=3)
    others = [tried("rate_limited")] * 3
    assert after(*others, tried("rate_limited", LARGE), policy=policy).action == "retry"
    assert after(*others, tried("rate_limited"), policy=policy).action == "hold"


def test_the_most_answers_and_calls_are_the_sum_of_what_each_rule_allows() -> None:
    # One answer and its correction, the first cut-off one, three raised ones and one of a shorter input, five cuts.
    assert most_answers(Policy(ladder=(SMALL,), json_mode=False)) == 2 + 5 + 5
    assert most_answers(LADDER) == 2 * 12 + 1
    # Three outages and six holds, three timeouts, six cuts, five changed requests; two doubts, twice a hundred waits.
    assert most_calls(LADDER) == most_answers(LADDER) + 2 * (9 + 3 + 6 + 5) + 2 + 200


def test_a_ladder_cannot_be_changed_from_without() -> None:
    names = [SMALL]
    policy = Policy(ladder=names)  # type: ignore[arg-type] # as a caller may hand it in
    names.append(LARGE)
    assert policy.ladder == (SMALL,)
