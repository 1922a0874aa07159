"""Parse, for a document in parts: their answers become the whole, or it is decided which parts are asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from db import parts, transitions
from db.jobs import Job
from docmill.errors import Failure, ReplyRejected, ReplyTruncated
from docmill.parsing import accept_part
from docmill.parsing.cells import cells_apart
from docmill.parsing.placing.locating import place_at
from docmill.parts import Lines, Shown
from docmill.parts.rounds import Ask, Found, Plan, Round, Whole, next_round
from docmill.reading.layout.places import Geometry
from prompts import PromptVersion
from tasks.celery.drive import drive
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.setbacks import policy_of
from tasks.stages.parting import plan_of
from tasks.stages.step import Onward, Step, Stop, fail
from tasks.stages.window import output_limit

__all__ = ["join_parts"]


def join_parts(services: Services, job: Job) -> Step:
    """The claimed job goes on to store with the whole answer, back to complete for more parts, or to a person."""
    prompt = prompt_of(services, job)
    if job.document is None or job.document.text is None:
        failure = Failure(kind="internal", message="the document is gone: `docmill retry` asks again")
        return services.database.run(fail, job, failure)
    plan = plan_of(job)
    live = [part.number for part in plan.parts if not part.lost]
    replies = services.database.run(parts.replies, job, live)
    found = _round(services, job, prompt, plan, replies)
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


def _round(
    services: Services, job: Job, prompt: PromptVersion, plan: Plan, replies: Sequence[parts.Reply]
) -> Round:
    document = job.document
    lines = Lines(cells_apart(document.text or "", document.media_type) if document else "")
    told = {each.part: each for each in replies}
    too_large = set((job.context or {}).get("overflowed", ()))
    accepted: dict[int, Any] = {}
    rejected: dict[int, ReplyRejected] = {}
    seen = {part.number: Shown(lines, part.shown) for part in plan.parts if not part.lost}
    for part in plan.parts:
        if part.lost:
            continue
        try:
            if part.number in too_large:
                raise ReplyTruncated("it is larger than the model takes")
            accepted[part.number] = _accepted(prompt, seen[part.number], told.get(part.number))
        except ReplyRejected as error:
            rejected[part.number] = error
    policy = policy_of(services, prompt, job, jitter=0.0)
    whole = Whole(
        lines=lines,
        pages=(document.pages if document else None) or (0,),
        schema=prompt.schema,
        output=prompt.output_model,
        ladder=len(prompt.config.ladder),
        output_limit=output_limit(job, prompt),
        most_output=policy.model_max_output_tokens,
        seen=seen,
    )
    return next_round(whole, plan, accepted, rejected)


def _accepted(prompt: PromptVersion, seen: Shown, reply: parts.Reply | None) -> Mapping[str, Any]:
    """A part's answer. Raises ReplyRejected, also for one that was erased."""
    if reply is None:
        raise ReplyRejected("the reply is gone")
    return accept_part(
        reply.words,
        prompt.part_model,
        document=seen.document,
        finish_reason=reply.finish_reason,
    )


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
