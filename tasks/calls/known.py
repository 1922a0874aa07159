"""Answers that are there already: in a cache, or from another job that did the same work."""

from __future__ import annotations

from sqlalchemy import Connection

from db import flights, ledger, transitions
from db.jobs import Job
from docmill.llm.cache import Hit
from tasks.calls.call import Call
from tasks.celery.drive import drive_to_store
from tasks.services import Services
from tasks.stages.step import Step, Stop

__all__ = ["answered_lately", "answered_meanwhile", "from_cache", "known_answer"]


def known_answer(services: Services, call: Call) -> Hit | None:
    """Looks up the answer to the same work, unless the job wants to pay again."""
    policy = call.prompt.config.cache
    if not call.may_share or not policy.enabled:
        return None
    return services.cache.get(call.work, kept_s=policy.kept_s)


def from_cache(services: Services, call: Call, hit: Hit) -> Step:
    """Takes the job to store with the answer that the cache has."""
    known = flights.SharedAnswer(
        value={"answer": hit.value["answer"], "evidence": hit.value.get("evidence")},
        model=hit.model,
        cost_usd=hit.cost_usd,
    )
    with services.database.work() as connection:
        transitions.name_work(connection, call.job, call.work)
        return _use(connection, services, call.job, known, hit.layer)


def answered_meanwhile(services: Services, call: Call) -> Stop | None:
    """The answer of a flight that landed while the job was held: without the cache server, nothing else has it."""
    return services.database.run(answered_lately, services, call)


def answered_lately(connection: Connection, services: Services, call: Call) -> Stop | None:
    """Does the same within a unit of work that does more."""
    landed = flights.answered_lately(connection, call.job, call.work) if call.may_share else None
    if landed is None:
        return None
    transitions.name_work(connection, call.job, call.work)
    return _use(connection, services, call.job, landed, "flight")


def _use(connection: Connection, services: Services, job: Job, known: flights.SharedAnswer, layer: str) -> Stop:
    """A known answer was checked when it was new: it goes to store without another look."""
    moved = drive_to_store(connection, services, job, known.value, "cached")
    if moved is None:
        return Stop("stale")
    ledger.note_cached(connection, [job.id], layer=layer, model=known.model, saved_usd=known.cost_usd)
    return Stop("cached", (moved,))
