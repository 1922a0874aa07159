"""The cost report on a month of ten million calls, beside the sum over the rows.

    .venv/bin/python -m bench.ledger [--calls N] [--json]

A Postgres of its own in /tmp takes some gigabytes and minutes; two indexes that no report reads are left out. The
rows come in bulk, through the same triggers as every call; then the roll-up is folded as upkeep does it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from bench.harness import tell
from db import costs
from db.engine import make_engine
from db.migrations import upgrade
from workers.stack.places import scratch
from workers.stack.servers import EmbeddedServers

CALLS = 10_000_000
BATCH = 1_000_000
ZONE = "Europe/Berlin"
BY = ("feature", "user", "day")
ROUNDS, SINGLES = 5, 400

# 30 days, one of which has 23 hours, 20 features with 50 users each, two models; one call in fifty fails, one in
# ten was cached, and some have no price.
FILL = text(
    """
insert into calls (id, purpose, attempt, try, state, tenant, feature, usr, prompt, version, input_hash, provider,
  account, model, remedy, input_tokens, cached_tokens, output_tokens, cost_usd, saved_usd, possibly_billed, wasted,
  started_at)
select gen_random_uuid(), 'first', 0, 1,
  case when dice < 2 then 'failed' when dice < 12 then 'cached' when dice < 13 then 'surplus' else 'answered' end,
  'tenant', 'feature ' || n % 20, 'user ' || (n / 20) % 50, 'receipt', 'v1', '', 'simulator', 'default',
  case when dice > 95 then 'sim-large' else 'sim-small' end, case when dice > 97 then 'correct' end,
  case when dice >= 2 then 300 + n % 500 end, 0, case when dice >= 2 then 20 + n % 50 end,
  case when dice between 2 and 11 then 0 when dice between 12 and 98 then (300 + n % 500) * 0.00000015 end,
  case when dice between 2 and 11 then 0.0001 end, dice = 0, case when dice = 90 then 'rejected' end,
  timestamptz '2026-03-10 00:00+01' + (n % 2592000) * interval '1 s'
from (select n, abs(hashint8(n)) % 100 as dice
      from generate_series(cast(:first as bigint), cast(:last as bigint)) n) drawn
"""
)
SUM = text(
    "select feature, usr, (started_at at time zone :zone)::date::text as day, count(*),"
    " sum(coalesce(cost_usd, 0)), sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)),"
    " count(*) filter (where state = 'cached'),"
    " count(*) filter (where state = 'failed'),"
    " count(*) filter (where state in ('answered', 'surplus') and cost_usd is null)"
    " from calls group by 1, 2, 3"
)


def main() -> None:
    calls = int(sys.argv[sys.argv.index("--calls") + 1]) if "--calls" in sys.argv else CALLS
    with database() as engine:
        figures = measure(engine, calls)
    tell("ledger", figures, "sum over the rows, s")


def measure(engine: Engine, calls: int) -> dict[str, float]:
    """Seconds, but for a single call: milliseconds. Ends with a word where report and rows differ."""
    loaded_s = timed(lambda: fill(engine, calls))
    folded_s = timed(lambda: fold(engine))
    with engine.connect() as connection:
        report_s = statistics.median(timed(lambda: report(connection)) for _ in range(5))
        rows_s = statistics.median(timed(lambda: summed(connection)) for _ in range(2))
        if report(connection) != summed(connection):
            sys.exit("the report is not the sum over the rows")
    rounds = [[single(engine, triggers=on) / SINGLES * 1000 for on in (True, False)] for _ in range(ROUNDS)]
    with_roll_up_ms, without_ms = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "sum over the rows, s": rows_s,
        "report by feature, user, day, s": report_s,
        "bulk load, s": loaded_s,
        "fold of the bulk load, s": folded_s,
        "a call written, ms": with_roll_up_ms,
        "a call without the roll-up, ms": without_ms,
    }


def fill(engine: Engine, calls: int) -> None:
    for first in range(0, calls, BATCH):
        with engine.begin() as connection:
            connection.execute(FILL, {"first": first, "last": min(first + BATCH, calls) - 1})


def fold(engine: Engine) -> None:
    folded = costs.FOLDED_AT_ONCE
    while folded == costs.FOLDED_AT_ONCE:
        with engine.begin() as connection:
            folded = costs.fold(connection, timezone=ZONE)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(
            text("vacuum analyze costs_daily, costs_without_users, costs_of_users")
        )


def report(connection: Connection) -> set[tuple[Any, ...]]:
    """As the command asks for it."""
    return {
        (
            row.group["feature"], row.group["user"], row.group["day"], row.calls, row.cost_usd, row.input_tokens,
            row.output_tokens, row.cached, row.failed, row.unpriced,
        )
        for row in costs.costs(connection, BY, timezone=ZONE)
    }  # fmt: skip


def summed(connection: Connection) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in connection.execute(SUM, {"zone": ZONE})}


def single(engine: Engine, *, triggers: bool) -> float:
    """Seconds for some calls that are opened and closed one by one, as workers do it."""
    opening = text(
        "insert into calls (id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account,"
        " model) values (gen_random_uuid(), 'first', 0, 1, 'intent', 'single', 'f', 'u', '', 'p', 'a', 'm')"
        " returning id"
    )
    closing = text("update calls set state = 'answered', cost_usd = 0.0001, output_tokens = 30 where id = :id")
    with engine.begin() as connection:
        connection.execute(text("create index if not exists calls_by_id on calls (id) where tenant = 'single'"))
        connection.execute(text(f"alter table calls {'enable' if triggers else 'disable'} trigger user"))
    with engine.connect() as connection:
        started = time.monotonic()
        for _ in range(SINGLES):
            call = connection.execute(opening).scalar_one()
            connection.execute(text(f"{closing.text} and tenant = 'single'"), {"id": call})
            connection.commit()
        return time.monotonic() - started


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


@contextmanager
def database() -> Iterator[Engine]:
    with scratch("bench") as data, EmbeddedServers(data, ["postgres"]) as servers:
        upgrade(servers.owner_url, timezone=ZONE)
        engine = make_engine(servers.owner_url)
        with engine.begin() as connection:
            connection.execute(text("alter table calls drop constraint calls_pkey cascade"))
            connection.execute(text("alter table calls drop constraint calls_job_id_purpose_attempt_try_key"))
        yield engine
        engine.dispose()


if __name__ == "__main__":
    main()
