"""When a call may be billed though its answer is not here."""

from __future__ import annotations

import pytest

from docmill.errors import Failure, FailureKind
from docmill.llm.client import Outcome
from docmill.llm.transport import NOT_SENT
from docmill.llm.types import Reply, Usage

REPLY = Reply(text="{}", finish_reason="stop", usage=Usage())


@pytest.mark.parametrize(
    ("kind", "code", "status", "billed"),
    [
        ("connection", None, None, True),
        ("connection", NOT_SENT, None, False),
        ("timeout", None, None, True),
        ("timeout", None, 504, False),
        ("timeout", None, 200, True),
        ("server_error", None, 500, False),
        ("server_error", None, 200, True),
        ("rate_limited", None, 429, False),
        ("rate_limited", None, 200, False),
        ("bad_request", None, 400, False),
    ],
)
def test_only_what_may_have_been_answered_may_be_billed(
    kind: FailureKind, code: str | None, status: int | None, billed: bool
) -> None:
    outcome = Outcome(reply=None, failure=Failure(kind=kind, code=code), status=status, latency_ms=1)
    assert outcome.possibly_billed is billed


@pytest.mark.parametrize("failure", [None, Failure(kind="truncated"), Failure(kind="timeout")])
def test_an_answer_that_is_here_is_billed_for_certain(failure: Failure | None) -> None:
    outcome = Outcome(reply=REPLY, failure=failure, status=200, latency_ms=1)
    assert outcome.answered
    assert not outcome.possibly_billed
