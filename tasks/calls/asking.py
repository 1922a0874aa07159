"""A call to a model, on the process's loop, with what is left of its deadline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any
from uuid import UUID

from docmill.errors import Failure, FailureKind, Misconfigured
from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.transport import NOT_SENT
from docmill.llm.types import Request
from docmill.settings import Model
from tasks.calls.call import Call
from tasks.services import Caller, Services
from tasks.tracing import traced_call

__all__ = ["ask_in_time", "ask_model", "outcome_of", "start_in_time"]


def ask_model(
    caller: Caller, model: Model, request: Request, *, learned: Mapping[str, Any], call_id: UUID, deadline_s: float
) -> Outcome:
    """Asks, and returns what came of it; never raises for what a provider does. ``learned`` is of the model."""
    return outcome_of(_start(caller, model, request, learned=learned, call_id=call_id, deadline_s=deadline_s))


def ask_in_time(services: Services, call: Call, opened_at: float) -> Outcome:
    """Asks within the deadline that began at ``opened_at`` (``time.monotonic``), when the intent was written."""
    return outcome_of(start_in_time(services, call, opened_at))


def start_in_time(services: Services, call: Call, opened_at: float) -> Future[Outcome]:
    """Begins the call, and waits for nothing.

    The deadline counts from the intent: a worker that slept in between must not call when its lease is over.
    """
    if services.caller is None:
        raise RuntimeError("this worker calls no models: complete belongs to the io queues")
    left_s = services.settings.call_deadline_s - (time.monotonic() - opened_at)
    if left_s <= 0:
        halted: Future[Outcome] = Future()
        halted.set_result(_not_sent("connection", "the worker was halted before the call"))
        return halted
    return _start(
        services.caller,
        call.model,
        call.request,
        learned=call.state.learned,
        call_id=call.intent.id,
        deadline_s=left_s,
    )


def outcome_of(begun: Future[Outcome]) -> Outcome:
    """Waits for what a call came to; one that could not be made was none."""
    try:
        return begun.result()
    except Misconfigured as error:
        return _not_sent("bad_request", str(error))


def _start(
    caller: Caller, model: Model, request: Request, *, learned: Mapping[str, Any], call_id: UUID, deadline_s: float
) -> Future[Outcome]:
    endpoint = Endpoint(
        provider=model.provider,
        base_url=model.base_url,
        key=model.key.get_secret_value() if model.key else None,
        learned=learned,
    )
    asked = ask(endpoint, request, call_id=call_id, transport=caller.transport, deadline_s=deadline_s)
    tracer = caller.tracer
    if tracer is None:
        return caller.loop.start(asked)
    return caller.loop.start(
        traced_call(asked, model, request, tracer=tracer, parent=tracer.here(), call_id=call_id)
    )


def _not_sent(kind: FailureKind, message: str) -> Outcome:
    failure = Failure(kind=kind, message=message, code=NOT_SENT)
    return Outcome(reply=None, failure=failure, status=None, latency_ms=0)
