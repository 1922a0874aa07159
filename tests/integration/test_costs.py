"""Costs by several groups at once are what they are by each alone."""

from __future__ import annotations

import itertools
from decimal import Decimal

from sqlalchemy import Connection, Engine, text

from db import costs

ZONE = "Europe/Berlin"
GROUPS = (("feature",), ("user",), ("model",), ("remedy",), ("day",), ("day", "feature"))
ONLY: tuple[dict[str, str], ...] = ({}, {"feature": ""}, {"user": "u1", "model": "m1"}, {"feature": "nothing"})
MADE = text(
    """
insert into calls (id, purpose, attempt, try, state, tenant, feature, usr, input_hash, provider, account, model, remedy,
  input_tokens, cost_usd, possibly_billed, started_at)
select gen_random_uuid(), 'embed', 0, 1, case when n % 7 = 0 then 'failed' else 'answered' end, 'many groups',
  case when n % 3 = 0 then '' else 'f' || n % 3 end, case when n % 5 = 0 then '' else 'u' || n % 5 end, '', 'p', 'a', 'm' || n % 2,
  case when n % 4 = 0 then 'correct' end, n, case when n % 11 > 0 then n * 0.01 end, n % 13 = 0,
  timestamptz '2026-03-01 00:00+00' + n * interval '5 hours'
from generate_series(1, 60) n
"""
)


def test_tables_in_one_pass_are_the_sums_of_each(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(MADE)
        for only in ONLY:
            found = costs.tables(connection, GROUPS, timezone=ZONE, tenant="many groups", only=only)
            alone = [costs.costs(connection, by, timezone=ZONE, tenant="many groups", only=only) for by in GROUPS]
            assert [ordered(rows) for rows in found] == [ordered(rows) for rows in alone]
        assert sum((row.cost_usd for row in costs.tables(connection, GROUPS, timezone="UTC")[0]), Decimal(0)) > 0
        connection.rollback()


def test_each_roll_up_tells_the_same_whatever_was_changed_and_folded(engine: Engine) -> None:
    """A report reads the smallest that will do: what it tells are the sums of the largest."""
    with engine.begin() as connection:
        costs.roll_up(connection, timezone=ZONE)
        connection.execute(MADE)
        for change in (
            "update calls set cost_usd = cost_usd + 1, usr = 'u1' where usr = 'u2' and feature = 'f1'",
            "delete from calls where usr = 'u3' and model = 'm1'",
            "update costs_daily set cost_usd = cost_usd + 1 where usr = 'u4'",
        ):
            agree(connection)
            costs.fold(connection, timezone=ZONE)
            agree(connection)
            connection.execute(text(f"{change} and tenant = 'many groups'"))
        agree(connection)  # also by hand
        costs.roll_up(connection, timezone=ZONE)
        told = agree(connection)
        assert len(told[("user",)]) > 3
        connection.rollback()


NAMES = ("feature", "user", "day", "model", "remedy")
Sums = dict[tuple[str, ...], tuple[int, Decimal]]


def agree(connection: Connection) -> dict[tuple[str, ...], Sums]:
    """Calls and costs by some names at a time: as a report tells them, and as those by all names add up."""
    every = costs.costs(connection, NAMES, timezone=ZONE, tenant="many groups")
    told: dict[tuple[str, ...], Sums] = {}
    for by in (by for size in (1, 2, 3) for by in itertools.combinations(NAMES, size)):
        rows = costs.costs(connection, by, timezone=ZONE, tenant="many groups")
        told[by] = {tuple(row.group.values()): (row.calls, row.cost_usd) for row in rows}
        sums: Sums = {}
        for row in every:
            group = tuple(row.group[name] for name in by)
            calls, usd = sums.get(group, (0, Decimal(0)))
            sums[group] = calls + row.calls, usd + row.cost_usd
        assert told[by] == sums, by
    return told


def ordered(rows: list[costs.CostRow]) -> list[costs.CostRow]:
    """The dearest first is no order of those that cost the same."""
    assert [row.cost_usd for row in rows] == sorted((row.cost_usd for row in rows), reverse=True)
    return sorted(rows, key=lambda row: sorted(row.group.items()))
