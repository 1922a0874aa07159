"""Stores what a job's call for vectors came to: the vectors were paid for, and are kept somewhere."""

from __future__ import annotations

from collections.abc import Mapping

from db import collections, embeddings, ledger, model_state
from docmill.errors import Failure, Misconfigured
from docmill.retrieval.embedding import Embedding
from tasks.calls.closing import Closure
from tasks.calls.embedding.call import EmbeddingCall
from tasks.calls.embedding.failing import apply_remedy
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.services import Services
from tasks.stages.step import Step, fail

__all__ = ["store_vectors"]


def store_vectors(services: Services, call: EmbeddingCall, answer: Embedding) -> Step | None:
    """Stores what came, and returns the job's next step; None where it goes on with the vectors."""
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
            return apply_remedy(connection, call.job, call.model, failure)
        if call.state.hold_cause is not None:
            model_state.release(connection, call.model)
    return _require_same_length(services, call, vectors)


def _require_same_length(
    services: Services, call: EmbeddingCall, vectors: Mapping[bytes, list[float]]
) -> Step | None:
    """Fails the job where the model had vectors of another length before: no index can hold both."""
    length = len(next(iter(vectors.values())))
    try:
        services.database.run(collections.model_id, call.model.name, length)
    except Misconfigured as error:
        return services.database.run(fail, call.job, Failure(kind="bad_request", message=str(error)))
    return None
