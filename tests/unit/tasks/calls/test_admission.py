"""What the limiter is told of a call that was made, and of one that was not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from docmill.errors import Failure
from docmill.llm.client import Outcome
from docmill.llm.limits import Limits
from docmill.llm.types import Reply, Usage
from tasks.calls import admission
from tasks.services import Services
from tests.jobs import call_for, job_with


class Told:
    """A limiter that notes what it is told."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.waits: list[float] = []

    def answered(self, model: str, reserved: int, used: int, *limits: Limits, **named: Any) -> None:
        self.answers.append({"reserved": reserved, "used": used, "sent": named["sent"], "name": named["name"]})
        self.limits = limits

    def told(self, model: str, wait_s: float) -> None:
        self.waits.append(wait_s)


@pytest.fixture
def limiter() -> Told:
    return Told()


@pytest.fixture
def services(limiter: Told) -> Services:
    return cast("Services", SimpleNamespace(limiter=limiter))


def outcome(usage: Usage | None = None, failure: Failure | None = None) -> Outcome:
    reply = None if usage is None else Reply(text="{}", finish_reason="stop", usage=usage)
    return Outcome(reply=reply, failure=failure, status=200, latency_ms=1)


@pytest.mark.parametrize(
    ("came", "used"),
    [
        (outcome(Usage(input_tokens=90, output_tokens=10)), 100),
        (outcome(Usage(input_tokens=90, output_tokens=None)), 90),
        (outcome(Usage()), 164),  # an answer that says nothing of tokens has used what it was counted for
        (outcome(None, Failure(kind="server_error")), 164),
        (outcome(None, Failure(kind="timeout")), 164),
        (outcome(None, Failure(kind="rate_limited")), 0),
    ],
)
def test_what_an_answer_does_not_tell_counts_as_used(
    services: Services, limiter: Told, came: Outcome, used: int
) -> None:
    admission.tell(services, call_for(job_with(), tokens=100), came)
    (answer,) = limiter.answers
    assert (answer["reserved"], answer["used"]) == (164, used)


def test_a_call_that_was_not_made_gives_back_all_it_had(services: Services, limiter: Told) -> None:
    admission.give_back(services, call_for(job_with(), tokens=100))
    assert limiter.answers == [{"reserved": 164, "used": 0, "sent": False, "name": "7:0:0"}]


@pytest.mark.parametrize("told_s", [20.0, None])
def test_a_no_is_told_to_the_fleet_and_its_request_given_back(
    services: Services, limiter: Told, told_s: float | None
) -> None:
    admission.tell(
        services, call_for(job_with()), outcome(None, Failure(kind="rate_limited", retry_after_s=told_s))
    )
    assert (limiter.answers[0]["sent"], limiter.waits) == (False, [told_s])


def test_each_try_has_a_slot_of_its_own_and_asking_again_finds_it() -> None:
    names = {admission._name(call_for(job_with(attempt=attempt, history=[{}] * tries)))
             for attempt in (0, 1) for tries in (0, 1)}  # fmt: skip
    assert len(names) == 4
    assert admission._name(call_for(job_with())) == admission._name(call_for(job_with(epoch=9)))


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, False),
        ({"lane": "interactive"}, True),
        ({"history": [{"kind": "rate_limited"}]}, True),
        ({"history": [{"kind": "rate_limited"}, {"kind": "timeout"}]}, False),
    ],
)
def test_who_is_waited_for_or_has_waited_as_told_comes_first(changes: dict[str, Any], first: bool) -> None:
    assert admission._first(call_for(job_with(**changes))) is first


def test_a_limiter_that_breaks_stops_nothing(services: Services, limiter: Told) -> None:
    del limiter.answers
    admission.tell(services, call_for(job_with()), outcome(Usage()))
    admission.give_back(services, call_for(job_with()))


@pytest.mark.parametrize(("told", "believed"), [(1.0, None), (163.0, None), (164.0, 164.0), (None, None)])
def test_a_limit_below_what_the_provider_has_just_taken_is_none(
    services: Services, limiter: Told, told: float | None, believed: float | None
) -> None:
    came = replace(outcome(Usage(input_tokens=90, output_tokens=10)), limits=Limits(requests=5, tokens=told))
    admission.tell(services, call_for(job_with()), came)
    assert limiter.limits[-1] == Limits(requests=5, tokens=believed)
