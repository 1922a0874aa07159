"""Store: the result is written, and the job ends."""

from __future__ import annotations

from db import flights, transitions
from db.jobs import Job
from docmill.errors import Failure, PromptError
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.stages.step import Onward, Step, Stop

__all__ = ["store"]


def store(services: Services, job: Job) -> Step:
    """One transaction: the result's revision, the job's end, and the news for those who wait for its answer.

    The loser of a duplicate changes nothing.
    """
    value = job.value or {}
    doubt = value.get("doubt")
    failure = Failure(kind=doubt["kind"], message=doubt["message"]) if doubt else None
    landed = None
    with services.database.work() as connection:
        end = transitions.store(connection, job, "needs_review" if doubt else "done", failure=failure)
        if end is None:
            return Stop("stale")
        if end.flight is not None:
            landed = flights.hand_over(connection, job, end.flight)
    if landed is not None and not doubt and job.flight_key is not None:
        _remember(services, job, bytes(job.flight_key), landed)
    return Onward()


def _remember(services: Services, job: Job, key: bytes, landed: flights.SharedAnswer) -> None:
    try:
        policy = prompt_of(services, job).config.cache
    except PromptError:
        return  # its answer stands; nobody can say how long it would be remembered
    if not policy.enabled:
        return
    value = job.value or {}
    cost = None if landed.cost_usd is None else str(landed.cost_usd)
    kept = {"answer": value["answer"], "evidence": value.get("evidence"), "model": landed.model}
    services.cache.put(key, {**kept, "cost_usd": cost}, kept_s=policy.kept_s)
