"""The call that a job makes next, put together from what is on record of it."""

from __future__ import annotations

from db import ledger
from db.jobs import Job
from docmill.errors import Failure, Misconfigured
from tasks.calls.call import Call
from tasks.calls.intents import intent_to_ask, last_remedy
from tasks.calls.request import compose
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
    intent = intent_to_ask(
        prompt,
        model,
        request,
        reserved_usd=worst_case(job, model, request),
        owner=services.owner,
        remedy=last_remedy(job),
    )
    return Call(job=job, prompt=prompt, model=model, request=request, intent=intent)


def _previous(services: Services, job: Job) -> str | None:
    """What a correction corrects."""
    if job.purpose != "correction":
        return None
    return services.database.run(ledger.previous_reply, job)
