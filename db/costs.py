"""What calls cost, summed: fast on ten million of them, and exact at any moment.

Triggers write each change of a call to ``costs_changes``, whoever makes it. Upkeep folds these into
``costs_daily`` in one statement, and a report sums both in one statement, so that no call is counted twice or
missed. Unknown is counted, never added as zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text

from docmill.errors import Misconfigured

__all__ = [
    "COST_GROUPS",
    "FOLDED_AT_ONCE",
    "CostRow",
    "costs",
    "fold",
    "keep_days",
    "plain_usd",
    "roll_up",
    "spent_in",
]

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
        told = {name: None if usd is None else plain_usd(usd) for name, usd in amounts.items()}
        return {**self.group, **{name: getattr(self, name) for name in COUNTS}, **told}


KEY = "day, tenant, feature, usr, model, prompt, version, remedy"
FIELDS = CostRow._fields[1:]
AMOUNTS = tuple(name for name in FIELDS if name.endswith("_usd"))
COUNTS = tuple(name for name in FIELDS if name not in AMOUNTS)
SUMS = ", ".join(f"sum({name}){'' if name in AMOUNTS else '::bigint'} as {name}" for name in FIELDS)
FIGURES = ", ".join(FIELDS)


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
) -> list[CostRow]:
    """The ledger summed by some of :data:`COST_GROUPS`, the dearest group first.

    ``since`` and ``until`` are days in ``timezone``, both included. Raises Misconfigured.
    """
    unknown = next((name for name in by if name not in COST_GROUPS), None)
    if unknown is not None:
        raise Misconfigured(f"costs are not known by {unknown!r}: use some of {', '.join(COST_GROUPS)}")
    if since is not None and until is not None and until < since:
        raise Misconfigured(f"the costs until {until} begin at {since}, which is later: exchange them")
    source = ROLLED if _rolled_in(connection, timezone) else CALLED
    groups = [COST_GROUPS[name] for name in by]
    columns = "".join(f"{group}, " for group in groups)
    grouping = f"group by {', '.join(groups)}" if groups else "having count(*) > 0"
    connection.execute(text("set local work_mem = '64MB'"))  # so that groups are hashed, and not sorted on disk
    rows = connection.execute(
        text(f"select {columns}{SUMS} from ({source}) changes {WHERE} {grouping} order by cost_usd desc"),
        {"timezone": timezone, "tenant": tenant, "since": since, "until": until},
    )
    found = [CostRow(_group(by, row), *row[len(by) :]) for row in rows]
    # A change that was taken back leaves nothing to tell.
    return [row for row in found if row.calls or row.accepted]


def _group(by: Sequence[str], row: Row[Any]) -> dict[str, str]:
    return {name: str(value) for name, value in zip(by, row, strict=False)}


WHERE = (
    "where (cast(:tenant as text) is null or tenant = :tenant)"
    " and (cast(:since as date) is null or day >= :since) and (cast(:until as date) is null or day <= :until)"
)
A_DAY = "(started_at at time zone :timezone)::date as day"
REST = "tenant, feature, usr, model, prompt, version, remedy"

ROLLED = (
    f"select {KEY}, {FIGURES} from costs_daily"
    f" union all select {A_DAY}, {REST}, {FIGURES} from costs_changes where cast(:timezone as text) is not null"
)
# The same from the rows themselves, where days begin elsewhere than in the roll-up.
CALLED = (
    f"select {A_DAY}, {REST}, {FIGURES} from (select found.* from calls"
    " cross join lateral docmill_costs_of(calls, 1) found"
    " union all select found.* from jobs cross join lateral docmill_acceptance_of(jobs, 1) found"
    " where jobs.state = 'done') found"
)


def _rolled_in(connection: Connection, timezone: str) -> bool:
    zone = connection.execute(text("select timezone from costs_zone")).scalar()
    return zone in (None, timezone)


def fold(connection: Connection, *, timezone: str) -> int:
    """Adds the oldest changes to the days they belong to; how many. One at a time, as upkeep does it.

    The days are those of the first fold; :func:`keep_days` changes them.
    """
    connection.execute(ZONE, {"timezone": timezone})
    return int(connection.execute(FOLD, {"limit": FOLDED_AT_ONCE}).scalar_one())


ZONE = text("insert into costs_zone (timezone) select :timezone where not exists (select from costs_zone)")

ADD = f"""
insert into costs_daily ({KEY}, {FIGURES})
  select {KEY}, {SUMS} from taken group by {KEY} order by {KEY}
  on conflict ({KEY}) do update set
  {", ".join(f"{name} = costs_daily.{name} + excluded.{name}" for name in FIELDS)}
"""
FOLD = text(
    f"""
with changes as (
  delete from costs_changes where ctid = any(array(select ctid from costs_changes limit :limit)) returning *),
taken as (
  select (started_at at time zone (select timezone from costs_zone))::date as day, changes.* from changes),
added as ({ADD})
select count(*) from changes
"""
)


def keep_days(connection: Connection, *, timezone: str) -> None:
    """Sees to it that the roll-up's days begin in ``timezone``; where they began elsewhere, it is made anew."""
    connection.execute(ZONE, {"timezone": timezone})
    if not _rolled_in(connection, timezone):
        roll_up(connection, timezone=timezone)


def roll_up(connection: Connection, *, timezone: str) -> None:
    """Makes the roll-up anew from the rows, with days that begin in ``timezone``; the ledger stands still."""
    connection.execute(text("lock table calls, jobs, costs_changes in share row exclusive mode"))
    connection.execute(text("delete from costs_changes"))
    connection.execute(text("delete from costs_daily"))
    connection.execute(text("delete from costs_zone"))
    connection.execute(ZONE, {"timezone": timezone})
    connection.execute(text(f"with taken as ({CALLED}) {ADD}"), {"timezone": timezone})


def spent_in(connection: Connection, scope: str, subject: str, since: date, *, timezone: str) -> Decimal:
    """What a tenant, feature or user, or everybody, has spent since a day began, as far as it is known."""
    source = ROLLED if _rolled_in(connection, timezone) else CALLED
    column = {"all": "''", "tenant": "tenant", "feature": "feature", "user": "usr"}[scope]
    spent = connection.execute(
        text(
            f"select coalesce(sum(cost_usd), 0) from ({source}) found where day >= :since and {column} = :subject"
        ),
        {"timezone": timezone, "since": since, "subject": subject},
    ).scalar_one()
    return Decimal(spent)
