"""What a call is, and when it is not made: decided from values, without a database or a provider."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from docmill.errors import Failure
from docmill.llm.loop import LoopThread
from docmill.llm.transport import NOT_SENT, Response
from tasks.calls.asking import ask_in_time
from tasks.services import Services
from tests.jobs import call_for, job_with

DEADLINE_S = 100.0


class Line:
    """A transport that notes how long it is given, and answers nothing."""

    def __init__(self) -> None:
        self.given_s: list[float] = []

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        self.given_s.append(deadline_s)
        return Failure(kind="timeout", message="nothing came")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def services(line: Line) -> Iterator[Services]:
    with LoopThread() as loop:
        caller = SimpleNamespace(loop=loop, transport=line, tracer=None)
        settings = SimpleNamespace(call_deadline_s=DEADLINE_S)
        yield cast("Services", SimpleNamespace(settings=settings, caller=caller))


def test_the_deadline_counts_from_the_intent(services: Services, line: Line) -> None:
    ask_in_time(services, call_for(job_with()), time.monotonic() - 70)
    assert line.given_s == [pytest.approx(30, abs=5)]


def test_a_call_whose_deadline_passed_before_it_began_is_not_sent(services: Services, line: Line) -> None:
    outcome = ask_in_time(services, call_for(job_with()), time.monotonic() - DEADLINE_S - 1)
    assert line.given_s == []
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.code, outcome.possibly_billed) == ("connection", NOT_SENT, False)


def test_the_key_of_the_work_covers_the_tenant_what_is_asked_and_the_checks() -> None:
    one = call_for(job_with()).work
    assert call_for(job_with(id=8, usr="other", feature="g")).work == one
    others = [
        call_for(job_with(tenant="u")).work,
        call_for(job_with(), input_hash=b"j").work,
        call_for(job_with(), content_hash=b"d").work,
        call_for(job_with(tenant=""), input_hash=b"ti").work,
    ]
    assert len({one, *others}) == 5


def test_the_key_of_the_first_call_is_kept_through_all_that_follow() -> None:
    assert call_for(job_with(flight_key=b"first", tenant="u"), input_hash=b"j").work == b"first"


@pytest.mark.parametrize(
    ("changes", "may"),
    [({}, True), ({"purpose": "correction"}, False), ({"fresh": True}, False), ({"purpose": "escalation"}, False)],
)
def test_only_a_first_call_of_a_job_that_does_not_want_to_pay_again_may_share(
    changes: dict[str, Any], may: bool
) -> None:
    assert call_for(job_with(**changes)).may_share is may


def test_a_call_counts_with_its_whole_output_until_its_answer_tells() -> None:
    assert call_for(job_with(), tokens=100).tokens == 164
