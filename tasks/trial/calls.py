"""One call of a trial: asked without a stack, and told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from db.jobs import Job
from docmill.errors import FailureKind
from docmill.llm.client import Outcome
from docmill.llm.types import Request
from docmill.settings import Model
from tasks.calls.asking import ask_model
from tasks.calls.request import as_json
from tasks.calls.settlement import settlement_of
from tasks.services import Caller

__all__ = ["TriedCall", "ask_off_record", "told_of"]


@dataclass(frozen=True, kw_only=True)
class TriedCall:
    """One call: what was sent, what came back, what was found wrong with it, and what was done about that."""

    model: str
    purpose: str
    request: Mapping[str, Any]
    reply: str | None
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    """None where it is unknown, or nothing was answered."""
    answered: bool
    latency_ms: int
    failure: FailureKind | None = None
    problems: tuple[str, ...] = ()
    remedy: str | None = None
    """What was done about the failure, and why."""


def ask_off_record(
    caller: Caller, model: Model, request: Request, *, learned: Mapping[str, Any], deadline_s: float
) -> tuple[Outcome, Decimal | None]:
    """Asks, and returns what the call came to, and its cost in USD where that is known; nobody writes it down."""
    outcome = ask_model(caller, model, request, learned=learned, call_id=uuid4(), deadline_s=deadline_s)
    return outcome, settlement_of(uuid4(), model, outcome, None).cost_usd


def told_of(job: Job, name: str, request: Request, outcome: Outcome, cost_usd: Decimal | None) -> TriedCall:
    """Gathers what is told of a call."""
    reply = outcome.reply
    return TriedCall(
        model=name,
        purpose=job.purpose,
        request=as_json(request),
        reply=reply.text if reply else None,
        finish_reason=reply.finish_reason if reply else None,
        input_tokens=reply.usage.input_tokens if reply else None,
        output_tokens=reply.usage.output_tokens if reply else None,
        cost_usd=cost_usd,
        answered=outcome.answered,
        latency_ms=outcome.latency_ms,
    )
