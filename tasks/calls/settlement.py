"""What a call came to, as the ledger keeps it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from db.ledger import Settlement
from docmill import money
from docmill.llm.client import Outcome
from docmill.llm.types import Reply, Usage
from docmill.settings import Model

__all__ = ["settlement_of"]

log = structlog.get_logger()

MOST_TIMES = 4
"""Of what a call may cost: an estimate of its tokens is never so far off."""
UNKNOWN = money.Cost(usd=None, source="unknown")


def settlement_of(call_id: UUID, model: Model, outcome: Outcome, reserved_usd: Decimal | None) -> Settlement:
    """Puts together what is kept of a call, with what it cost. Never raises: it may be paid for by now.

    ``reserved_usd`` is the most that the call can cost, where that is known.
    """
    reply = outcome.reply
    usage = reply.usage if reply else Usage()
    cost = _believable(_cost_of(model, outcome), reserved_usd)
    return Settlement(
        id=call_id,
        answered=outcome.answered,
        reply=_kept(reply) if reply else None,
        model_echoed=reply.model_echoed if reply else None,
        request_id=outcome.request_id,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=cost.usd if cost else None,
        price_source=cost.source if cost else None,
        failure_kind=outcome.failure.kind if outcome.failure else None,
        http_status=outcome.status,
        possibly_billed=outcome.possibly_billed,
        latency_ms=outcome.latency_ms,
    )


def _believable(cost: money.Cost | None, reserved_usd: Decimal | None) -> money.Cost | None:
    """A cost far above the most that the call can cost is a figure gone wrong, and must not spend a budget."""
    if cost is None or cost.usd is None or reserved_usd is None or cost.usd <= MOST_TIMES * reserved_usd:
        return cost
    log.warning("cost_not_believed", usd=str(cost.usd), reserved_usd=str(reserved_usd))
    return UNKNOWN


def _kept(reply: Reply) -> dict[str, Any]:
    """What the ledger keeps of a reply beside its figures: with what made no sense in it, for whoever asks why."""
    doubts = {"warnings": list(reply.warnings)} if reply.warnings else {}
    return {"text": reply.text, "finish_reason": reply.finish_reason, **doubts}


def _cost_of(model: Model, outcome: Outcome) -> money.Cost | None:
    """What an answer cost; None where nothing was answered."""
    if outcome.reply is None or not outcome.answered:
        return None
    try:
        return money.cost(
            outcome.reply.usage,
            provider=model.provider,
            model=model.model,
            model_echoed=outcome.reply.model_echoed,
            prices=model.prices,
            at=datetime.now(UTC),
            reported_usd=outcome.reply.cost_usd,
        )
    except Exception:
        log.exception("cost_not_known", model=model.model)
        return UNKNOWN
