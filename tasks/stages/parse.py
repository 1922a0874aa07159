"""Parse: the reply becomes a checked value, or the remedy for what is wrong with it."""

from __future__ import annotations

import structlog

from db import transitions
from db.jobs import Job
from docmill.errors import Failure
from prompts import PromptVersion
from tasks import remedies
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.setbacks import Setback
from tasks.short import NOT_JUDGED, take_the_long_way
from tasks.stages.citing import with_pages
from tasks.stages.excerpt import excerpt_of
from tasks.stages.parse_parts import parse_parts
from tasks.stages.parting import is_in_parts
from tasks.stages.step import Step, fail, in_hand
from tasks.verdicts import Rejected

__all__ = ["parse"]

log = structlog.get_logger()


def parse(services: Services, job: Job) -> Step:
    """The job goes on to store with a value, or to another attempt, or to a person; or to who claims it, where its
    reply takes longer than whoever called has time for.
    """
    if is_in_parts(job):
        return parse_parts(services, job)
    prompt = prompt_of(services, job)
    answer, document = job.answer, job.document
    if answer is None or document is None or document.text is None:
        return _nothing_there(services, job)
    try:
        verdict = services.judge(job, prompt, excerpt_of(services, job, document.text), answer)
    except NOT_JUDGED as error:
        log.info("judged_elsewhere", why=str(error))
        return take_the_long_way(services, job)
    found = None if verdict.kept is None else with_pages(services, job, verdict.kept)
    if verdict.rejected is None:
        return in_hand(job, "store", value=found)
    doubtful = job if found is None else job.but(value=found)
    return _rejected(services, doubtful, prompt, verdict.rejected)


def _rejected(services: Services, job: Job, prompt: PromptVersion, rejected: Rejected) -> Step:
    failure = Failure(kind=rejected.kind, message=rejected.message)
    setback = Setback.of(services, job, prompt, failure, answered=True, problems=rejected.problems)
    with services.database.work() as connection:
        transitions.keep_value(connection, job)
        return remedies.apply(connection, services, setback)


def _nothing_there(services: Services, job: Job) -> Step:
    failure = Failure(kind="internal", message="the reply or the document is gone: `docmill retry` asks again")
    return services.database.run(fail, job, failure)
