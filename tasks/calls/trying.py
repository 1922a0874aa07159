"""A trial's call where a stack is there: under its limits and budgets, and in its ledger, though of no job."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from db import budgets, ledger, model_state
from db.budgets import Refusal
from db.jobs import Job
from docmill.errors import Failure
from docmill.llm.client import Outcome
from docmill.llm.limits import Limits
from docmill.llm.types import Request
from docmill.settings import Model
from prompts import PromptVersion
from tasks.calls import admission
from tasks.calls.asking import ask_model
from tasks.calls.closing import Closure, close
from tasks.calls.request import input_hash
from tasks.calls.reserve import worst_case
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.services import Services

__all__ = ["TrialCall", "ask_on_record"]


@dataclass(frozen=True, kw_only=True)
class TrialCall:
    """A call about to be made."""

    job: Job
    """One that stands nowhere: who asks, at which attempt, and why."""
    model: Model
    request: Request
    intent: ledger.Intent
    part: int = 0

    @classmethod
    def of(cls, job: Job, prompt: PromptVersion, model: Model, request: Request) -> TrialCall:
        """With nothing of the messages: the ledger has figures of a trial, and no text."""
        intent = ledger.Intent(
            id=uuid4(),
            content_hash=prompt.content_hash,
            input_hash=input_hash(model, request),
            provider=model.provider,
            account=model.account,
            model=model.model,
            request={},
            remedy=str(job.history[-1]["remedy"]) if job.history else None,
            reserved_usd=worst_case(job, model, request),
            owner="",
        )
        return cls(job=job, model=model, request=request, intent=intent)

    @property
    def limits(self) -> Limits:
        return self.model.limits

    @property
    def tokens(self) -> int:
        """What the call is counted as until its answer tells."""
        return int((self.job.context or {}).get("tokens", 0)) + self.request.max_output_tokens


def ask_on_record(
    services: Services, call: TrialCall, *, learned: Mapping[str, Any]
) -> tuple[Outcome, Decimal | None]:
    """What the call came to, and its cost in USD where that is known.

    A hold, a limit or a budget that stands in its way is a failure like one of the provider's. Never raises after
    the call was made.
    """
    if services.caller is None:
        raise RuntimeError("this process calls no models")
    held = _held(services, call) or _waits(services, call)
    if held is not None:
        return _unmade(held), None
    opened_at = time.monotonic()
    refused = _open(services, call)
    if refused is not None:
        admission.give_back(services, call)
        return _unmade(refused), None
    left_s = max(0.001, services.settings.call_deadline_s - (time.monotonic() - opened_at))
    outcome = ask_model(
        services.caller, call.model, call.request, learned=learned, call_id=call.intent.id, deadline_s=left_s
    )
    admission.tell(services, call, outcome)
    return outcome, _close(services, call, outcome)


def _unmade(failure: Failure) -> Outcome:
    return Outcome(reply=None, failure=failure, status=None, latency_ms=0)


def _held(services: Services, call: TrialCall) -> Failure | None:
    state = services.database.run(model_state.state_of, call.model)
    if state.hold_s <= 0:
        return None
    message = f"it is held for another {state.hold_s:.0f} s: `docmill models release {call.model.name}` ends that"
    return Failure(kind="rate_limited", message=message, retry_after_s=state.hold_s)


def _waits(services: Services, call: TrialCall) -> Failure | None:
    slot = admission.at_the_door(services, call)
    if slot.wait_s <= 0:
        return None
    message = f"the provider's limits have room in {slot.wait_s:.0f} s"
    return Failure(kind="rate_limited", message=message, retry_after_s=slot.wait_s)


def _open(services: Services, call: TrialCall) -> Failure | None:
    """Reserves the call's worst case and writes its intent, or says which budget has no room."""
    with services.database.work() as connection:
        covering = _reserved(connection, services, call)
        if isinstance(covering, Failure):
            return covering
        job = call.job
        ledger.open_jobless(
            connection,
            job,
            call.intent,
            purpose=job.purpose,
            attempt=job.attempt,
            prompt=job.prompt,
            version=job.version,
            lease_s=services.settings.lease_s,
            budgets=covering,
        )
    return None


def _reserved(connection: Connection, services: Services, call: TrialCall) -> Sequence[int] | Failure:
    need_usd = call.intent.reserved_usd
    if need_usd is None and services.settings.unpriced == "allow":
        return ()
    found = budgets.reserve(connection, call.job, need_usd, timezone=services.settings.timezone)
    return Failure(kind="budget", message=found.message) if isinstance(found, Refusal) else found.budgets


def _close(services: Services, call: TrialCall, outcome: Outcome) -> Decimal | None:
    """Keeps what the call came to; in the spool, where the database went away meanwhile."""
    settlement = settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)
    closure = Closure(job_id=None, epoch=0, settlement=settlement)

    def settle() -> None:
        close(services.database, closure, message_s=services.message_s)

    # Where neither database nor disk takes it, its lease runs out, and the ledger says "in doubt".
    with suppress(OSError):
        settle_or_spool(services, settle, lambda: closure, held_s=0)
    return settlement.cost_usd
