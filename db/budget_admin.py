"""Budgets as an operator sets, raises and removes them, and as they are shown and told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from db import budgets
from db.budgets import Policy, Scope, Span
from db.costs import plain_usd, spent_in
from docmill.errors import Misconfigured

__all__ = [
    "Budget",
    "Wanted",
    "Warned",
    "listed",
    "note_told",
    "put",
    "raise_cap",
    "remove",
    "take_untold",
]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A budget as an operator wants it."""

    scope: Scope
    subject: str
    span: Span
    policy: Policy
    cap_usd: Decimal


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A budget with its latest window."""

    id: int
    """Of the series: it stays when windows change."""
    scope: Scope
    subject: str
    span: Span
    policy: Policy
    cap_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal
    """For calls that are open, or may have been billed."""
    since: datetime
    waiting: int
    """Jobs that are held for it."""
    least_need_usd: Decimal | None
    """What the smallest of their calls may cost."""

    def as_json(self) -> dict[str, Any]:
        plain = {
            name: plain_usd(value) if isinstance(value, Decimal) else value for name, value in vars(self).items()
        }
        return {**plain, "since": self.since.isoformat()}


LISTED = text(
    "select distinct on (scope, subject, span) coalesce(series, id) as id, scope, subject, span, policy, cap_usd,"
    " spent_usd, reserved_usd, window_start as since, held.waiting, held.least_need_usd"
    " from budgets cross join lateral (select count(*)::int as waiting, min(need_usd) as least_need_usd from jobs"
    " where wait = 'budget' and budget_id = coalesce(series, budgets.id)) held"
    " order by scope, subject, span, window_start desc"
)


def listed(connection: Connection) -> list[Budget]:
    """Every budget; the figures of one whose window is over are that window's, until the next call."""
    return [Budget(**row) for row in connection.execute(LISTED).mappings()]


def put(connection: Connection, wanted: Wanted, *, timezone: str) -> Budget:
    """Sets a budget, or changes the cap and the policy of the one with the same scope, subject and span.

    A new budget of a day or a month counts what this day or month has cost already, and reserves what its open
    calls may cost; one in total counts from now on.
    """
    found = connection.execute(LATEST, vars(wanted)).scalar()
    if found is None:
        _make(connection, wanted, timezone)
    else:
        budgets.lock(connection, [found])
        connection.execute(CHANGE, {**vars(wanted), "id": found})
        budgets.admit(connection, [found])
    return _one(connection, wanted)


LATEST = text(
    "select id from budgets where scope = :scope and subject = :subject and span = :span"
    " order by window_start desc limit 1"
)
CHANGE = text("update budgets set cap_usd = :cap_usd, policy = :policy, warned = 0, told = 0 where id = :id")


def _make(connection: Connection, wanted: Wanted, timezone: str) -> None:
    """The ledger stands still for a moment, so that each call is either counted here or sees the budget."""
    connection.execute(text("lock table calls in share row exclusive mode"))
    made = connection.execute(MAKE, {**vars(wanted), "timezone": timezone}).one()
    if wanted.span == "total":
        return
    since = made.window_start.astimezone(ZoneInfo(timezone)).date()
    spent = spent_in(connection, wanted.scope, wanted.subject, since, timezone=timezone)
    values = {"id": made.id, "scope": wanted.scope, "subject": wanted.subject, "since": made.window_start}
    reserved = sum(connection.execute(ADOPT, values).scalars(), Decimal(0))
    connection.execute(BEGIN, {"id": made.id, "spent": spent, "reserved": reserved})


MAKE = text(
    "insert into budgets (scope, subject, span, policy, cap_usd, window_start)"
    " values (:scope, :subject, :span, :policy, :cap_usd, case when :span = 'total' then clock_timestamp()"
    " else docmill_window_start(:span, clock_timestamp(), :timezone) end) returning id, window_start"
)
ADOPT = text(
    "update calls set budgets = budgets || cast(:id as bigint)"
    " where (state = 'intent' or possibly_billed) and reserved_usd is not null and started_at >= :since"
    " and case :scope when 'all' then true when 'tenant' then tenant = :subject"
    " when 'feature' then feature = :subject else usr = :subject end returning reserved_usd"
)
BEGIN = text("update budgets set spent_usd = :spent, reserved_usd = :reserved where id = :id")


def raise_cap(connection: Connection, budget_id: int, cap_usd: Decimal) -> Budget:
    """Raises the cap, now and in the windows to come, and sets free as many waiting jobs as then fit.

    Raises Misconfigured where there is no such budget, or its cap is not lower.
    """
    found = _known(connection, budget_id)
    if cap_usd <= found.cap_usd:
        raise Misconfigured(
            f"budget {found.id} has a cap of {plain_usd(found.cap_usd)} USD already: name a higher one, "
            f"or lower it with `docmill budgets set`"
        )
    latest = connection.execute(LATEST, vars(found)).scalar_one()
    budgets.lock(connection, [latest])
    connection.execute(CHANGE, {**vars(found), "cap_usd": cap_usd, "id": latest})
    budgets.admit(connection, [latest])
    return _known(connection, budget_id)


def remove(connection: Connection, budget_id: int) -> Budget:
    """Ends a budget, with all its windows, and sets free who waits for it. Raises Misconfigured."""
    found = _known(connection, budget_id)
    connection.execute(text("delete from budgets where coalesce(series, id) = :id"), {"id": found.id})
    budgets.free(connection, found.id)
    return found


def _known(connection: Connection, budget_id: int) -> Budget:
    found = listed(connection)
    for budget in found:
        if budget.id == budget_id:
            return budget
    raise Misconfigured(f"there is no budget {budget_id}: {_those(found)}")


def _those(found: Sequence[Budget]) -> str:
    ids = ", ".join(str(budget.id) for budget in found)
    return f"there are {ids}, see `docmill budgets`" if found else "`docmill budgets set` makes one"


def _one(connection: Connection, wanted: Wanted) -> Budget:
    key = (wanted.scope, wanted.subject, wanted.span)
    return next(each for each in listed(connection) if (each.scope, each.subject, each.span) == key)


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A budget that has reached a threshold in its present window, and whose webhook has not heard of it."""

    id: int
    series: int
    scope: Scope
    subject: str
    span: Span
    policy: Policy
    percent: int
    since: datetime
    cap_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal


# Whoever takes one has a minute to tell it; then it is another's. What nobody took within a day is no news.
UNTOLD = text(
    "update budgets set tell_at = clock_timestamp() + interval '1 minute'"
    " where warned > told and tell_at <= clock_timestamp()"
    " and (span <> 'day' or window_start > clock_timestamp() - interval '2 days')"
    " returning id, coalesce(series, id) as series, scope, subject, span, policy, warned as percent,"
    " window_start as since, cap_usd, spent_usd, reserved_usd"
)


def take_untold(connection: Connection) -> list[Warned]:
    """What the webhook is to be told now, by this process alone."""
    if not connection.execute(text("select exists (select from budgets where warned > told)")).scalar():
        return []
    return [Warned(**row) for row in connection.execute(UNTOLD).mappings()]


def note_told(connection: Connection, warned: Warned) -> None:
    """The webhook knows of it, and may be told of the next threshold."""
    connection.execute(
        text(
            "update budgets set told = greatest(told, :percent), tell_at = clock_timestamp() where id = :id"
            " and warned >= :percent"
        ),
        {"id": warned.id, "percent": warned.percent},
    )
