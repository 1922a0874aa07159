"""A trial's call where a stack is there: under its limits and budgets, and in its ledger, though of no job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from db import ledger, model_state
from db.jobs import Job
from db.model_state import ModelState
from docmill.errors import Failure
from docmill.llm.client import Outcome
from docmill.llm.types import Request
from docmill.settings import Model
from prompts import PromptVersion
from tasks.calls import admission
from tasks.calls.asking import ask_in_time
from tasks.calls.call import Call
from tasks.calls.intents import intent_to_ask, last_remedy
from tasks.calls.jobless import close_jobless, hold_in_its_way, limit_in_its_way, reserve_jobless
from tasks.calls.reserve import worst_case
from tasks.services import Services

__all__ = ["ask_on_record", "trial_call"]


def trial_call(
    job: Job, prompt: PromptVersion, model: Model, request: Request, learned: Mapping[str, Any]
) -> Call:
    """A call of a job that stands nowhere, with nothing of the messages: the ledger has figures of a trial, and no
    text.
    """
    intent = intent_to_ask(
        prompt,
        model,
        request,
        reserved_usd=worst_case(job, model, request),
        owner="",
        remedy=last_remedy(job),
        kept=False,
    )
    state = ModelState(learned=learned)
    return Call(job=job, prompt=prompt, model=model, request=request, intent=intent, state=state)


def ask_on_record(services: Services, call: Call) -> tuple[Outcome, Decimal | None]:
    """Asks, and returns what the call came to, and its cost in USD where that is known.

    A hold, a limit or a budget that stands in its way is a failure like one of the provider's. Never raises after
    the call was made.
    """
    state = services.database.run(model_state.state_of, call.model)
    held = hold_in_its_way(call.model, state) or limit_in_its_way(services, call)
    if held is not None:
        return _unmade(held), None
    opened_at = time.monotonic()
    with admission.not_made_if_broken(services, [call]):
        refused = _open(services, call)
    if refused is not None:
        admission.give_back(services, call)
        return _unmade(refused), None
    outcome = ask_in_time(services, call, opened_at)
    admission.tell(services, call, outcome)
    # Where neither database nor disk takes it, its lease runs out, and the ledger says "in doubt".
    with suppress(OSError):
        return outcome, close_jobless(services, call, outcome).cost_usd
    return outcome, None


def _unmade(failure: Failure) -> Outcome:
    return Outcome(reply=None, failure=failure, status=None, latency_ms=0)


def _open(services: Services, call: Call) -> Failure | None:
    """Reserves the call's worst case and writes its intent, or says which budget has no room."""
    with services.database.work() as connection:
        covering = reserve_jobless(connection, services, call.job, call.intent)
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
