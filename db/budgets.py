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

from sqlalchemy import Connection

from db import transitions
from db.database import one_statement
from db.jobs import Job
from db.statements import statements_of
from docmill.errors import Failure

__all__ = [
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
    "lock",
    "look_after",
    "note_spent",
    "refusal_of",
    "reserve",
    "roll",
    "settle",
]

SQL, TRANSITIONS = statements_of("budgets"), statements_of("transitions")

Policy: TypeAlias = Literal["hold", "fail", "cheaper"]
Scope: TypeAlias = Literal["all", "tenant", "feature", "user", "prompt"]
Span: TypeAlias = Literal["day", "month", "total"]

NEARLY_SPENT = 80
SPENT = 100
"""Thresholds, in percent of the cap, that are told once a window; the last when a call does not fit any more."""
ADMITTED_AT_ONCE = 200
LOOKED_AT_ONCE = 500


class Payer(Protocol):
    """Whose budgets cover a call: a job's, or a question's."""

    @property
    def tenant(self) -> str: ...
    @property
    def feature(self) -> str: ...
    @property
    def usr(self) -> str: ...
    @property
    def prompt(self) -> str | None: ...


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

    def fits(self, need_usd: Decimal) -> bool:
        """Returns whether a call that may cost so much has room; a cap of 0 has none, also for what is free."""
        return self.cap_usd > 0 and self.left_usd >= need_usd

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
        named = f"budget {budget.series} ({budget.name})"
        if self.need_usd is None:
            return (
                f"{named} covers this job, and the model has no known price: set `price` under its table in "
                f"docmill.toml, or DOCMILL_UNPRICED=allow to call it outside of all budgets"
            )
        need = f"the next call may cost up to {self.need_usd:f} USD"
        raising = f"`docmill budgets raise {budget.series} USD`"
        if not budget.cap_usd:
            ending = f"`docmill budgets remove {budget.series}`"
            return f"{named} lets no call through: raise it with {raising}, or end it with {ending}"
        if self.need_usd > budget.cap_usd:
            return f"{need}, more than the whole of {named}: raise it with {raising}, or lower max_output_tokens"
        left = max(budget.left_usd, Decimal(0)).normalize()
        return f"{need}, and {named} has {left:f} left: wait for its next window, or raise it with {raising}"


_STRICTNESS = {"fail": 0, "cheaper": 1, "hold": 2}
_LENGTH = {"total": 0, "month": 1, "day": 2}


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
    short = [budget for budget in found if need_usd is None or not budget.fits(need_usd)]
    return Refusal(need_usd=need_usd, short=short)


def _covering(connection: Connection, payer: Payer, need_usd: Decimal | None, timezone: str) -> list[Covering]:
    values = {**_payer(payer), "need_usd": need_usd, "timezone": timezone, "nearly_spent": NEARLY_SPENT}
    return SQL["reserve"].rows(connection, values, of=Covering)


def _payer(payer: Payer) -> dict[str, str | None]:
    return {"tenant": payer.tenant, "feature": payer.feature, "usr": payer.usr, "prompt": payer.prompt}


def _nearly(found: Sequence[Covering], need_usd: Decimal | None) -> list[Covering]:
    need = need_usd or Decimal(0)
    return [
        budget
        for budget in found
        if budget.warned < NEARLY_SPENT
        and (budget.spent_usd + budget.reserved_usd + need) * 100 >= budget.cap_usd * NEARLY_SPENT
    ]


def refusal_of(connection: Connection, job: Job, need_usd: Decimal | None, *, timezone: str) -> Refusal | None:
    """Finds what :func:`reserve` would refuse now, under the same locks; reserves nothing."""
    with connection.begin_nested() as attempt:
        found = reserve(connection, job, need_usd, timezone=timezone)
        if isinstance(found, Refusal):
            return found
        attempt.rollback()
    return None


@one_statement
def any_left(connection: Connection, job: Job, need_usd: Decimal | None, *, timezone: str) -> bool:
    """Returns whether the call seems to fit: a look without locks, before anything else is asked for."""
    values = {**_payer(job), "need_usd": need_usd, "timezone": timezone}
    return bool(SQL["affords"].scalar(connection, values))


def exist(connection: Connection) -> bool:
    """Returns whether there is any budget."""
    return bool(SQL["exist"].scalar(connection))


def hold(connection: Connection, job: Job, refusal: Refusal) -> bool:
    """Holds the job for the budget that refused it, within the transaction that did; False for a stale message."""
    return transitions.hold(
        connection,
        job,
        "budget",
        budget=refusal.strictest.series,
        need_usd=refusal.need_usd,
        failure=Failure(kind="budget", message=refusal.message),
    )


def note_spent(connection: Connection, refusal: Refusal) -> list[Covering]:
    """Notes that the budgets refused a call; those of them that did for the first time in their window."""
    values = {"ids": [budget.id for budget in refusal.short], "spent": SPENT}
    first = {row.id for row in SQL["note_spent"].rows(connection, values)}
    return [budget for budget in refusal.short if budget.id in first]


def settle(connection: Connection, budget_ids: Sequence[int], *, reserved_usd: Decimal, cost_usd: Decimal) -> None:
    """Replaces a reservation by what the call did cost, and sets free as many waiting jobs as then fit."""
    values = {"ids": list(budget_ids), "reserved_usd": reserved_usd, "cost_usd": cost_usd}
    SQL["settle"].count(connection, values)
    admit(connection, budget_ids)


def admit(connection: Connection, budget_ids: Sequence[int]) -> int:
    """Sets free as many of those who wait for these budgets as fit, interactive ones first; how many.

    The rows must be locked. Who was set free before and has not reserved yet is counted as if it had.
    """
    values = {"ids": list(budget_ids), "limit": ADMITTED_AT_ONCE}
    return TRANSITIONS["free_for_budgets"].count(connection, values)


def lock(connection: Connection, budget_ids: Sequence[int]) -> None:
    """Locks the rows, in the order of their ids, until the transaction ends."""
    SQL["lock"].count(connection, {"ids": list(budget_ids)})


def roll(connection: Connection, budget_ids: Sequence[int], *, timezone: str) -> None:
    """Makes the present window of budgets whose latest one is over; whoever makes it sets free who waited."""
    if not budget_ids:
        return
    made = SQL["roll"].rows(connection, {"ids": list(budget_ids), "timezone": timezone})
    if made:
        admit(connection, [row.id for row in made])


def look_after(connection: Connection, *, timezone: str) -> None:
    """Begins new windows although nobody calls, and gives room that nobody gave away: what upkeep does."""
    awaited = SQL["awaited"].rows(connection, {"timezone": timezone})
    if not awaited:
        return
    present = [budget.id for budget in awaited if budget.id is not None]
    lock(connection, present)
    roll(connection, [budget.id for budget in awaited if budget.stale], timezone=timezone)
    admit(connection, present)
    for budget in awaited:
        if budget.id is None:
            free(connection, budget.series)
    TRANSITIONS["look_again_for_budgets"].count(connection, {"limit": LOOKED_AT_ONCE})


def free(connection: Connection, series: int) -> None:
    """Frees all who wait for a budget that is gone."""
    TRANSITIONS["free_of_budget"].count(connection, {"series": series})
