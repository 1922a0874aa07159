"""Budgets: what the next call may cost at most is reserved before it, and settled after it.

A row is one window (a day, a month, or all time) of a budget; no row means no budget. Reserving and settling are
single statements, each conditional on what it finds under the rows' locks, which are taken in the order of their
ids. A job that does not fit waits for the budget's *series*, the id of its first window, and is set free by
whatever makes room: a settlement, a higher cap, the next window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from sqlalchemy import Connection, text

from db.jobs import Job

__all__ = [
    "LOCK",
    "SPENT",
    "Covering",
    "Payer",
    "Policy",
    "Refusal",
    "Reservation",
    "admit",
    "any_left",
    "exist",
    "free",
    "hold",
    "look_after",
    "note_spent",
    "refusal_of",
    "reserve",
    "roll",
    "settle",
]

Policy: TypeAlias = Literal["hold", "fail", "cheaper"]
Scope: TypeAlias = Literal["all", "tenant", "feature", "user"]
Span: TypeAlias = Literal["day", "month", "total"]

NEARLY_SPENT = 80
SPENT = 100
"""Thresholds, in percent of the cap, that are told once a window; the last when a call does not fit any more."""
ADMITTED_AT_ONCE = 200


class Payer(Protocol):
    """Whose budgets cover a call: a job's, or a question's."""

    @property
    def tenant(self) -> str: ...
    @property
    def feature(self) -> str: ...
    @property
    def usr(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Covering:
    """A budget that covers a job, in its present window."""

    id: int
    series: int
    scope: Scope
    subject: str
    span: Span
    policy: Policy
    cap_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal
    warned: int
    stale: bool
    """Its window is over, and the next one has no row yet."""
    reserved: bool

    @property
    def left_usd(self) -> Decimal:
        return self.cap_usd - self.spent_usd - self.reserved_usd

    @property
    def name(self) -> str:
        """As people call it: ``1.00 USD a day for feature till``."""
        whom = f" for {self.scope} {self.subject}" if self.subject else ""
        when = "in total" if self.span == "total" else f"a {self.span}"
        return f"{self.cap_usd.normalize():f} USD {when}{whom}"


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """The windows in which a call's worst case is reserved; none where no budget covers the job."""

    budgets: Sequence[int]
    nearly_spent: Sequence[Covering] = ()
    """Those that reached the lower threshold by it, for the first time in their window."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The call does not fit into these budgets; their rows are locked until the transaction ends."""

    need_usd: Decimal | None
    """None where the model has no known price."""
    short: Sequence[Covering]

    @property
    def strictest(self) -> Covering:
        """The budget whose policy is followed: fail before cheaper before hold, then the longest window."""
        return min(self.short, key=lambda each: (_STRICTNESS[each.policy], _LENGTH[each.span], each.id))

    @property
    def message(self) -> str:
        """What, where, and what to do."""
        budget = self.strictest
        told = f"budget {budget.series} ({budget.name})"
        if self.need_usd is None:
            return (
                f"{told} covers this job, and the model has no known price: set `price` under its table in "
                f"docmill.toml, or DOCMILL_UNPRICED=allow to call it outside of all budgets"
            )
        need = f"the next call may cost up to {self.need_usd:f} USD"
        raising = f"`docmill budgets raise {budget.series} USD`"
        if self.need_usd > budget.cap_usd:
            return f"{need}, more than the whole of {told}: raise it with {raising}, or lower max_output_tokens"
        left = max(budget.left_usd, Decimal(0)).normalize()
        return f"{need}, and {told} has {left:f} left: wait for its next window, or raise it with {raising}"


_STRICTNESS = {"fail": 0, "cheaper": 1, "hold": 2}
_LENGTH = {"total": 0, "month": 1, "day": 2}


# The latest window of each budget that covers a job: twelve look-ups in an index, however many windows there were.
COVERING = """
  select b.*, b.window_start < docmill_window_start(b.span, clock_timestamp(), :timezone) as stale
  from (values ('all', ''), ('tenant', :tenant), ('feature', :feature), ('user', :usr)) who(scope, subject)
  cross join (values ('day'), ('month'), ('total')) spans(span)
  cross join lateral (select * from budgets where budgets.scope = who.scope and budgets.subject = who.subject
                      and budgets.span = spans.span order by window_start desc limit 1) b
"""

RESERVE = text(
    f"""
with covering as materialized ({COVERING}),
locked as materialized (
  select b.* from budgets b where b.id in (select id from covering) order by b.id for update),
fits as (
  select (select bool_and(spent_usd + reserved_usd + cast(:need as numeric) <= cap_usd) from locked)
     and not (select bool_or(stale) from covering) as every),
taken as (
  update budgets set reserved_usd = budgets.reserved_usd + cast(:need as numeric),
    warned = case when (budgets.spent_usd + budgets.reserved_usd + cast(:need as numeric)) * 100
                       >= budgets.cap_usd * {NEARLY_SPENT} then greatest(budgets.warned, {NEARLY_SPENT})
                  else budgets.warned end
  where id in (select id from locked) and (select every from fits) returning id)
select locked.id, coalesce(locked.series, locked.id) as series, locked.scope, locked.subject, locked.span,
  locked.policy, locked.cap_usd, locked.spent_usd, locked.reserved_usd, locked.warned, covering.stale,
  taken.id is not null as reserved
from locked join covering using (id) left join taken using (id) order by id
"""
)


def reserve(
    connection: Connection, payer: Payer, need_usd: Decimal | None, *, timezone: str
) -> Reservation | Refusal:
    """Reserves the most that a call can cost in every budget that covers the payer, or in none of them.

    A window that is over is followed by the next one, which begins empty and sets free those who waited for it.
    ``need_usd`` None, a model without a known price, is refused wherever a budget covers the job.
    """
    found = _covering(connection, payer, need_usd, timezone)
    while any(budget.stale for budget in found):
        roll(connection, [budget.id for budget in found if budget.stale], timezone=timezone)
        found = _covering(connection, payer, need_usd, timezone)
    if all(budget.reserved for budget in found):
        return Reservation(budgets=[budget.id for budget in found], nearly_spent=_nearly(found, need_usd))
    short = [budget for budget in found if need_usd is None or budget.left_usd < need_usd]
    return Refusal(need_usd=need_usd, short=short)


def _covering(connection: Connection, payer: Payer, need_usd: Decimal | None, timezone: str) -> list[Covering]:
    rows = connection.execute(RESERVE, {**_payer(payer), "need": need_usd, "timezone": timezone})
    return [Covering(**row) for row in rows.mappings()]


def _payer(payer: Payer) -> dict[str, str]:
    return {"tenant": payer.tenant, "feature": payer.feature, "usr": payer.usr}


def _nearly(found: Sequence[Covering], need_usd: Decimal | None) -> list[Covering]:
    need = need_usd or Decimal(0)
    return [
        budget
        for budget in found
        if budget.warned < NEARLY_SPENT
        and (budget.spent_usd + budget.reserved_usd + need) * 100 >= budget.cap_usd * NEARLY_SPENT
    ]


def refusal_of(connection: Connection, job: Job, need_usd: Decimal | None, *, timezone: str) -> Refusal | None:
    """What :func:`reserve` would refuse now, under the same locks; reserves nothing."""
    with connection.begin_nested() as attempt:
        found = reserve(connection, job, need_usd, timezone=timezone)
        if isinstance(found, Refusal):
            return found
        attempt.rollback()
    return None


AFFORDS = text(
    f"select coalesce(bool_and(stale or spent_usd + reserved_usd + cast(:need as numeric) <= cap_usd), true)"
    f" from ({COVERING}) covering"
)


def any_left(connection: Connection, job: Job, need_usd: Decimal | None, *, timezone: str) -> bool:
    """Whether the call seems to fit: a look without locks, before anything else is asked for."""
    values = {**_payer(job), "need": need_usd, "timezone": timezone}
    return bool(connection.execute(AFFORDS, values).scalar())


def exist(connection: Connection) -> bool:
    return bool(connection.execute(text("select exists (select from budgets)")).scalar())


HOLD = text(
    "update jobs set state = 'held', wait = 'budget', owner = null, redrives = 0, budget_id = :series,"
    " need_usd = :need, failure = jsonb_build_object('kind', 'budget', 'message', cast(:message as text)),"
    " wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => 3600))"
    " where id = :id and epoch = :epoch and stage = :stage and wait is not null"
)


def hold(connection: Connection, job: Job, refusal: Refusal) -> bool:
    """The job waits for the budget that refused it, within the transaction that did; False for a stale message."""
    values = {"series": refusal.strictest.series, "need": refusal.need_usd, "message": refusal.message}
    return bool(connection.execute(HOLD, {**job.fence, **values}).rowcount)


SPENT_UP = text(f"update budgets set warned = {SPENT} where id = any(:ids) and warned < {SPENT} returning id")


def note_spent(connection: Connection, refusal: Refusal) -> list[Covering]:
    """Those of the refusing budgets that turn a call away for the first time in their window."""
    ids = [budget.id for budget in refusal.short]
    first = set(connection.execute(SPENT_UP, {"ids": ids}).scalars())
    return [budget for budget in refusal.short if budget.id in first]


def settle(connection: Connection, budget_ids: Sequence[int], *, reserved_usd: Decimal, cost_usd: Decimal) -> None:
    """Replaces a reservation by what the call did cost, and sets free as many waiting jobs as then fit."""
    values = {"ids": list(budget_ids), "reserved": reserved_usd, "cost": cost_usd}
    connection.execute(SETTLE, values)
    admit(connection, budget_ids)


SETTLE = text(
    "update budgets set reserved_usd = reserved_usd - :reserved, spent_usd = spent_usd + :cost"
    " where id = any(:ids)"
)


def admit(connection: Connection, budget_ids: Sequence[int]) -> int:
    """Sets free as many of those who wait for these budgets as fit, interactive ones first; how many.

    The rows must be locked. Who was set free before and has not reserved yet is counted as if it had.
    """
    return connection.execute(ADMIT, {"ids": list(budget_ids)}).rowcount


# Only the latest window of a series has room to give. Those who could never fit are passed over.
ADMIT = text(
    f"""
with room as materialized (
  select mine.series, b.cap_usd - b.spent_usd - b.reserved_usd - admitted.usd as usd
  from budgets b
  cross join lateral (select coalesce(b.series, b.id) as series) mine
  cross join lateral (select coalesce(sum(need_usd), 0) as usd from jobs
                      where budget_id = mine.series and wait in ('unsent', 'sent')) admitted
  where b.id = any(:ids) and not exists (
    select from budgets later where later.scope = b.scope and later.subject = b.subject and later.span = b.span
    and later.window_start > b.window_start)
), fitting as (
  select id from room cross join lateral (
    select id, sum(need_usd) over (order by place) as up_to from (
      select id, need_usd, row_number() over (order by lane desc, id) as place from (
        select id, lane, need_usd from jobs
        where wait = 'budget' and budget_id = room.series and need_usd <= room.usd
          and exists (select from jobs least where least.wait = 'budget' and least.budget_id = room.series
                      and least.need_usd <= room.usd)
        order by lane desc, id limit {ADMITTED_AT_ONCE} for update skip locked) waiting) placed) summed
  where up_to <= room.usd
)
update jobs set wait = 'unsent', state = 'queued', wake_at = clock_timestamp()
from fitting where jobs.id = fitting.id
"""
)


ROLL = text(
    "insert into budgets (scope, subject, span, policy, cap_usd, window_start, series)"
    " select scope, subject, span, policy, cap_usd, docmill_window_start(span, clock_timestamp(), :timezone),"
    " coalesce(series, id) from budgets where id = any(:ids) order by id"
    " on conflict (scope, subject, span, window_start) do nothing returning id"
)


def roll(connection: Connection, budget_ids: Sequence[int], *, timezone: str) -> None:
    """Makes the present window of budgets whose latest one is over; whoever makes it sets free who waited."""
    if not budget_ids:
        return
    made = connection.execute(ROLL, {"ids": list(budget_ids), "timezone": timezone}).scalars().all()
    if made:
        admit(connection, made)


# One step along an index for each budget that somebody waits for, however many wait.
AWAITED = text(
    """
with recursive awaited as (
  (select budget_id from jobs where wait = 'budget' order by budget_id limit 1)
  union all
  select (select budget_id from jobs where wait = 'budget' and budget_id > awaited.budget_id
          order by budget_id limit 1) from awaited where awaited.budget_id is not null
)
select awaited.budget_id as series, b.id,
  b.window_start < docmill_window_start(b.span, clock_timestamp(), :timezone) as stale
from awaited left join lateral (
  select * from budgets where coalesce(series, id) = awaited.budget_id
  order by window_start desc limit 1) b on true
where awaited.budget_id is not null
"""
)
LOCK = text("select from budgets where id = any(:ids) order by id for update")


def look_after(connection: Connection, *, timezone: str) -> None:
    """What upkeep does: new windows begin although nobody calls, and room that nobody gave away is given."""
    awaited = connection.execute(AWAITED, {"timezone": timezone}).all()
    if not awaited:
        return
    present = [budget.id for budget in awaited if budget.id is not None]
    connection.execute(LOCK, {"ids": present})
    roll(connection, [budget.id for budget in awaited if budget.stale], timezone=timezone)
    admit(connection, present)
    for budget in awaited:
        if budget.id is None:
            free(connection, budget.series)
    connection.execute(LOOKED_AT)


LOOKED_AT = text(
    "update jobs set wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => 3600))"
    " where id in (select id from jobs where wait = 'budget' and wake_at < statement_timestamp()"
    " order by id limit 500 for update skip locked)"
)


def free(connection: Connection, series: int) -> None:
    """Nobody has to wait for a budget that is gone."""
    connection.execute(
        text(
            "update jobs set wait = 'unsent', state = 'queued', budget_id = null, need_usd = null,"
            " wake_at = clock_timestamp() where wait = 'budget' and budget_id = :series"
        ),
        {"series": series},
    )
