"""Opens calls: their job leads the work, their worst case is reserved, and their intents are in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import flights, ledger
from db.budgets import Reservation
from db.engine import is_passing
from docmill.errors import Failure
from docmill.llm.client import Outcome
from docmill.llm.transport import NOT_SENT
from tasks.calls.call import Call
from tasks.calls.closing import Closure
from tasks.calls.known import answered_lately, answered_meanwhile
from tasks.calls.reserve import reserve
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import spool
from tasks.services import Services
from tasks.stages.step import Again, Step, Stop

__all__ = ["WAITER_S", "board", "open_calls", "spool_unsent"]

log = structlog.get_logger()

LANDED_S = 1.0
"""An answer that was there and is not any more: the job asks anew."""
WAITER_S = 60.0
"""After so long a job that waits for another's answer looks whether that one still lives."""

One = TypeVar("One", bound=Call)
Boarding: TypeAlias = Callable[[Connection, bool], list[One] | Step]
"""Leads the work and reserves, where there are budgets; what is done instead where it cannot."""


def open_calls(
    services: Services, going: Sequence[One], boarding: Boarding[One], *, claimed: bool = False
) -> list[One] | Step:
    """Writes the intents of a job's calls, all in one commit; what is done instead where another job calls for the
    same work, or just has called.

    Who has ``claimed`` its stage with an earlier call joins that one.
    """
    budgeted, asked = services.budgets.exist, False
    # Without budgets two statements are all that one call needs, and each stands alone: a flight whose leader has
    # not called yet is led all the same, as that one is on its way.
    try:
        with services.database.work(atomic=budgeted or len(going) > 1) as connection:
            ready = boarding(connection, budgeted)
            if not isinstance(ready, list):
                return ready
            asked = True
            opening = _open_each(connection, services, ready, budgeted=budgeted, claimed=claimed)
            if opening != "opened":
                connection.rollback()  # and with it what was reserved
    except SQLAlchemyError as error:
        if asked and is_passing(error):
            for call in going:
                spool_unsent(services, call)
        raise
    except ledger.CallTaken:
        return Stop("stale")
    except ledger.BudgetsUnasked:
        services.budgets.exist = True
        return open_calls(services, going, boarding, claimed=claimed)
    if opening == "answered":
        return answered_meanwhile(services, going[0]) or Again("landed", LANDED_S)
    return ready if opening == "opened" else Stop("stale")


def _open_each(
    connection: Connection, services: Services, calls: Sequence[Call], *, budgeted: bool, claimed: bool
) -> ledger.Opening:
    """Up to the first that cannot be: the same work may have landed between a look at the cache and this."""
    for at, call in enumerate(calls):
        joins = claimed or at > 0
        opening = ledger.open_call(
            connection,
            call.job,
            call.intent,
            work=call.work,
            lease_s=services.settings.lease_s,
            budgets=call.budgets if budgeted else None,
            answered_within_s=flights.LATELY_S if call.may_share and not joins else None,
            joins=joins,
        )
        if opening != "opened":
            return opening
    return "opened"


def board(
    connection: Connection, services: Services, call: Call, *, budgeted: bool, claimed: bool = False
) -> Call | Step:
    """The call, when its job leads the work and its worst case is reserved; or what is done instead."""
    job = call.job
    boarded = (
        "leads" if job.fresh or claimed else flights.lead_or_follow(connection, job, call.work, for_s=WAITER_S)
    )
    if boarded != "leads":
        return Stop("held: flight" if boarded == "held" else "stale")
    if not budgeted:
        return call
    # What is known costs nothing, and must not meet an empty budget.
    landed = None if claimed else answered_lately(connection, services, call)
    if landed is not None:
        return landed
    found = reserve(connection, services, job, call.prompt, call.intent.reserved_usd)
    return replace(call, budgets=found.budgets) if isinstance(found, Reservation) else found


def spool_unsent(services: Services, call: Call) -> None:
    """Whether the intent stands or not, its call was never made. Nobody else knows that, and would doubt it."""
    failure = Failure(kind="connection", message="the database went away before the call", code=NOT_SENT)
    outcome = Outcome(reply=None, failure=failure, status=None, latency_ms=0)
    try:
        settlement = settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)
        spool(services.spool, services.owner, Closure.of(call.job, settlement, part=call.part))
    except OSError as error:
        log.error("spool_refused", call=str(call.intent.id), error=error.strerror)
