"""A question's vector: from this process (the offline model), from an earlier time, or from one call.

The call is in the ledger like any other, but belongs to no job.
"""

from __future__ import annotations

import time

from db import collections, embeddings, ledger, model_state
from db.chunks import digest
from docmill.errors import EmbeddingAway, Failure
from docmill.retrieval import offline
from docmill.retrieval.embedding import Embedding
from tasks.calls import admission
from tasks.calls.embedding.asking import ask_for_vectors
from tasks.calls.embedding.call import Asker, QuestionCall
from tasks.calls.jobless import close_jobless, hold_in_its_way, limit_in_its_way, reserve_jobless
from tasks.services import Services

__all__ = ["vector_for"]

OTHERS_S = 0.1
"""After so long it is looked again for a vector that another process asks for."""


def vector_for(services: Services, name: str, words: str, *, asker: Asker) -> list[float]:
    """Looks up the words' vector by the embedding model of that name, or asks for it.

    Raises Misconfigured for a model that cannot be asked, EmbeddingAway where it cannot be asked now.
    """
    if name == offline.NAME:
        return offline.embed_offline([words])[0]
    model = services.settings.models.get(name)
    give_up_at = time.monotonic() + services.settings.call_deadline_s
    while True:
        vector = services.database.run(embeddings.vector_of, name, digest(words, asker.tenant))
        state = services.database.run(model_state.state_of, model)
        if vector is not None:
            return vector
        held = hold_in_its_way(model, state)
        if held is not None:
            raise EmbeddingAway(name, held)
        probes = state.hold_cause is not None
        if probes and not services.database.run(model_state.take_probe, model, for_s=services.settings.lease_s):
            continue  # somebody else tries whether its hold is over
        vector = _call(services, QuestionCall.about(model, state, words, asker))
        if probes and vector is not None:
            services.database.run(model_state.release, model)
        if vector is not None:
            return vector
        if time.monotonic() > give_up_at:
            raise EmbeddingAway(name, Failure(kind="timeout", message="another process asks for the same"))
        time.sleep(OTHERS_S)


def _call(services: Services, call: QuestionCall) -> list[float] | None:
    """The vector; None where another process asks for it. Raises EmbeddingAway, Misconfigured."""
    limited = limit_in_its_way(services, call)
    if limited is not None:
        raise EmbeddingAway(call.model.name, limited)
    opened_at = time.monotonic()
    with admission.not_made_if_broken(services, [call]):
        opened = _open(services, call)
    if not opened:
        admission.give_back(services, call)
        return None
    answer = ask_for_vectors(services, call.model, [call.words], call.intent.id, opened_at=opened_at)
    admission.tell(services, call, answer.outcome)
    _store(services, call, answer)
    if answer.vectors is None:
        raise EmbeddingAway(call.model.name, answer.outcome.failure or Failure(kind="server_error"))
    services.database.run(collections.model_id, call.model.name, len(answer.vectors[0]))
    return answer.vectors[0]


def _store(services: Services, call: QuestionCall, answer: Embedding) -> None:
    """Keeps what was paid for. Raises EmbeddingAway."""
    vectors = {digest(call.words, call.job.tenant).hex(): answer.vectors[0]} if answer.vectors else {}
    try:
        close_jobless(services, call, answer.outcome, embedding_model=call.model.name, vectors=vectors)
    except OSError as error:  # neither takes it: it is in doubt from now on, and the ledger will say so
        failure = Failure(kind="connection", message="the database and the spool's disk are away")
        raise EmbeddingAway(call.model.name, failure) from error


def _open(services: Services, call: QuestionCall) -> bool:
    """Claims the words and writes the intent; False where another process asks. Raises EmbeddingAway."""
    lease_s = services.settings.lease_s
    with services.database.work() as connection:
        claimed = embeddings.claim(
            connection, call.model.name, [digest(call.words, call.job.tenant)], call.intent.id, lease_s=lease_s
        )
        if not claimed:
            return False
        covering = reserve_jobless(connection, services, call.job, call.intent)
        if isinstance(covering, Failure):
            raise EmbeddingAway(call.model.name, covering)
        ledger.open_jobless(
            connection,
            call.job,
            call.intent,
            purpose="embed",
            prompt=call.job.prompt,
            lease_s=lease_s,
            budgets=covering,
        )
        embeddings.mark_question(connection, call.intent.id)
    return True
