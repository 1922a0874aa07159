"""A call that belongs to no job: a question's, or a trial's. Somebody waits for it; it waits for nobody long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from db import budgets
from db.budgets import Refusal
from db.ledger import Intent, Settlement
from db.model_state import ModelState
from docmill.errors import Failure
from docmill.llm.client import Outcome
from docmill.settings import Model
from tasks.calls import admission
from tasks.calls.closing import Closure, close
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.services import Services

__all__ = ["close_jobless", "hold_in_its_way", "limit_in_its_way", "reserve_jobless"]


class JoblessCall(Protocol):
    """A call that is on record."""

    @property
    def model(self) -> Model: ...
    @property
    def intent(self) -> Intent: ...


def hold_in_its_way(model: Model, state: ModelState) -> Failure | None:
    """Returns a failure where the model is held."""
    if state.hold_s <= 0:
        return None
    message = f"it is held for another {state.hold_s:.0f} s: `docmill models release {model.name}` ends that"
    return Failure(kind="rate_limited", message=message, retry_after_s=state.hold_s)


def limit_in_its_way(services: Services, call: admission.Call) -> Failure | None:
    """Takes the call's slot, or returns a failure where the limits have no room within seconds."""
    slot = admission.at_the_door(services, call)
    if slot.wait_s <= 0:
        return None
    message = f"the provider's limits have room in {slot.wait_s:.0f} s"
    return Failure(kind="rate_limited", message=message, retry_after_s=slot.wait_s)


def reserve_jobless(
    connection: Connection, services: Services, asker: budgets.Payer, intent: Intent
) -> Sequence[int] | Failure:
    """Reserves the call's worst case, and returns in which budgets, or which one has no room."""
    need_usd = intent.reserved_usd
    if need_usd is None and services.settings.unpriced == "allow":
        return ()
    found = budgets.reserve(connection, asker, need_usd, timezone=services.settings.timezone)
    return Failure(kind="budget", message=found.message) if isinstance(found, Refusal) else found.budgets


def close_jobless(services: Services, call: JoblessCall, outcome: Outcome, **vectors: Any) -> Settlement:
    """Keeps what the call came to; in the spool, where the database went away meanwhile.

    ``vectors`` are those fields of a Closure. Raises OSError where the disk takes it neither: its lease runs out,
    and the ledger says "in doubt".
    """
    settlement = settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)
    closure = Closure(job_id=None, epoch=0, settlement=settlement, **vectors)

    def settle() -> None:
        close(services.database, closure, message_s=services.message_s)

    settle_or_spool(services, settle, lambda: closure, held_s=0)
    return settlement
