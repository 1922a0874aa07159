"""Money for the next call: its worst case, reserved before it; and what is done where no budget has room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import structlog
from sqlalchemy import Connection

from db import budgets, flights
from db.budgets import Covering, Refusal, Reservation
from db.jobs import Job
from docmill import money
from docmill.errors import Failure
from docmill.llm.tokens import counter_for
from docmill.llm.types import Request
from docmill.settings import Model
from prompts import PromptVersion
from tasks import remedies
from tasks.services import Services
from tasks.setbacks import Setback
from tasks.stages.step import Step, Stop, fail

__all__ = ["reserve", "short_of_money", "worst_case"]

log = structlog.get_logger()


def worst_case(job: Job, model: Model, request: Request) -> Decimal | None:
    """The most that the call can cost, in USD; None where the model has no known price."""
    # What context counted is what the ladder's first model is asked, unless a correction makes it longer.
    counted = (job.context or {}).get("estimate", 0) if job.model is None and job.purpose != "correction" else 0
    schema = len(json.dumps(request.json_schema).encode()) if request.json_schema is not None else 0
    return money.worst_case(
        counter_for(model.model).most(request.messages, counted=int(counted)) + schema,
        request.max_output_tokens,
        provider=model.provider,
        model=model.model,
        prices=model.prices,
        at=datetime.now(UTC),
    )


def short_of_money(services: Services, job: Job, prompt: PromptVersion, need_usd: Decimal | None) -> Step | None:
    """Returns what is done where the call fits no budget, before anything else is asked for; None where it may."""
    if not services.budgets.exist or _outside(services, need_usd):
        return None
    timezone = services.settings.timezone
    if services.database.run(budgets.any_left, job, need_usd, timezone=timezone):
        return None
    with services.database.work() as connection:
        flights.lock_led(connection, job)
        refusal = budgets.refusal_of(connection, job, need_usd, timezone=timezone)
        return None if refusal is None else _turned_away(connection, services, job, prompt, refusal)


def reserve(
    connection: Connection, services: Services, job: Job, prompt: PromptVersion, need_usd: Decimal | None
) -> Reservation | Step:
    """The budgets in which the call's worst case is reserved now, or what is done instead."""
    if _outside(services, need_usd):
        return Reservation(budgets=())
    found = budgets.reserve(connection, job, need_usd, timezone=services.settings.timezone)
    if isinstance(found, Refusal):
        return _turned_away(connection, services, job, prompt, found)
    _tell("budget_nearly_spent", found.nearly_spent)
    if not found.budgets:
        services.budgets.exist = budgets.exist(connection)
    return found


def _outside(services: Services, need_usd: Decimal | None) -> bool:
    """Whether the call is made outside of all budgets, as the operator allows for models without a price."""
    return need_usd is None and services.settings.unpriced == "allow"


def _turned_away(
    connection: Connection, services: Services, job: Job, prompt: PromptVersion, refusal: Refusal
) -> Step:
    """Does what the strictest budget's policy says, while the budgets are still locked."""
    failure = Failure(kind="budget", message=refusal.message)
    if refusal.need_usd is None:
        return fail(connection, job, failure)
    _tell("budget_spent", budgets.note_spent(connection, refusal))
    setback = Setback.over_budget(services, job, prompt, failure, refusal.strictest.policy)
    if setback.remedy.action != "hold":
        return remedies.apply(connection, services, setback)
    flights.pass_lead(connection, job.id)
    held = budgets.hold(connection, job, refusal)
    return Stop("held: budget" if held else "stale")


def _tell(event: str, reached: Sequence[Covering]) -> None:
    for budget in reached:
        log.warning(
            event,
            budget=budget.series,
            scope=budget.scope,
            subject=budget.subject,
            span=budget.span,
            cap_usd=str(budget.cap_usd),
            spent_usd=str(budget.spent_usd),
            reserved_usd=str(budget.reserved_usd),
        )
