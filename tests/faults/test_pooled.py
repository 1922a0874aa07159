"""A fleet that reaches its database through PgBouncer in transaction mode: silence, and dead callers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import a_lab
from tests.faults.lab import Lab
from tests.faults.report import keep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def pooled() -> Iterator[Lab]:
    with a_lab(pooled=True) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "between"), [("10b", "workers and PgBouncer"), ("10c", "PgBouncer and Postgres")]
)
def test_the_database_falls_silent_behind_a_pooler(pooled: Lab, fault: str, between: str) -> None:
    run = pooled.trial(fault, f"nothing passes between {between} for 60 s, while answers arrive")
    assert pooled.pooler is not None
    proxy = pooled.pooler if fault == "10b" else pooled.postgres
    pooled.simulate("--latency-ms", "1000")
    run.submit()
    run.until_answered(0.3)
    run.until(lambda: run.count("calls", "state = 'intent'") > 10, 60)
    proxy.fall_silent()
    time.sleep(60)
    proxy.mend()
    run.repaired()
    keep(run.finish(within_s=250))


def test_calls_of_the_dead_are_made_again_at_once_behind_a_pooler(pooled: Lab) -> None:
    run = pooled.trial("2d", "as 2b, with PgBouncer between")
    pooled.simulate("--latency-ms", "1000")
    keep(run.callers_die())
