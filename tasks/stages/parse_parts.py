"""Parse, for a document in parts: their answers become the whole, or it is decided which parts are asked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from db import parts, transitions
from db.jobs import Job
from docmill.errors import Failure
from docmill.parsing.placing.locating import place_at
from docmill.parts.rounds import Ask, Found
from docmill.reading.layout.places import Geometry
from tasks.celery.drive import drive
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.stages.judging import round_of
from tasks.stages.parting import plan_of
from tasks.stages.step import Onward, Step, Stop, fail

__all__ = ["parse_parts"]


def parse_parts(services: Services, job: Job) -> Step:
    """The claimed job goes on to store with the whole answer, back to complete for more parts, or to a person."""
    prompt = prompt_of(services, job)
    if job.document is None or job.document.text is None:
        failure = Failure(kind="internal", message="the document is gone: `docmill retry` asks again")
        return services.database.run(fail, job, failure)
    plan = plan_of(job)
    live = [part.number for part in plan.parts if not part.lost]
    replies = services.database.run(parts.replies, job, live)
    found = round_of(services, job, prompt, plan, replies)
    with services.database.work() as connection:
        parts.reject(connection, job, found.rejected)
        step = (
            _ask(connection, services, job, found)
            if isinstance(found, Ask)
            else _end(connection, services, job, found)
        )
        if step == Stop("stale"):
            connection.rollback()  # whoever has the job now judges the replies
        return step


def _ask(connection: Connection, services: Services, job: Job, found: Ask) -> Step:
    """Back to complete, which asks for the parts that have no answer yet."""
    context = {**(job.context or {}), "plan": found.plan.as_json(), "overflowed": []}
    if not transitions.keep_context(connection, job, context):
        return Stop("stale")
    started = drive(connection, services, job, "complete", "parts")
    return Stop("parts", (started,)) if started else Stop("stale")


def _places(job: Job, spans: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Where each value stands, on its page too."""
    assert job.document is not None  # noqa: S101 - without it there was nothing to join
    reading = job.document.reading
    geometry = Geometry(reading.pages, reading.layout)
    return {
        path: place_at(
            (each["start"], each["end"]), reading.text, geometry, occurrences=each["occurrences"]
        ).as_json()
        for path, each in spans.items()
    }


def _end(connection: Connection, services: Services, job: Job, found: Found) -> Step:
    """On to store with the whole; with what a person has to look at, where something is missing or wrong."""
    failure = found.failure
    if failure is not None and found.value is None:
        return fail(connection, job, failure)
    value = {"answer": found.value, "evidence": _places(job, found.evidence)}
    if failure is not None:
        value["doubt"] = {"kind": failure.kind, "message": failure.message}
    context = {**(job.context or {}), "coverage": dict(found.coverage)}
    moved = transitions.advance(
        connection, job, "store", message_s=services.message_s, value=value, context=context
    )
    return Onward() if moved else Stop("stale")
