"""Asks a model for vectors, with what is left of the call's deadline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from docmill import money
from docmill.errors import Failure, FailureKind, Misconfigured
from docmill.llm.client import Endpoint, Outcome
from docmill.llm.transport import NOT_SENT
from docmill.retrieval.embedding import Embedding, embed
from docmill.settings import Model
from tasks.services import Services
from tasks.tracing import traced_embedding

__all__ = ["ask_for_vectors", "worst_case"]


def worst_case(model: Model, texts: Iterable[str]) -> Decimal | None:
    """Returns what the texts' vectors cost at most, in USD, or None: no token of a text has less than a byte."""
    return money.worst_case(
        sum(len(text.encode()) + 1 for text in texts),
        0,
        provider=model.provider,
        model=model.model,
        prices=model.prices,
        at=datetime.now(UTC),
    )


def ask_for_vectors(
    services: Services, model: Model, texts: Sequence[str], call_id: UUID, *, opened_at: float
) -> Embedding:
    """Makes one call, whose intent was written at ``opened_at``, by ``time.monotonic``.

    The deadline counts from there: a worker that slept in between must not call when its lease is over.
    """
    caller = services.caller
    if caller is None:
        raise RuntimeError("this process calls no models: embed belongs to the io queues")
    left_s = services.settings.call_deadline_s - (time.monotonic() - opened_at)
    if left_s <= 0:
        return _not_sent("connection", "the worker was halted before the call")
    endpoint = Endpoint(
        provider=model.provider,
        base_url=model.base_url,
        key=model.key.get_secret_value() if model.key else None,
    )
    asked = embed(endpoint, model.model, texts, call_id=call_id, transport=caller.transport, deadline_s=left_s)
    tracer = caller.tracer
    if tracer is not None:
        parent = tracer.here()
        asked = traced_embedding(asked, model, len(texts), tracer=tracer, parent=parent, call_id=call_id)
    try:
        return caller.loop.run(asked)
    except Misconfigured as error:
        return _not_sent("bad_request", str(error))


def _not_sent(kind: FailureKind, message: str) -> Embedding:
    failure = Failure(kind=kind, message=message, code=NOT_SENT)
    return Embedding(outcome=Outcome(reply=None, failure=failure, status=None, latency_ms=0), vectors=None)
