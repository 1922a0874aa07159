"""The call that a job makes next, put together from what is on record of it."""

from __future__ import annotations

from uuid import uuid4

from db import ledger
from db.jobs import Job
from docmill.errors import Failure, Misconfigured
from docmill.llm.types import Request
from docmill.settings import Model
from prompts import PromptVersion
from tasks.calls.call import Call
from tasks.calls.request import as_json, compose, input_hash
from tasks.calls.reserve import worst_case
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.setbacks import too_many_doubts
from tasks.stages.excerpt import excerpt_of
from tasks.stages.step import Step, fail
from tasks.stages.window import ladder_model

__all__ = ["prepare"]


def prepare(services: Services, job: Job) -> Call | Step:
    """Prepares the call to make, or returns what is done instead."""
    prompt = prompt_of(services, job)
    doubts = too_many_doubts(services, job, prompt)
    if doubts is not None:
        return services.database.run(fail, job, doubts)
    try:
        model = services.settings.models.get(ladder_model(job, prompt))
    except Misconfigured as error:
        return services.database.run(fail, job, Failure(kind="not_found", message=str(error)))
    if job.document is None or job.document.text is None:
        return services.database.run(fail, job, Failure(kind="unreadable", message="the document was deleted"))
    request = compose(job, prompt, model, excerpt_of(services, job, job.document.text), _previous(services, job))
    intent = _intent(services, job, prompt, model, request)
    return Call(job=job, prompt=prompt, model=model, request=request, intent=intent)


def _previous(services: Services, job: Job) -> str | None:
    """What a correction corrects."""
    if job.purpose != "correction":
        return None
    return services.database.run(ledger.previous_reply, job)


def _intent(services: Services, job: Job, prompt: PromptVersion, model: Model, request: Request) -> ledger.Intent:
    return ledger.Intent(
        id=uuid4(),
        content_hash=prompt.content_hash,
        input_hash=input_hash(model, request),
        provider=model.provider,
        account=model.account,
        model=model.model,
        request=as_json(request),
        remedy=str(job.history[-1]["remedy"]) if job.history else None,
        reserved_usd=worst_case(job, model, request),
        owner=services.owner,
    )
