"""Workers and the broker die in the middle of the work: nothing is lost, nothing is stored or paid for twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.faults.conftest import RunningStack, receipts

pytestmark = pytest.mark.timeout(600)

DOCUMENTS = 300


def test_a_worker_and_then_the_broker_with_its_data_are_killed(start: Callable[..., RunningStack]) -> None:
    stack = start("--latency-ms", "300", DOCMILL_CALL_DEADLINE_S="10")
    stack.submit(receipts(DOCUMENTS), "document_type")

    stack.until(lambda: stack.answered() >= DOCUMENTS // 6, 60)
    stack.kill("io-1")
    stack.until(lambda: stack.answered() >= DOCUMENTS // 2, 150)
    stack.kill("broker")
    shutil.rmtree(stack.data / "broker")
    stack.until_all_end(300)

    assert stack.states() == {"done": DOCUMENTS}
    results = stack.query("select job_id from results")
    assert sorted(row.job_id for row in results) == sorted(stack.jobs)
    stack.assert_ledger_is_the_bill()
