"""Jobs: searched, looked at one by one, retried and cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from db import inspection, reports, transitions
from db.inspection import Call, Inspection
from db.overview import facets
from db.reports import JobReport, Page
from docmill.errors import FailureKind, JobUnknown
from prompts.order import in_prompts_order
from web.access import Asking, Database
from web.pages.answers import doubts_of, values_of
from web.pages.papers import paper_of
from web.pages.rendering import render
from web.schemas import LARGEST_ID, JobState, Moment, PathText, Storable

__all__ = ["Asked", "Cursor", "Filters", "router"]

router = APIRouter(include_in_schema=False)

JOBS = 50
STATES = ("needs_review", "failed", "held", "queued", "running", "done", "cancelled")
"""What needs somebody first."""
MOST_COUNTED = 1_000
JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Cursor = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which jobs are looked for, as the address has it."""

    state: Sequence[str] = ()
    cause: str | None = None
    prompt: str | None = None
    feature: str | None = None
    user: str | None = None
    name: str | None = None
    run: int | None = None
    since: datetime | None = None

    def link(self, **changes: Any) -> str:
        """The list with something changed; None takes it away. The address has the first page."""
        return f"/jobs?{query}" if (query := replace(self, **changes).query) else "/jobs"

    def wanted(self, tenant: str, *, before: int | None = None, after: int | None = None) -> reports.Wanted:
        """The jobs of the tenant that fit."""
        return reports.Wanted(
            states=self.state,
            tenant=tenant,
            feature=self.feature,
            user=self.user,
            prompt=self.prompt,
            name=self.name,
            run=self.run,
            cause=self.cause,
            since=self.since,
            before=before,
            after=after,
        )

    def act(self, action: str) -> str:
        """Where all of them are acted on, once the price was said."""
        return f"/jobs/act?action={action}{'&' if self.query else ''}{self.query}"

    @property
    def query(self) -> str:
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        told = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items()}
        return urlencode({name: value for name, value in told.items() if value not in (None, (), [])}, doseq=True)

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Each filter that is set: its name, its value, and the list without it."""
        chips = [
            ("state", state.replace("_", " "), self.link(state=[each for each in self.state if each != state]))
            for state in self.state
        ]
        for name in ("cause", "prompt", "feature", "user", "name", "run"):
            value = getattr(self, name)
            if value is not None:
                chips.append((name, str(value) or "none", self.link(**{name: None})))
        if self.since is not None:
            chips.append(("since", f"{self.since:%Y-%m-%d %H:%M %Z}", self.link(since=None)))
        return chips


def filters_of(
    state: Annotated[list[JobState] | None, Query()] = None,
    cause: FailureKind | None = None,
    prompt: Storable | None = None,
    feature: Storable | None = None,
    user: Storable | None = None,
    name: PathText | None = None,
    run: Cursor = None,
    since: Moment | None = None,
) -> Filters:
    """As the address has them."""
    return Filters(
        state=state or (),
        cause=cause,
        prompt=prompt,
        feature=feature,
        user=user,
        name=name or None,
        run=run,
        since=since if since is None or since.tzinfo else since.replace(tzinfo=UTC),
    )


Asked = Annotated[Filters, Depends(filters_of)]


@router.get("/jobs", response_class=HTMLResponse)
def show_list(
    request: Request,
    database: Database,
    asking: Asking,
    filters: Asked,
    before: Cursor = None,
    after: Cursor = None,
) -> HTMLResponse:
    """The jobs that fit, the newest first, with how many are in each state."""
    asking.check("read")
    wanted = filters.wanted(asking.tenant, before=before, after=after)
    with database.snapshot() as connection:
        found = reports.page(connection, wanted, limit=JOBS + 1, values=False)
        counted = facets(connection, asking.tenant, most=MOST_COUNTED)
    older, newer = _neighbours(found, before=before, after=after)
    content = {
        "filters": filters,
        "jobs": found.jobs[-JOBS:] if after is not None else found.jobs[:JOBS],
        "older": older,
        "newer": newer,
        "looked_to": found.looked_to,
        "facets": [(each, counted.get(each)) for each in STATES],
        "most": MOST_COUNTED,
        "prompts": request.app.state.registry.names(),
        "spans": [
            (words, datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=days))
            for words, days in (("a day", 1), ("a week", 7), ("30 days", 30))
        ],
    }
    return render(request, "jobs.html", content)


def _neighbours(found: Page, *, before: int | None, after: int | None) -> tuple[int | None, int | None]:
    """Behind which job the older ones begin, and behind which the newer ones; None where there are none."""
    further = len(found.jobs) > JOBS
    if after is not None:
        shown = found.jobs[-JOBS:]
        return (shown[-1].id, shown[0].id if further else found.looked_to) if shown else (None, found.looked_to)
    shown = found.jobs[:JOBS]
    newer = shown[0].id if shown and before is not None else None
    return shown[-1].id if further else found.looked_to, newer


@router.get("/jobs/{job_id}", response_class=HTMLResponse)
def show(job_id: JobId, request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """What came of a job, why, what it cost, and what was said."""
    asking.check("read")
    with database.work() as connection:
        found = inspection.inspect(connection, job_id, tenant=asking.tenant)
        job = found.job
        value = in_prompts_order(request.app.state.registry, job.prompt, job.version, job.value)
        values = [] if value is None else values_of(found, value)
        paper = paper_of(connection, job.document_id, asking.tenant, values)
    content = {
        "job": job,
        "found": found,
        "values": values,
        "doubts": doubts_of(found.checks).get("", []) if job.state == "needs_review" else [],
        "paper": paper,
        "bars": _bars(found),
        "ends": job.wait is None,
    }
    return render(request, "job.html", content)


@router.post("/jobs/{job_id}/{action}")
def act(
    job_id: JobId,
    action: Annotated[str, Path(pattern="^(retry|cancel)$")],
    request: Request,
    background: BackgroundTasks,
    database: Database,
    asking: Asking,
) -> RedirectResponse:
    """Retries or cancels a job, and shows it again."""
    asking.check("operate")
    background.add_task(request.app.state.fleet.start)
    with database.work() as connection:
        _check_owned(reports.job_report(connection, job_id, tenant=asking.tenant), job_id)
        if action == "retry":
            transitions.retry(connection, job_id)
        else:
            transitions.cancel(connection, job_id)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)


def _check_owned(job: JobReport | None, job_id: int) -> None:
    if job is None:
        raise JobUnknown(job_id)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A call on the line of time, in percent of the time from submit to end."""

    call: Call
    x: float
    width: float
    waited_s: float
    """Since the call before, or since the submit."""


def _bars(found: Inspection) -> list[Bar]:
    begin = found.job.created_at
    ends = [call.finished_at or call.started_at for call in found.calls]
    last = max([*ends, begin + timedelta(seconds=found.job.seconds or 0)])
    whole_s = max((last - begin).total_seconds(), 0.001)
    bars, before = [], begin
    for call in found.calls:
        end = call.finished_at or last
        bars.append(
            Bar(
                call=call,
                x=round(max(0.0, 100 * (call.started_at - begin).total_seconds() / whole_s), 2),
                width=round(max(0.4, 100 * (end - call.started_at).total_seconds() / whole_s), 2),
                waited_s=max(0.0, (call.started_at - before).total_seconds()),
            )
        )
        before = end
    return bars
