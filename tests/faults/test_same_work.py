"""The same work wanted many times at once is one call in a fleet of four, also where the cache server is silent."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.stack import RunningStack, receipts

pytestmark = pytest.mark.timeout(900)

TIMES = 1000 if os.environ.get("DOCMILL_FULL") else 150


@pytest.mark.parametrize("cache", ["there", pytest.param("silent", marks=pytest.mark.slow)])
def test_the_same_document_many_times_is_one_call(start: Callable[..., RunningStack], cache: str) -> None:
    stack = start("--latency-ms", "500", io_workers=4)
    server = stack.pids["cache"]
    if cache == "silent":
        os.kill(server, signal.SIGSTOP)
    try:
        stack.submit(receipts(1) * TIMES, "receipt")
        stack.until_all_end(400)
    finally:
        os.kill(server, signal.SIGCONT)
    assert stack.states() == {"done": TIMES}
    assert len(stack.bill()) == 1
    assert stack.query("select count(distinct value) as n from results")[0].n == 1
    if cache == "there":
        stack.submit(receipts(1) * 20, "receipt", feature="again")
        stack.until_all_end(60)
        assert len(stack.bill()) == 1
        saved = stack.query("select count(*) as n from calls where cache_layer in ('l1', 'l2') and saved_usd > 0")
        assert saved[0].n > 0
    stack.assert_ledger_is_the_bill()


@pytest.mark.slow
def test_the_same_document_many_times_is_two_calls_at_most_where_the_leader_is_killed(
    start: Callable[..., RunningStack],
) -> None:
    stack = start("--latency-ms", "3000", io_workers=4)
    stack.submit(receipts(1) * TIMES, "receipt")
    stack.until(lambda: bool(stack.query("select from calls where state = 'intent'")), 60)
    leader = stack.query("select owner from jobs where stage = 'complete' and wait = 'running'")
    stack.kill(leader[0].owner.partition("@")[0].rpartition("-")[0])  # without its stack
    stack.until_all_end(400)
    assert stack.states() == {"done": TIMES}
    calls = stack.query("select state, possibly_billed from calls where state <> 'cached' order by started_at")
    assert [(call.state, call.possibly_billed) for call in calls] == [("in_doubt", True), ("answered", False)]
    assert len(stack.bill()) <= 2
    stack.assert_ledger_is_the_bill()
