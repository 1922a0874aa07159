"""Jobs as the API shows them: what a report has becomes the one model that the client reads, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from db import rows
from db.reports import JobReport
from docmill.client.job import AnswerRow, Held, ListedJob, RowPage
from docmill.errors import JobNotFit
from prompts import Registry
from prompts.order import in_prompts_order
from web.schemas import JobShown

__all__ = ["listed", "rows_of", "shown"]


def shown(registry: Registry, job: JobReport) -> JobShown:
    """A job with its answer, whose fields stand in the order of their schema."""
    value = in_prompts_order(registry, job.prompt, job.version, job.value)
    return JobShown(**vars(listed(job)), value=value, evidence=job.evidence)


def rows_of(
    connection: Connection, registry: Registry, job: JobReport, path: str, *, first: int, most: int
) -> RowPage:
    """Some items of a list, their fields in the order of the schema, each with where its values stand.

    Raises JobNotFit where the answer has no list there.
    """
    steps = path.split(".")
    page = rows.page(connection, job.id, steps, first=first, most=most)
    if page is None:
        raise JobNotFit(f"the answer of job {job.id}, which is {job.state}, has no list at {path!r}")
    places: dict[int, dict[str, Any]] = {}
    for place, stands in page.evidence.items():
        at, _, within = place.removeprefix(f"{path}.").partition(".")
        places.setdefault(int(at), {})[within] = stands
    items = _ordered(registry, job, steps, page.items)
    end = first + len(items)
    return RowPage(
        total=page.total,
        rows=[AnswerRow(at=at, value=item, evidence=places.get(at)) for at, item in enumerate(items, first)],
        next=end if end < page.total else None,
    )


def _ordered(registry: Registry, job: JobReport, steps: Sequence[str], items: Sequence[Any]) -> Sequence[Any]:
    """The items as they would be in the whole answer."""
    value: Any = list(items)
    for step in reversed(steps):
        value = [value] if step.isdigit() else {step: value}
    value = in_prompts_order(registry, job.prompt, job.version, value)
    for step in steps:
        value = value[0 if step.isdigit() else step]
    found: Sequence[Any] = value
    return found


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
        tenant=job.tenant,
        lane=job.lane,
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
