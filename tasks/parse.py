"""Parse: the reply becomes a checked value, or the remedy for what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from db import jobs
from db.jobs import Job
from docmill.errors import Failure, ReplyRejected
from docmill.parsing import accept, correction_problems
from docmill.parsing.evidence import evidence
from prompts import PromptVersion
from tasks import remedy as remedies
from tasks.context import passages
from tasks.remedy import Setback
from tasks.services import Services
from tasks.steps import Onward, Step, Stop

__all__ = ["parse"]


def parse(services: Services, job: Job) -> Step:
    """The claimed job goes on to store with a value, or to another attempt, or to a person."""
    prompt = services.registry.get(job.prompt, job.version)
    answer, document = job.answer, job.document
    if answer is None or document is None or document.text is None:
        return _nothing_there(services, job)
    shown = (job.context or {"passages": [(0, len(document.text))]})["passages"]
    seen = passages(document.text, {"passages": shown}).text
    try:
        value = accept(answer.text, prompt.output_model, document=seen, finish_reason=answer.finish_reason)
    except ReplyRejected as rejected:
        return _rejected(services, _with_doubtful(job, rejected.value, prompt, shown), prompt, rejected)
    with services.autocommit.connect() as connection:
        kept = _kept(value, prompt, document.text, shown)
        moved = jobs.advance(connection, job, "store", message_s=services.message_s, value=kept)
    return Onward() if moved else Stop("stale")


def _kept(value: object, prompt: PromptVersion, text: str, shown: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {"answer": value, "evidence": evidence(value, prompt.output_model, text, shown)}


def _with_doubtful(job: Job, value: object, prompt: PromptVersion, shown: Sequence[tuple[int, int]]) -> Job:
    """What the reply did say is kept, with its places: a person may have to look at it."""
    if value is None or job.document is None or job.document.text is None:
        return job
    return replace(job, value=_kept(value, prompt, job.document.text, shown))


def _rejected(services: Services, job: Job, prompt: PromptVersion, rejected: ReplyRejected) -> Step:
    failure = Failure(kind=rejected.kind, message=str(rejected))
    problems = correction_problems(rejected)
    setback = Setback.of(services, job, prompt, failure, answered=True, problems=problems)
    with services.engine.begin() as connection:
        jobs.keep_value(connection, job)
        return remedies.apply(connection, services, setback)


def _nothing_there(services: Services, job: Job) -> Step:
    failure = Failure(kind="internal", message="the reply or the document is gone: `docmill retry` asks again")
    with services.autocommit.connect() as connection:
        jobs.end(connection, job, "failed", failure=failure)
    return Stop("failed: internal")
