"""Validate: the document becomes text, the prompt's version is pinned, the parameters are complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import transitions
from db.engine import is_passing
from db.jobs import Document, Job
from db.stages import Stage
from db.transitions import QUARANTINED_AT
from db.turns import must_give_way
from docmill.bounds import params_as_json
from docmill.errors import ContentMissing, Failure, Misconfigured, PromptError, SubmitRefused, Unreadable
from docmill.reading import Busy, GaveWay, LeftToOthers, Reading
from docmill.reading.reader import ReaderKilled
from prompts import Excerpt, PromptVersion
from prompts.readiness import may_show, problems
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.short import take_the_long_way
from tasks.stages.step import Onward, Step, Stop, fail

__all__ = ["validate"]

log = structlog.get_logger()


def validate(services: Services, job: Job) -> Step:
    """The claimed job goes on to context, or fails with a kind and a message for the person who submitted."""
    document = job.document
    try:
        params_as_json(job.params if job.chain == "document" else job.params.get("meta", {}))
        prompt, unfit = _prompt(services, job)
    except ContentMissing:
        raise
    except (SubmitRefused, PromptError, Misconfigured) as error:
        return _failed(services, job, Failure(kind="bad_request", message=str(error)))
    if unfit:
        return _failed(services, job, Failure(kind="bad_request", message="; ".join(unfit)))
    if document is None:
        return _failed(services, job, Failure(kind="unreadable", message="the document was deleted"), "empty")
    return _read_and_go_on(services, job, prompt, document)


def _read_and_go_on(services: Services, job: Job, prompt: PromptVersion | None, document: Document) -> Step:
    sees = prompt is not None and may_show(prompt, services.settings.models)
    if services.hurry is not None and prompt is not None:
        services.hurry.begins()
    try:
        reading = _read(services, job, document, sees=sees)
    except GaveWay:
        return _set_apart(services, job)
    except (Busy, LeftToOthers):
        return take_the_long_way(services, job)
    except Misconfigured as error:
        if services.hurry is None:
            raise
        log.error("not_read_here", why=str(error))
        return take_the_long_way(services, job)
    except Unreadable as error:
        if services.hurry is not None and error.kind == "timeout":
            return take_the_long_way(services, job)
        if isinstance(error, ReaderKilled) and job.crashes < QUARANTINED_AT:
            raise  # a crash, which may have another's cause: it is tried again, and in the end apart from others
        return _failed(services, job, Failure(kind="unreadable", message=str(error)), error.kind)
    return _onward(services, job, prompt, reading)


def _prompt(services: Services, job: Job) -> tuple[PromptVersion | None, list[str]]:
    """The content of the job's prompt, and what keeps it from being asked. Raises PromptError.

    A job that is not pinned yet is with the transition that ends this stage: what it is pinned to is kept before.
    """
    if job.chain == "index":
        return None, []
    if job.content_hash is not None:
        prompt = prompt_of(services, job)
    else:
        prompt = services.registry.get(job.prompt, job.version)
        services.registry.pin(prompt)
    prompt.render(Excerpt(passages=("",)), job.params)
    # Keys are looked for where calls are made: this process may be given none.
    return prompt, problems(prompt, services.settings.models, with_keys=False)


def _read(services: Services, job: Job, document: Document, *, sees: bool) -> Reading | None:
    """The reading; None where the document's text is known from an earlier job."""
    if document.text is not None and (sees or document.text.strip() or _is_read_by_ocr(services, document.scans)):
        return None
    if document.body is None:
        raise Unreadable("empty", "its content was erased: submit it again")
    if services.reader is None:
        raise RuntimeError("this worker reads no files: validate belongs to the cpu queues")
    limits, hurry = services.reader.limits, services.hurry
    # Who is read in a hurry leaves in time by itself, and holds up none of those that wait for who computes.
    waits_out = hurry is not None or job.crashes >= QUARANTINED_AT
    give_way = None if waits_out else partial(_must_give_way, services, job)
    limits = replace(limits, leave_scans=sees or limits.leave_scans)
    if hurry is not None:
        limits = replace(limits, timeout_s=hurry.reads_s)
    reading = services.reader.read_bytes(
        bytes(document.body),
        name=document.name,
        give_way=give_way,
        limits=limits,
        turn_within_s=None if hurry is None else hurry.turn_s,
    )
    if reading.empty and not (sees and reading.pages) and not _is_read_by_ocr(services, reading.scans):
        raise Unreadable("empty", reading.warning or "there is no text in it")
    return reading


def _is_read_by_ocr(services: Services, scans: Sequence[int]) -> bool:
    return bool(scans) and services.settings.ocr != "off"


def _must_give_way(services: Services, job: Job) -> bool:
    try:
        return services.database.run(must_give_way, job)
    except SQLAlchemyError as error:
        if is_passing(error):
            return False  # nobody else could go on either
        raise


def _set_apart(services: Services, job: Job) -> Step:
    moved = services.database.run(transitions.set_apart, job)
    return Stop("set apart" if moved else "stale")


def _onward(services: Services, job: Job, prompt: PromptVersion | None, reading: Reading | None) -> Step:
    scans = reading.scans if reading is not None else job.document.scans if job.document else ()
    if scans and services.settings.ocr != "off":
        return _to_ocr(services, job, prompt, reading)
    to: Stage = "chunk" if job.chain == "index" else "context"
    pinned = _pinned(prompt)
    if reading is None:
        read = None
        moved = services.database.run(transitions.advance, job, to, message_s=services.message_s, **pinned)
    else:
        read = _document(job).as_read(reading)
        moved = services.database.run(
            transitions.advance_with_text, job, to, message_s=services.message_s, **pinned, document=read
        )
    return Onward(_moved(job, to, prompt, read)) if moved else Stop("stale")


def _pinned(prompt: PromptVersion | None) -> dict[str, Any]:
    """What the job's row is told of its prompt; nothing of an index job, which has none."""
    return {"version": prompt and prompt.version, "content_hash": prompt and prompt.content_hash}


def _moved(job: Job, to: Stage, prompt: PromptVersion | None, read: Document | None) -> Job | None:
    """The job as it is loaded at its next stage; one without a prompt is loaded there."""
    if prompt is None:
        return None
    return job.moved(to).but(
        version=prompt.version,
        content_hash=job.content_hash or prompt.content_hash,
        document=read or replace(_document(job), body=None),
    )


def _document(job: Job) -> Document:
    assert job.document is not None  # noqa: S101 - one without a document has failed
    return job.document


def _to_ocr(services: Services, job: Job, prompt: PromptVersion | None, reading: Reading | None) -> Step:
    """The job waits for its turn at OCR, which is another worker's."""
    pinned = _pinned(prompt)
    with services.database.work() as connection:
        if reading is None:
            moved = transitions.advance(connection, job, "ocr", message_s=services.message_s, **pinned)
        else:
            moved = transitions.advance_with_text(
                connection,
                job,
                "ocr",
                message_s=services.message_s,
                **pinned,
                document=_document(job).as_read(reading),
            )
        waits = moved and transitions.give_back(connection, job.id, job.epoch, "ocr")
    return Stop("waits for OCR" if waits else "stale")


def _failed(services: Services, job: Job, failure: Failure, detail: str = "") -> Step:
    return services.database.run(fail, job, failure, detail=detail)
