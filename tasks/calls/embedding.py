"""A call for vectors: its intent in the ledger before, its answer and its figures after, as in ``complete``.

Of a text that several documents have, one call in the fleet asks; the others wait for it.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Connection

from db import budgets, collections, embeddings, ledger, model_state, transitions
from db.budgets import Refusal, Reservation
from db.jobs import Job
from db.model_state import ModelState
from docmill import money
from docmill.errors import Failure, FailureKind, Misconfigured
from docmill.llm.client import Endpoint, Outcome
from docmill.llm.limits import Limits
from docmill.llm.tokens import counter_for
from docmill.llm.transport import NOT_SENT
from docmill.remedies import Policy, Remedy, Tried, decide
from docmill.retrieval.embedding import Embedding, batch, embed
from docmill.settings import Model
from tasks import remedies
from tasks.calls import admission
from tasks.calls.closing import Closure
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.services import Services
from tasks.stages.step import Step, Stop, fail

__all__ = ["EmbeddingCall", "ask", "call_for_some", "worst_case"]

log = structlog.get_logger()

OTHERS_S = 1.0
"""After so long a job looks again for vectors that others have asked for."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingCall:
    """A call about to be made for the vectors of some texts."""

    job: Job
    model: Model
    state: ModelState
    texts: Mapping[bytes, str]
    """By their sha256."""
    tokens: int
    intent: ledger.Intent
    part: int = 0

    @property
    def limits(self) -> Limits:
        return self.model.limits


def call_for_some(
    services: Services, job: Job, model: Model, state: ModelState, missing: Mapping[bytes, str]
) -> Step | None:
    """One call for as many of the texts as it may hold; None where it brought their vectors."""
    call = _prepared(services, job, model, state, missing)
    waits = admission.wait_for(services, call)
    if waits is not None:
        return waits
    opened_at = time.monotonic()
    opened = _open(services, call)
    if not isinstance(opened, EmbeddingCall):
        admission.give_back(services, call)
        return opened
    answer = ask(services, model, list(opened.texts.values()), opened.intent.id, opened_at=opened_at)
    admission.tell(services, call, answer.outcome)
    return _store(services, opened, answer)


def _prepared(
    services: Services, job: Job, model: Model, state: ModelState, missing: Mapping[bytes, str]
) -> EmbeddingCall:
    counter = counter_for(model.model, state.learned)
    counts = [counter.count(text) for text in missing.values()]
    size = batch(counts)
    texts = dict(list(missing.items())[:size])
    tokens = sum(counts[:size])
    intent = ledger.Intent(
        id=uuid4(),
        content_hash=b"",
        input_hash=hashlib.sha256(b"\0".join((model.model.encode(), *sorted(texts)))).digest(),
        provider=model.provider,
        account=model.account,
        model=model.model,
        request={},
        remedy=str(job.history[-1]["remedy"]) if job.history else None,
        reserved_usd=worst_case(model, texts.values()),
        owner=services.owner,
    )
    return EmbeddingCall(job=job, model=model, state=state, texts=texts, tokens=tokens, intent=intent)


def worst_case(model: Model, texts: Iterable[str]) -> Decimal | None:
    """What the texts' vectors cost at most, in USD, or None: no token of a text has less than a byte."""
    return money.worst_case(
        sum(len(text.encode()) + 1 for text in texts),
        0,
        provider=model.provider,
        model=model.model,
        prices=model.prices,
        at=datetime.now(UTC),
    )


def _open(services: Services, call: EmbeddingCall) -> EmbeddingCall | Step:
    """Claims the texts and writes the intent, or says what is done instead: others ask, or money is short."""
    lease_s = services.settings.lease_s
    with services.database.work() as connection:
        mine = embeddings.claim(connection, call.model.name, list(call.texts), call.intent.id, lease_s=lease_s)
        if not mine:
            return remedies.wait(connection, call.job, OTHERS_S, "others ask for the same")
        reserved = _reserve(connection, services, call)
        if not isinstance(reserved, Reservation):
            embeddings.release(connection, call.intent.id)
            return reserved
        job, intent = call.job, call.intent
        if not ledger.open_embedding(connection, job, intent, lease_s=lease_s, budgets=reserved.budgets):
            connection.rollback()
            return Stop("stale")
    return replace(call, texts={each: text for each, text in call.texts.items() if each in mine})


def _reserve(connection: Connection, services: Services, call: EmbeddingCall) -> Reservation | Step:
    """Embeddings have no cheaper model: a budget holds them, or they fail."""
    need_usd = call.intent.reserved_usd
    if need_usd is None and services.settings.unpriced == "allow":
        return Reservation(budgets=())
    found = budgets.reserve(connection, call.job, need_usd, timezone=services.settings.timezone)
    if not isinstance(found, Refusal):
        return found
    if need_usd is None or found.strictest.policy == "fail":
        return fail(connection, call.job, Failure(kind="budget", message=found.message))
    budgets.note_spent(connection, found)
    return Stop("held: budget" if budgets.hold(connection, call.job, found) else "stale")


def ask(services: Services, model: Model, texts: Sequence[str], call_id: UUID, *, opened_at: float) -> Embedding:
    """One call, whose intent was written at ``opened_at``, by ``time.monotonic``.

    The deadline counts from there: a worker that slept in between must not call when its lease is over.
    """
    if services.caller is None:
        raise RuntimeError("this process calls no models: embed belongs to the io queues")
    left_s = services.settings.call_deadline_s - (time.monotonic() - opened_at)
    if left_s <= 0:
        return _not_sent("connection", "the worker was halted before the call")
    endpoint = Endpoint(
        provider=model.provider,
        base_url=model.base_url,
        key=model.key.get_secret_value() if model.key else None,
    )
    request = embed(
        endpoint, model.model, texts, call_id=call_id, transport=services.caller.transport, deadline_s=left_s
    )
    try:
        return services.caller.loop.run(request)
    except Misconfigured as error:
        return _not_sent("bad_request", str(error))


def _not_sent(kind: FailureKind, message: str) -> Embedding:
    failure = Failure(kind=kind, message=message, code=NOT_SENT)
    return Embedding(outcome=Outcome(reply=None, failure=failure, status=None, latency_ms=0), vectors=None)


def _store(services: Services, call: EmbeddingCall, answer: Embedding) -> Step | None:
    """The vectors were paid for, and are kept somewhere."""
    settlement = settlement_of(call.intent.id, call.model, answer.outcome, call.intent.reserved_usd)
    vectors = dict(zip(call.texts, answer.vectors or (), strict=False))

    def closure() -> Closure:
        return Closure(
            job_id=call.job.id,
            epoch=call.job.epoch,
            settlement=settlement,
            embedding_model=call.model.name,
            vectors={each.hex(): vector for each, vector in vectors.items()},
        )

    failure = answer.outcome.failure
    return settle_or_spool(services, lambda: _settle(services, call, settlement, vectors, failure), closure)


def _settle(
    services: Services,
    call: EmbeddingCall,
    settlement: ledger.Settlement,
    vectors: Mapping[bytes, list[float]],
    failure: Failure | None,
) -> Step | None:
    with services.database.work() as connection:
        fresh = embeddings.keep(connection, call.model.name, vectors)
        embeddings.release(connection, call.intent.id)
        ledger.close_call(connection, settlement)
        if vectors and not fresh:
            ledger.mark_surplus(connection, call.intent.id)
        if failure is not None:
            return remedied(connection, call.job, call.model, failure)
        if call.state.hold_cause is not None:
            model_state.release(connection, call.model)
    return _same_length(services, call, vectors)


def _same_length(services: Services, call: EmbeddingCall, vectors: Mapping[bytes, list[float]]) -> Step | None:
    """All vectors of a model have one length: else no index can hold them."""
    length = len(next(iter(vectors.values())))
    try:
        services.database.run(collections.model_id, call.model.name, length)
    except Misconfigured as error:
        return services.database.run(fail, call.job, Failure(kind="bad_request", message=str(error)))
    return None


def remedied(connection: Connection, job: Job, model: Model, failure: Failure) -> Step:
    """Waits as the failure asks for; there is no other model, and no smaller request, to try."""
    name = model.name
    now = Tried(purpose="first", kind=failure.kind, model=name)
    embeds = [entry for entry in job.history if entry["purpose"] == "embed"]
    before = [Tried(purpose="first", kind=entry["kind"], model=name) for entry in embeds]
    policy = Policy(ladder=(name,), jitter=random.random(), may_review=False)  # noqa: S311 - it spreads waits
    remedy = decide(failure, [*before, now], policy)
    if not transitions.note_failure(connection, job, _entry(name, failure, remedy)):
        return Stop("stale")
    if remedy.hold_model and remedy.hold_s is not None:
        model_state.hold(connection, model, for_s=remedy.hold_s, cause=failure.kind)
    match remedy.action:
        case "retry":
            return remedies.wait(connection, job, remedy.countdown_s, failure.kind)
        case "hold":
            transitions.hold(connection, job, "rate", for_s=remedy.hold_s, held_for=model_state.hold_key(model))
            return Stop(f"held: {failure.kind}")
        case _:
            message = f"{name}: {failure.message}"
            return fail(connection, job, Failure(kind=failure.kind, message=message, status=failure.status))


def _entry(name: str, failure: Failure, remedy: Remedy) -> dict[str, Any]:
    """What the job's history keeps of it."""
    return {
        "kind": failure.kind,
        "purpose": "embed",
        "attempt": 0,
        "model": name,
        "remedy": remedy.action,
        "reason": remedy.reason,
        "message": failure.message,
    }
