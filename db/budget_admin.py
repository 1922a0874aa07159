"""Budgets as an operator sets, raises and removes them, and as they are shown and told of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, exists, func, select, true

from db import budgets, tables
from db.budgets import Policy, Scope, Span
from db.costs import plain_usd, prompt_is_in_ledger, spent_in
from db.statements import statements_of
from db.tables import jobs
from docmill.errors import Misconfigured

__all__ = [
    "MOST_WAITING",
    "Budget",
    "Wanted",
    "Warned",
    "check_prompt",
    "listed",
    "note_told",
    "put",
    "raise_cap",
    "remove",
    "take_untold",
]


SQL = statements_of("budgets")

MOST_WAITING = 5_000
"""Jobs that are counted for a budget: a list of budgets takes as long however many wait."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A budget as an operator wants it. Raises Misconfigured unless it is for all, or for somebody with a name."""

    scope: Scope
    subject: str
    """Whose name it is, without white space around it; empty for all."""
    span: Span
    policy: Policy
    cap_usd: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "subject", self.subject.strip())
        if self.scope != "all" and not self.subject:
            raise Misconfigured(f"a budget for a {self.scope} needs a name: say whose it is")
        if self.scope == "all" and self.subject:
            raise Misconfigured(f"a budget for all has no name, and {self.subject!r} is one: say what it names")


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
    """Jobs that are held for it; :data:`MOST_WAITING` says so many or more."""
    least_need_usd: Decimal | None
    """What the smallest of these jobs' calls may cost."""

    def as_json(self) -> dict[str, Any]:
        plain = {
            name: plain_usd(value) if isinstance(value, Decimal) else value for name, value in vars(self).items()
        }
        return {**plain, "since": self.since.isoformat()}


def listed(connection: Connection) -> list[Budget]:
    """Every budget; the figures of one whose window is over are that window's, until the next call."""
    each, later = tables.budgets.c, tables.budgets.alias("later").c
    series = func.coalesce(each.series, each.id)
    first = (
        select(jobs.c.need_usd)
        .where(jobs.c.state == "held", jobs.c.wait == "budget", jobs.c.budget_id == series)
        .order_by(jobs.c.id)
        .limit(MOST_WAITING)
        .correlate(tables.budgets)
        .subquery("first")
    )
    held = select(func.count().label("waiting"), func.min(first.c.need_usd).label("least_need_usd")).lateral(
        "held"
    )
    same = (later.scope == each.scope, later.subject == each.subject, later.span == each.span)
    key = (each.scope, each.subject, each.span)
    figures = (each.policy, each.cap_usd, each.spent_usd, each.reserved_usd, each.window_start.label("since"))
    rows = connection.execute(
        select(series.label("id"), *key, *figures, held)
        .join_from(tables.budgets, held, true())
        .where(~exists().where(*same, later.window_start > each.window_start))
        .order_by(*key)
    )
    return [Budget(**row) for row in rows.mappings()]


def put(connection: Connection, wanted: Wanted, *, timezone: str) -> Budget:
    """Sets a budget, or changes the cap and the policy of the one with the same scope, subject and span.

    A new budget of a day or a month counts what this day or month has cost already, and reserves what its open
    calls may cost; one in total counts from now on.
    """
    if SQL["latest"].scalar(connection, vars(wanted)) is not None or not _made(connection, wanted, timezone):
        found = SQL["latest"].scalar(connection, vars(wanted))
        budgets.lock(connection, [found])
        SQL["change"].count(connection, {**vars(wanted), "id": found})
        budgets.admit(connection, [found])
    return _one(connection, wanted)


def _made(connection: Connection, wanted: Wanted, timezone: str) -> bool:
    """Makes the budget, unless somebody else did meanwhile.

    The ledger stands still for a moment, so that each call is either counted here or sees the budget, and so that
    of two who set the same one the second finds the first one's. It goes on before that one is changed: calls lock
    their budgets first.
    """
    with connection.begin_nested() as attempt:
        SQL["lock_calls"].count(connection)
        if SQL["latest"].scalar(connection, vars(wanted)) is not None:
            attempt.rollback()
            return False
        _make(connection, wanted, timezone)
    return True


def _make(connection: Connection, wanted: Wanted, timezone: str) -> None:
    made = SQL["add"].one(connection, {**vars(wanted), "timezone": timezone})
    if wanted.span == "total":
        return
    since = made.window_start.astimezone(ZoneInfo(timezone)).date()
    spent = spent_in(connection, wanted.scope, wanted.subject, since, timezone=timezone)
    values = {"id": made.id, "scope": wanted.scope, "subject": wanted.subject, "since": made.window_start}
    reserved = sum((row.reserved_usd for row in SQL["adopt_calls"].rows(connection, values)), Decimal(0))
    SQL["begin"].count(connection, {"id": made.id, "spent_usd": spent, "reserved_usd": reserved})


def check_prompt(connection: Connection, wanted: Wanted, names: Collection[str]) -> None:
    """Checks that a budget for a prompt is for one of ``names``, or one in the ledger: a slip would stop nobody.

    Raises Misconfigured.
    """
    if wanted.scope != "prompt" or wanted.subject in names:
        return
    if SQL["latest"].scalar(connection, vars(wanted)) is None and not prompt_is_in_ledger(
        connection, wanted.subject
    ):
        near = get_close_matches(wanted.subject, names, n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
        raise Misconfigured(f"there is no prompt {wanted.subject!r}, and no call of one: {meant}")


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
    latest = SQL["latest"].scalar(connection, vars(found))
    budgets.lock(connection, [latest])
    SQL["change"].count(connection, {**vars(found), "cap_usd": cap_usd, "id": latest})
    budgets.admit(connection, [latest])
    return _known(connection, budget_id)


def remove(connection: Connection, budget_id: int) -> Budget:
    """Ends a budget, with all its windows, and sets free who waits for it. Raises Misconfigured."""
    found = _known(connection, budget_id)
    SQL["remove"].count(connection, vars(found))
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


def take_untold(connection: Connection) -> list[Warned]:
    """What the webhook is to be told now, by this process alone."""
    return SQL["take_untold"].rows(connection, of=Warned) if SQL["any_untold"].scalar(connection) else []


def note_told(connection: Connection, warned: Warned) -> None:
    """The webhook knows of it, and may be told of the next threshold."""
    SQL["note_told"].count(connection, {"id": warned.id, "percent": warned.percent})
