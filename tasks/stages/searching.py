"""Passages of a collection that a job's prompt asks for beside its document."""

from __future__ import annotations

from db import transitions
from db.jobs import Job
from db.search import Hit
from docmill.errors import CollectionUnknown, EmbeddingAway, Failure, Misconfigured
from prompts import PromptVersion
from tasks.calls.embedding.call import Asker
from tasks.calls.embedding.failing import apply_remedy
from tasks.question import passages_for
from tasks.services import Services
from tasks.stages.step import Step, Stop, fail

__all__ = ["passages_beside"]

BUDGET_S = 60.0
"""After so long a job whose question no budget covers looks again."""
LONGEST_QUESTION = 2000
"""Characters of a document that a collection is searched for."""


def passages_beside(services: Services, job: Job, prompt: PromptVersion, text: str) -> list[Hit] | Step:
    """Passages of the prompt's collection, the best first, or what is done where it cannot be searched."""
    collection = prompt.collection(job.params)
    if collection is None:
        return []
    asker = Asker(tenant=job.tenant, feature=job.feature, usr=job.usr, lane=job.lane, prompt=job.prompt)
    words = prompt.question(job.params) or text[:LONGEST_QUESTION]
    limit = prompt.config.retrieval.passages
    try:
        return passages_for(services, collection, words, asker=asker, limit=limit)
    except EmbeddingAway as away:
        return _unasked(services, job, away)
    except (CollectionUnknown, Misconfigured) as error:
        return services.database.run(fail, job, Failure(kind="bad_request", message=str(error)))


def _unasked(services: Services, job: Job, away: EmbeddingAway) -> Step:
    """The question has no vector for now."""
    if away.failure.kind == "budget":
        services.database.run(transitions.hold, job, "rate", for_s=BUDGET_S)
        return Stop("held: budget")
    return services.database.run(apply_remedy, job, services.settings.models.get(away.model), away.failure)
