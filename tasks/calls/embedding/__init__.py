"""A call for vectors: its intent in the ledger before, its answer and its figures after, as in ``complete``.

Of a text that several documents have, one call in the fleet asks; the others wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from db import budgets, embeddings, ledger
from db.budgets import Refusal, Reservation
from db.jobs import Job
from db.model_state import ModelState
from docmill.errors import Failure
from docmill.settings import Model
from tasks import remedies
from tasks.calls import admission
from tasks.calls.embedding.asking import ask_for_vectors
from tasks.calls.embedding.call import EmbeddingCall
from tasks.calls.embedding.storing import store_vectors
from tasks.services import Services
from tasks.stages.step import Step, Stop, fail

__all__ = ["call_for_some"]

OTHERS_S = 1.0
"""After so long a job looks again for vectors that others have asked for."""


def call_for_some(
    services: Services, job: Job, model: Model, state: ModelState, missing: Mapping[bytes, str]
) -> Step | None:
    """Makes one call for as many of the texts as it may hold; None where it brought their vectors."""
    call = EmbeddingCall.for_some(services, job, model, state, missing)
    waits = admission.wait_for(services, call)
    if waits is not None:
        return waits
    opened_at = time.monotonic()
    with admission.not_made_if_broken(services, [call]):
        opened = _open(services, call)
    if not isinstance(opened, EmbeddingCall):
        admission.give_back(services, call)
        return opened
    answer = ask_for_vectors(services, model, list(opened.texts.values()), opened.intent.id, opened_at=opened_at)
    admission.tell(services, call, answer.outcome)
    return store_vectors(services, opened, answer)


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
