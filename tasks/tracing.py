"""A job's way as one trace: a span for each stage, and below it one for each call to a model."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from db.jobs import Job
from db.stages import Stage
from docmill.llm.client import Outcome
from docmill.llm.types import Request
from docmill.retrieval.embedding import Embedding
from docmill.settings import Model
from docmill.tracing import (
    Tracer,
    Value,
    call_attributes,
    embedding_attributes,
    outcome_attributes,
    parent_of,
    vectors_attributes,
)
from tasks.stages.step import Again, InHand, Onward, Step, Stop

__all__ = ["traced_call", "traced_embedding", "traced_stage"]


def traced_stage(tracer: Tracer | None, name: Stage, job: Job, work: Callable[[], Step]) -> Step:
    """The stage's work, in a span of the job's trace, where somebody wants to know."""
    if tracer is None:
        return work()
    attributes: dict[str, Value | None] = {
        "docmill.job.id": job.id,
        "docmill.tenant": job.tenant,
        "docmill.feature": job.feature,
        "docmill.stage": name,
        "docmill.attempt": job.attempt,
        "docmill.purpose": job.purpose,
        "docmill.epoch": job.epoch,
        "gen_ai.prompt.name": job.prompt or None,
        "docmill.prompt.version": job.version,
    }
    parent = parent_of(job.trace, job.id, job.tenant, f"{job.document_id} {job.prompt}")
    with tracer.span(name, parent=parent, kind="consumer", attributes=attributes) as span:
        step = work()
        span.tell({"docmill.outcome": _word(step)})
        if isinstance(step, Stop) and step.word.startswith("failed"):
            span.fail(step.word.partition(": ")[2] or "failed")
        return step


def _word(step: Step) -> str:
    match step:
        case Onward() | InHand():
            return "onward"
        case Stop(word, _):
            return word
        case Again(word, _):
            return f"again: {word}"


async def traced_call(
    asked: Coroutine[Any, Any, Outcome],
    model: Model,
    request: Request,
    *,
    tracer: Tracer,
    parent: str | None,
    call_id: UUID,
) -> Outcome:
    """A call to a model, in a span below that which began it."""
    attributes = call_attributes(model.provider, model.base_url, request, content=tracer.content)
    named = {**attributes, "docmill.call.id": str(call_id)}
    with tracer.span(f"chat {request.model}", parent=parent, kind="client", attributes=named) as span:
        outcome = await asked
        span.tell(outcome_attributes(outcome, content=tracer.content))
        if outcome.failure is not None:
            span.fail(outcome.failure.kind)
        return outcome


async def traced_embedding(
    asked: Coroutine[Any, Any, Embedding],
    model: Model,
    texts: int,
    *,
    tracer: Tracer,
    parent: str | None,
    call_id: UUID,
) -> Embedding:
    """A call for the vectors of so many texts, in a span below that which began it."""
    attributes = embedding_attributes(model.provider, model.base_url, model.model, texts=texts)
    named = {**attributes, "docmill.call.id": str(call_id)}
    with tracer.span(f"embeddings {model.model}", parent=parent, kind="client", attributes=named) as span:
        found = await asked
        dimensions = len(found.vectors[0]) if found.vectors else None
        span.tell(vectors_attributes(found.outcome, dimensions=dimensions))
        if found.outcome.failure is not None:
            span.fail(found.outcome.failure.kind)
        return found
