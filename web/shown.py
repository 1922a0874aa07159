"""Jobs as the API shows them: what a report has becomes the one model that the client reads, field by field."""

from __future__ import annotations

from typing import Any

from db.reports import JobReport
from docmill.client.job import Held, ListedJob
from prompts import Registry
from prompts.order import in_prompts_order
from web.schemas import JobShown

__all__ = ["listed", "shown"]


def shown(registry: Registry, job: JobReport) -> JobShown:
    """A job with its answer, whose fields stand in the order of their schema."""
    value = in_prompts_order(registry, job.prompt, job.version, job.value)
    return JobShown(**vars(listed(job)), value=value, evidence=job.evidence)


def listed(job: JobReport) -> ListedJob:
    """A job without its answer."""
    return ListedJob(
        id=job.id,
        state=job.state,
        name=job.name,
        path=job.path,
        document_id=job.document_id,
        run_id=job.run_id,
        prompt=job.prompt,
        version=job.version,
        feature=job.feature,
        user=job.usr,
        stage=job.stage,
        wait=job.wait,
        held=_held(job),
        failure=_object(job.failure),
        model=job.model,
        input_tokens=job.input_tokens,
        output_tokens=job.output_tokens,
        calls=job.calls,
        cost_usd=None if job.cost_usd is None else f"{job.cost_usd.normalize():f}",
        seconds=job.seconds,
        created_at=job.created_at,
        finished_at=job.finished_at,
        deadline_at=job.deadline_at,
        metadata=_object(job.metadata) or {},
        warnings=[dict(each) for each in job.warnings if isinstance(each, dict)],
        progress=job.progress,
        idempotency_key=job.idem_key,
    )


def _held(job: JobReport) -> Held | None:
    if job.held is None:
        return None
    held = job.held
    return Held(waits_for=held.waits_for, since=held.since, until=held.until, message=held.message)


def _object(kept: object) -> dict[str, Any] | None:
    """A row that holds something else breaks no list."""
    return dict(kept) if isinstance(kept, dict) else None
