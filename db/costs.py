"""What calls cost, summed: fast on ten million of them, and exact at any moment.

Triggers write each change of a call to ``costs_changes``, whoever makes it. Upkeep folds these into
``costs_daily`` in one statement, and a report sums both in one statement, so that no call is counted twice or
missed. Unknown is counted, never added as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from decimal import Decimal
from operator import eq, ge, le
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Row,
    Select,
    Subquery,
    cast,
    desc,
    func,
    literal,
    null,
    select,
    text,
    tuple_,
)

from db.statements import statements_of
from db.tables import costs_daily
from docmill.errors import Misconfigured

__all__ = [
    "FOLDED_AT_ONCE",
    "CostRow",
    "costs",
    "fold",
    "keep_days",
    "plain_usd",
    "prompt_is_in_ledger",
    "roll_up",
    "spent_in",
    "tables",
]

SQL = statements_of("costs")

COST_GROUPS: Mapping[str, str] = {
    "feature": "feature",
    "user": "usr",
    "day": "day",
    "model": "model",
    "prompt": "prompt",
    "version": "version",
    "remedy": "remedy",
    "tenant": "tenant",
}
FOLDED_AT_ONCE = 20_000
APART = "user"
"""The name of which there are most."""
OF_USERS = {APART, "feature", "tenant", "day"}
"""What the roll-up of users tells apart."""


class CostRow(NamedTuple):
    """What a group of calls came to. A tuple, because a report may have a hundred thousand of them."""

    group: Mapping[str, str]
    calls: int
    cached: int
    """Answers that were known, and cost nothing."""
    failed: int
    """Calls that brought no answer."""
    unpriced: int
    """Answers whose cost is unknown, and not in ``cost_usd``."""
    possibly_billed: int
    """Calls of unknown outcome: not in ``cost_usd`` either."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    accepted: int
    """Documents whose answer was accepted."""
    cost_usd: Decimal
    """The sum of what is known."""
    saved_usd: Decimal
    """What cached answers did not cost."""
    surplus_usd: Decimal
    """Paid for answers that the job had already: of ``cost_usd``, as are the following two."""
    rejected_usd: Decimal
    """Paid for answers that did not pass the checks, before one that did."""
    failed_usd: Decimal
    """Paid for jobs that failed or were cancelled."""

    @property
    def known(self) -> bool:
        """False where nothing is known of what the calls cost, so that a sum of zero would be a lie."""
        return self.calls > self.failed + self.unpriced or not (self.unpriced or self.possibly_billed)

    @property
    def wasted_usd(self) -> Decimal:
        return self.surplus_usd + self.rejected_usd + self.failed_usd

    @property
    def usd_per_accepted(self) -> Decimal | None:
        """What an accepted document did cost, with all that it took; None where none was accepted, or nothing is
        known.
        """
        return (self.cost_usd / self.accepted).quantize(Decimal("1e-10")) if self.accepted and self.known else None

    def as_json(self) -> dict[str, Any]:
        amounts = {name: getattr(self, name) for name in (*AMOUNTS, "wasted_usd", "usd_per_accepted")}
        if not self.known:
            amounts["cost_usd"] = None
        shown = {name: None if usd is None else plain_usd(usd) for name, usd in amounts.items()}
        return {**self.group, **{name: getattr(self, name) for name in COUNTS}, **shown}


FIELDS = CostRow._fields[1:]
AMOUNTS = tuple(name for name in FIELDS if name.endswith("_usd"))
COUNTS = tuple(name for name in FIELDS if name not in AMOUNTS)


def plain_usd(amount: Decimal) -> str:
    """A decimal string without an exponent or zeros at its end."""
    return f"{amount.normalize():f}"


def costs(
    connection: Connection,
    by: Sequence[str],
    *,
    timezone: str,
    tenant: str | None = None,
    since: date | None = None,
    until: date | None = None,
    only: Mapping[str, str] | None = None,
) -> list[CostRow]:
    """The ledger summed by some of :data:`COST_GROUPS`, the dearest group first.

    ``since`` and ``until`` are days in ``timezone``, both included; ``only`` is what some of the groups must be.
    Raises Misconfigured.
    """
    summed = _summed(connection, by, timezone=timezone, tenant=tenant, since=since, until=until, only=only)
    SQL["large_groups"].count(connection)
    rows = connection.execute(summed.order_by(desc("cost_usd")), {"timezone": timezone})
    return _told(by, rows)


def tables(
    connection: Connection,
    groups: Sequence[Sequence[str]],
    *,
    timezone: str,
    tenant: str | None = None,
    since: date | None = None,
    until: date | None = None,
    only: Mapping[str, str] | None = None,
) -> list[list[CostRow]]:
    """As :func:`costs` for each of the ``groups``, in one pass over the ledger.

    It is summed by all names together, but for users, where these are asked for by themselves: with them there
    would be as many sums as rows, to be summed again for each group.
    """
    names = sorted({name for by in groups for name in by}, key=lambda name: (name == APART, name))
    apart = (
        len(names) > 1 and (APART,) in groups and all(APART not in by or tuple(by) == (APART,) for by in groups)
    )
    together = names[:-1] if apart else names

    def summed(by: Sequence[str]) -> Select[Any]:
        return _summed(connection, by, timezone=timezone, tenant=tenant, since=since, until=until, only=only)

    shared = _again(
        summed(together).cte("found"), names, together, [by for by in groups if APART not in by or not apart]
    )
    asked: Select[Any] | CompoundSelect[Any] = shared
    if apart:
        alone = summed([APART]).subquery("alone")
        asked = shared.union_all(select(literal(_mark(names, [APART])), *(null() for _ in together), *alone.c))
    SQL["large_groups"].count(connection)
    rows = connection.execute(asked, {"timezone": timezone}).all()
    return [sorted(_told(by, _of_group(rows, names, by)), key=_dearest) for by in groups]


def _again(
    found: CTE, names: Sequence[str], summed_by: Sequence[str], groups: Sequence[Sequence[str]]
) -> Select[Any]:
    """What was summed by some of the names, summed by the groups of these: their mark, the names, the sums."""
    known = [found.c[COST_GROUPS[name]] for name in summed_by]
    rest = [null() for _ in names[len(summed_by) :]]
    mark = func.grouping(*known).op("*")(1 << len(rest)) + ((1 << len(rest)) - 1)
    sets = func.grouping_sets(*(tuple_(*(found.c[COST_GROUPS[name]] for name in by)) for by in groups))
    sums = [_sum(found, name).label(name) for name in FIELDS]
    return select(mark, *known, *rest, *sums).group_by(sets)


def _mark(names: Sequence[str], by: Sequence[str]) -> int:
    """As ``grouping`` marks the rows of one grouping by its names."""
    return sum(1 << at for at, name in enumerate(reversed(names)) if name not in by)


def _dearest(row: CostRow) -> Decimal:
    return -row.cost_usd


def _of_group(rows: Sequence[Row[Any]], names: Sequence[str], by: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of one grouping: its columns, and the sums."""
    places = [1 + names.index(name) for name in by]
    marked = _mark(names, by)
    return [(*(row[at] for at in places), *row[1 + len(names) :]) for row in rows if row[0] == marked]


def _told(by: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[CostRow]:
    found = [CostRow(_group(by, row), *row[len(by) :]) for row in rows]
    # A change that was taken back leaves nothing to tell.
    return [row for row in found if row.calls or row.accepted]


def _summed(
    connection: Connection,
    by: Sequence[str],
    *,
    timezone: str,
    tenant: str | None,
    since: date | None,
    until: date | None,
    only: Mapping[str, str] | None,
) -> Select[Any]:
    """The sums by groups, in no order. Raises Misconfigured."""
    unknown = next((name for name in (*by, *(only or ())) if name not in COST_GROUPS), None)
    if unknown is not None:
        raise Misconfigured(f"costs are not known by {unknown!r}: use some of {', '.join(COST_GROUPS)}")
    if since is not None and until is not None and until < since:
        raise Misconfigured(f"the costs until {until} begin at {since}, which is later: exchange them")
    changes = _changes(connection, timezone, {*by, *(only or ())})
    groups = [changes.c[COST_GROUPS[name]] for name in by]
    wanted = ((changes.c.tenant, eq, tenant), (changes.c.day, ge, since), (changes.c.day, le, until))
    sums = [_sum(changes, name).label(name) for name in FIELDS]
    summed = (
        select(*groups, *sums)
        .where(*(compare(each, value) for each, compare, value in wanted if value is not None))
        .where(*(changes.c[COST_GROUPS[name]] == value for name, value in (only or {}).items()))
    )
    return summed.group_by(*groups) if groups else summed.having(func.count() > 0)


def _changes(connection: Connection, timezone: str, names: Set[str]) -> Subquery:
    """What calls changed of the sums, and when: rolled up, where the roll-up's days are those of ``timezone``.

    Of the roll-ups the smallest that tells the ``names`` apart; the others are null.
    """
    which = _smallest(names) if _rolled_in(connection, timezone) else "called"
    columns = [costs_daily.c[name] for name in (*COST_GROUPS.values(), *FIELDS)]
    return text(SQL[which].text).columns(*columns).subquery("changes")


def _smallest(names: Set[str]) -> str:
    if APART not in names:
        return "rolled_without_users"
    return "rolled_of_users" if names <= OF_USERS else "rolled"


def _sum(changes: FromClause, name: str) -> ColumnElement[Any]:
    summed = func.sum(changes.c[name])
    return summed if name in AMOUNTS else cast(summed, BigInteger)


def _group(by: Sequence[str], row: Sequence[Any]) -> dict[str, str]:
    return {name: str(value) for name, value in zip(by, row, strict=False)}


def _rolled_in(connection: Connection, timezone: str) -> bool:
    return SQL["zone"].scalar(connection) in (None, timezone)


def fold(connection: Connection, *, timezone: str) -> int:
    """Adds the oldest changes to the days they belong to; how many. One at a time, as upkeep does it.

    The days are those of the first fold; :func:`keep_days` changes them.
    """
    SQL["keep_zone"].count(connection, {"timezone": timezone})
    return int(SQL["fold"].scalar(connection, {"limit": FOLDED_AT_ONCE}))


def keep_days(connection: Connection, *, timezone: str) -> None:
    """Sees to it that the roll-up's days begin in ``timezone``; where they began elsewhere, it is made anew."""
    SQL["keep_zone"].count(connection, {"timezone": timezone})
    if not _rolled_in(connection, timezone):
        roll_up(connection, timezone=timezone)


def roll_up(connection: Connection, *, timezone: str) -> None:
    """Makes the roll-up anew from the rows, with days that begin in ``timezone``; the ledger stands still."""
    SQL["lock_ledger"].count(connection)
    SQL["forget_roll_up"].count(connection)
    SQL["forget_sums"].count(connection)
    SQL["keep_zone"].count(connection, {"timezone": timezone})
    SQL["roll_up"].count(connection, {"timezone": timezone})


def spent_in(connection: Connection, scope: str, subject: str, since: date, *, timezone: str) -> Decimal:
    """Returns what a tenant, feature or user, or everybody, has spent since a day began, as far as it is known."""
    changes = _changes(connection, timezone, {scope} & {*COST_GROUPS})
    spent = select(func.coalesce(func.sum(changes.c.cost_usd), 0)).where(changes.c.day >= since)
    if scope != "all":
        spent = spent.where(changes.c[COST_GROUPS[scope]] == subject)
    return Decimal(connection.execute(spent, {"timezone": timezone}).scalar_one())


def prompt_is_in_ledger(connection: Connection, prompt: str) -> bool:
    """Returns whether calls were made for a prompt, also for one that is gone."""
    return bool(SQL["prompt_is_in_ledger"].scalar(connection, {"prompt": prompt}))
