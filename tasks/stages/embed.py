"""Embed: every passage gets its vector, from those that are known, from this process, or from a provider."""

from __future__ import annotations

from collections.abc import Mapping

from db import collections, embeddings, model_state, transitions
from db.chunks import digest
from db.jobs import Job
from docmill.errors import Failure, Misconfigured
from docmill.retrieval import offline
from docmill.settings import Model
from tasks.calls.embedding import call_for_some
from tasks.services import Services
from tasks.stages.chunk import text_gone, texts_of
from tasks.stages.step import Step, Stop, fail, go_on

__all__ = ["embed"]

OFFLINE_AT_ONCE = 512
MOST_IN_DOUBT = 2
"""Calls of unknown outcome, which may all be billed, before a person decides about another one."""


def embed(services: Services, job: Job) -> Step:
    """Goes on to store when every passage has a vector of each model of its collection."""
    if job.document is None or job.document.text is None:
        return text_gone(services, job)
    texts = {digest(text, job.tenant): text for text in texts_of(job)}
    for name in services.database.run(collections.models_of, int((job.context or {})["collection_id"])):
        if name == offline.NAME:
            _offline(services, texts)
            continue
        step = _by_calls(services, job, name, texts)
        if step is not None:
            return step
    return services.database.run(go_on, job, "store", message_s=services.message_s)


def _offline(services: Services, texts: Mapping[bytes, str]) -> None:
    """Nobody bills it, so two that do the same do no harm."""
    services.database.run(collections.model_id, offline.NAME, offline.DIMENSIONS)
    missing = sorted(texts.keys() - services.database.run(embeddings.known, offline.NAME, list(texts)))
    for at in range(0, len(missing), OFFLINE_AT_ONCE):
        digests = missing[at : at + OFFLINE_AT_ONCE]
        vectors = offline.embed_offline([texts[each] for each in digests])
        services.database.run(embeddings.keep, offline.NAME, dict(zip(digests, vectors, strict=True)))


def _by_calls(services: Services, job: Job, name: str, texts: Mapping[bytes, str]) -> Step | None:
    """None when all have their vectors; else what is done until then."""
    try:
        model = services.settings.models.get(name)
    except Misconfigured as error:
        return _failed(services, job, Failure(kind="not_found", message=str(error)))
    if sum(entry["kind"] == "in_doubt" for entry in job.history) > MOST_IN_DOUBT:
        message = "calls of unknown outcome, which may all be billed: `docmill retry` makes another"
        return _failed(services, job, Failure(kind="in_doubt", message=message))
    while True:
        missing = sorted(texts.keys() - services.database.run(embeddings.known, name, list(texts)))
        state = services.database.run(model_state.state_of, model)
        if not missing:
            return None
        if state.hold_s > 0 or (state.hold_cause is not None and not _takes_probe(services, model)):
            return _held(services, job, model_state.hold_key(model))
        step = call_for_some(services, job, model, state, {each: texts[each] for each in missing})
        if step is not None:
            return step


def _takes_probe(services: Services, model: Model) -> bool:
    """Whether this is the one call that tries if a hold, whose time is over, is over indeed."""
    return services.database.run(model_state.take_probe, model, for_s=services.settings.lease_s)


def _held(services: Services, job: Job, key: str) -> Step:
    services.database.run(transitions.hold, job, "rate", held_for=key)
    return Stop("held: rate")


def _failed(services: Services, job: Job, failure: Failure) -> Step:
    return services.database.run(fail, job, failure)
