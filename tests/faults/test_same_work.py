"""The same work wanted many times at once is one call, also when its leader is killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.faults.conftest import RunningStack, receipts

pytestmark = pytest.mark.timeout(600)

TIMES = 200


def test_the_same_document_many_times_is_one_call(start: Callable[..., RunningStack]) -> None:
    stack = start("--latency-ms", "500")
    text = receipts(1)
    stack.submit(text * TIMES, "receipt")
    stack.until_all_end(120)
    assert stack.states() == {"done": TIMES}
    assert len(stack.bill()) == 1
    assert stack.query("select count(distinct value) as n from results")[0].n == 1

    stack.submit(text * 10, "receipt", feature="again")
    stack.until_all_end(60)
    layers = stack.query("select cache_layer as layer, count(*) as n, sum(saved_usd) as usd from calls group by 1")
    found = {row.layer: row.n for row in layers}
    assert len(stack.bill()) == 1
    assert sum(found.values()) == TIMES + 10
    assert found[None] == 1
    assert set(found) <= {None, "flight", "l1", "l2"}
    assert all(row.usd > 0 for row in layers if row.layer is not None)
    stack.assert_ledger_is_the_bill()


def test_a_killed_leader_costs_one_call_more_at_most(start: Callable[..., RunningStack]) -> None:
    stack = start("--latency-ms", "3000", DOCMILL_CALL_DEADLINE_S="5")
    stack.submit(receipts(1) * TIMES, "receipt")
    stack.until(lambda: stack.query("select count(*) as n from calls where state = 'intent'")[0].n == 1, 60)
    stack.kill("io-1")
    stack.kill("cache")
    shutil.rmtree(stack.data / "broker")
    stack.kill("broker")
    stack.until_all_end(280)
    assert stack.states() == {"done": TIMES}
    assert len(stack.bill()) <= 2
    stack.assert_ledger_is_the_bill()
