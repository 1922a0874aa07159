"""What a job's history says of the next request's size."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.stages.window import ladder_model, output_limit, sent
from tests.jobs import job_with, prompt

OF_THE_PROMPT = prompt().config.limits.max_output_tokens
FIRST, SECOND = "small", "large"


def entry(kind: str, limit: int | None = None, model: str = FIRST) -> dict[str, Any]:
    return {"kind": kind, "model": model, "purpose": "first", **({"max_output_tokens": limit} if limit else {})}


@pytest.mark.parametrize(
    ("history", "model", "limit"),
    [
        ([], None, OF_THE_PROMPT),
        ([entry("truncated", 4096)], None, 4096),
        ([entry("truncated", 4096), entry("server_error")], None, 4096),
        ([entry("truncated", 4096), entry("truncated", 8192)], None, 8192),
        ([entry("truncated", 4096)], SECOND, 4096),
        ([entry("context_overflow", 512)], None, 512),
        ([entry("context_overflow", 512)], SECOND, OF_THE_PROMPT),
        ([entry("truncated", 4096), entry("context_overflow", 512, SECOND)], None, 4096),
    ],
)
def test_a_raised_output_limit_stays_and_a_lowered_one_is_its_models(
    history: list[dict[str, Any]], model: str | None, limit: int
) -> None:
    assert output_limit(job_with(history=history, model=model), prompt()) == limit


def test_a_job_begins_with_the_first_model_of_its_ladder() -> None:
    assert ladder_model(job_with(), prompt()) == prompt().config.ladder[0]
    assert ladder_model(job_with(model=SECOND), prompt()) == SECOND


def test_what_was_sent_is_told_with_the_limit_and_without_what_is_unknown() -> None:
    assert sent(job_with(), prompt()) == {"output_limit": OF_THE_PROMPT}
    counted = job_with(context={"tokens": 900, "estimate": 1000}, history=[entry("truncated", 4096)])
    assert sent(counted, prompt()) == {"input_tokens": 900, "estimate": 1000, "output_limit": 4096}
