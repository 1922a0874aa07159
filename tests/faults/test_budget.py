"""A cap, and many more jobs at once than it can pay for: never a cent over, nearly all of it used.

DOCMILL_FULL=1 pytest tests/faults/test_budget.py -m "slow or not slow" has a thousand jobs, a cap of one dollar, and four workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from db import budget_admin
from db.budget_admin import Wanted
from db.budgets import Policy
from tests.stack import RunningStack

pytestmark = pytest.mark.timeout(1600 if os.environ.get("DOCMILL_FULL") else 900)

FULL = bool(os.environ.get("DOCMILL_FULL"))
JOBS, CAP = (1000, Decimal(1)) if FULL else (80, Decimal("0.20"))
LINES = 220
"""About 3,300 tokens a document, which cost half a cent."""
DEAR = '[models.small]\nprovider = "simulator"\nmodel = "sim-large"\n'


def long_receipts(number: int) -> list[str]:
    items = "".join(f"{line} pots of green tea, first flush, {line}.10\n" for line in range(LINES))
    return [
        f"TEA HOUSE {each}\n1 Sample Street\nDate: 2021-03-{1 + each % 28:02}\n{items}TOTAL {each}.10\n"
        for each in range(number)
    ]


def begin(start: Callable[..., RunningStack], tmp_path: Path, policy: Policy, **env: str) -> RunningStack:
    config = tmp_path / "docmill.toml"
    config.write_text(DEAR)
    workers = 4 if FULL else 1
    stack = start("--latency-ms", "300", io_workers=workers, DOCMILL_CONFIG=str(config), **env)
    wanted = Wanted(scope="all", subject="", span="day", policy=policy, cap_usd=CAP)
    with stack.engine.begin() as connection:
        budget_admin.put(connection, wanted, timezone="UTC")
    stack.submit(long_receipts(JOBS), "document_type")
    return stack


def billed(stack: RunningStack) -> Decimal:
    return sum((Decimal(line["cost_usd"]) for line in stack.bill().values()), Decimal(0))


def at_rest(stack: RunningStack) -> bool:
    """Nothing is under way or could be: every job has ended or waits for more money than is left."""
    busy = stack.query(
        "select from jobs j left join budgets b on b.id = j.budget_id where wait is not null"
        " and (wait <> 'budget' or need_usd <= cap_usd - spent_usd - reserved_usd)"
        " union all select from calls where state = 'intent' limit 1"
    )
    return not busy


def test_the_cap_is_used_and_not_passed_and_who_waits_goes_on_when_it_is_raised(
    start: Callable[..., RunningStack], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    stack = begin(start, tmp_path, "hold")
    stack.until(lambda: at_rest(stack), 400)
    spent = billed(stack)
    record_property("billed_usd", str(spent))
    record_property("states", stack.states())
    assert CAP * Decimal("0.95") <= spent <= CAP
    states = stack.states()
    assert set(states) == {"done", "held"}
    assert states["held"] > JOBS // 3
    stack.assert_ledger_is_the_bill()
    budget = stack.query("select id, spent_usd, reserved_usd, warned from budgets")[0]
    assert (budget.spent_usd, budget.reserved_usd, budget.warned) == (spent, 0, 100)

    with stack.engine.begin() as connection:
        budget_admin.raise_cap(connection, budget.id, CAP * 100)
    stack.until_all_end(500 if not FULL else 1100)
    assert stack.states() == {"done": JOBS}
    assert stack.answered() == JOBS
    stack.assert_ledger_is_the_bill()


@pytest.mark.slow
def test_workers_killed_in_the_middle_spend_nothing_over_the_cap(
    start: Callable[..., RunningStack], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    stack = begin(start, tmp_path, "fail", DOCMILL_CALL_DEADLINE_S="10")
    for number, share in enumerate((10, 5)):
        stack.until(lambda: billed(stack) > CAP / share, 120)  # noqa: B023 - awaited before the next round
        stack.kill(f"io-{1 + number if FULL else 1}")
    stack.until_all_end(400)
    assert billed(stack) <= CAP
    failures = stack.query(
        "select failure ->> 'kind' as kind, count(*) as n from jobs where state = 'failed' group by 1"
    )
    assert {row.kind for row in failures} <= {"budget", "in_doubt"}
    assert sum(row.n for row in failures) > JOBS // 3
    stack.assert_ledger_is_the_bill()
    kept = stack.query(
        "select (select sum(reserved_usd) from budgets) as reserved,"
        " (select sum(reserved_usd) from calls where possibly_billed) as doubtful"
    )[0]
    assert kept.reserved == kept.doubtful
    record_property("billed_usd", str(billed(stack)))
    record_property("kept_for_doubtful_usd", str(kept.doubtful))
    record_property("states", stack.states())
