"""Store: the result is written, and the job ends."""

from __future__ import annotations

from typing import Literal, TypedDict

from db import documents, flights, parts, transitions
from db.jobs import Job
from docmill.errors import Failure, PromptError
from docmill.reading.values import reading_warning
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.stages.index import store_chunks
from tasks.stages.part_calls import part_key
from tasks.stages.parting import is_in_parts, plan_of
from tasks.stages.step import Onward, Step, Stop

__all__ = ["store"]


def store(services: Services, job: Job) -> Step:
    """The result's revision, the job's end, and the news for those who wait for its answer, if any do.

    The loser of a duplicate changes nothing.
    """
    if job.chain == "index":
        return store_chunks(services, job)
    doubt = (job.value or {}).get("doubt")
    failure = Failure(kind=doubt["kind"], message=doubt["message"]) if doubt else _doubt_of_reading(services, job)
    end: End = {"state": "needs_review" if failure else "done", "failure": failure}
    alone = services.database.run(transitions.store, job, **end, alone=True)
    if alone is not None:
        answer = _landed(services, job, alone)
    else:
        with services.database.work() as connection:
            together = transitions.store(connection, job, **end)
            if together is None:
                return Stop("stale")
            flight = together.flight
            answer = None if flight is None else flights.hand_over(connection, job, flight)
    if answer is not None and not failure and job.flight_key is not None:
        _remember(services, job, bytes(job.flight_key), answer)
        _remember_parts(services, job)
    return Onward()


class End(TypedDict):
    """How the job ends."""

    state: Literal["done", "needs_review"]
    failure: Failure | None


def _landed(services: Services, job: Job, ended: transitions.Stored) -> flights.SharedAnswer | None:
    """Almost nobody waits for another's answer, and then the job's end was the only statement.

    Who joined before the flight was gone is told in a second one. Only if this process dies in between he finds
    out by himself, within a minute, as after any other loss.
    """
    if ended.flight is None:
        return None
    if ended.awaited:
        return services.database.run(flights.hand_over, job, ended.flight)
    return flights.landed(job, ended)


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


def _doubt_of_reading(services: Services, job: Job) -> Failure | None:
    """Why a person has to look: something was left out or guessed that the prompt does not accept."""
    if job.chain == "index" or job.document_id is None or not job.value:
        return None
    try:
        refused = prompt_of(services, job).config.input.review
    except PromptError:
        return None  # nobody can say any more what it wanted
    if not refused:
        return None
    told = services.database.run(documents.warnings_of, job.document_id)
    found = [str(reading_warning(each)) for each in told if each.get("kind") in refused]
    if not found:
        return None
    return Failure(
        kind="unreadable", message=f"the prompt wants a person to look where there is {'; '.join(found)}"
    )


def _remember_parts(services: Services, job: Job) -> None:
    """Each part by itself: a document of which a page has changed is asked for that page alone."""
    if not is_in_parts(job):
        return
    try:
        policy = prompt_of(services, job).config.cache
    except PromptError:
        return
    if not policy.enabled:
        return
    for reply in services.database.run(parts.replies, job, [part.number for part in plan_of(job).parts]):
        if reply.state == "answered":
            cost = None if reply.cost_usd is None else str(reply.cost_usd)
            key = part_key(job.tenant, bytes(reply.input_hash), bytes(reply.content_hash or b""))
            kept = {"text": reply.words, "model": reply.model, "cost_usd": cost}
            services.cache.put(key, kept, kept_s=policy.kept_s)
