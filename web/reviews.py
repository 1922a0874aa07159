"""Answers that wait for a person, over HTTP: listed, and decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from db import reports, reviews
from db.reviews import Clerk, Narrowed
from tasks.reviewing import Desk, Said
from tasks.services import Services
from web.access import Asking, Caller, Database, Tenant
from web.problems import documented
from web.schemas import LARGEST_ID, JobShown, Storable
from web.shown import shown

__all__ = ["desk_of", "router"]

router = APIRouter(prefix="/v1/reviews", tags=["reviews"], responses=documented(401, 422, 503))

JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
EXAMPLE: dict[str, Any] = {
    "decision": "correct",
    "value": {"company": "TEA HOUSE", "date": "2026-03-14", "total": 10.7},
    "overruled": ["date"],
    "note": "the date stands in the seal",
}


class ReviewShown(BaseModel):
    """An answer that waits for a person."""

    model_config = ConfigDict(extra="allow")

    id: int = Field(description="Of the job: `GET /v1/jobs/{id}` has its value")
    name: str | None
    prompt: str | None
    version: str | None
    feature: str
    user: str
    since: datetime | None
    failure: dict[str, Any] | None = Field(description="Why it is doubted: `kind` and `message`")
    claimed_by: str | None = Field(description="Who looks at it now")
    claimed_until: datetime | None


class ReviewPage(BaseModel):
    """Answers that wait, the oldest first."""

    reviews: list[ReviewShown]
    next: int | None = Field(description="The `cursor` of the next page; null on the last")


class DecisionWanted(BaseModel):
    """What somebody says of an answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    decision: Literal["accept", "correct", "reject"] = Field(
        description="As it stands, every check that doubts it being wrong; with another value; or not at all"
    )
    value: Any = Field(None, description="Of `correct`: the whole answer. The prompt's checks are held against it")
    overruled: list[Annotated[str, Field(max_length=1000)]] = Field(
        [], max_length=1000, description="Paths of values about which the checks are wrong, as `lines.0.name`"
    )
    note: str = Field("", max_length=2000, pattern=r"^[^\x00]*$")


@router.get("", response_model=ReviewPage, summary="Answers that wait for a person")
def list_reviews(
    database: Database,
    tenant: Tenant,
    cursor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    prompt: Storable | None = None,
    feature: Storable | None = None,
) -> dict[str, Any]:
    """The oldest first; `next` is null on the last page."""
    narrowed = Narrowed(prompt=prompt, feature=feature)
    with database.work() as connection:
        found = reviews.queue(connection, tenant, narrowed, after=cursor, limit=limit + 1)
    page = found[:limit]
    return {
        "reviews": [_shown(each) for each in page],
        "next": page[-1].id if len(found) > limit else None,
    }


def _shown(waiting: reviews.Waiting) -> dict[str, Any]:
    plain = {name: value for name, value in vars(waiting).items() if name != "usr"}
    failure = waiting.failure if isinstance(waiting.failure, Mapping) else None
    return {**plain, "user": waiting.usr, "failure": failure}


@router.post(
    "/{job_id}",
    response_model=JobShown,
    summary="Decide about an answer",
    responses=documented(404, 408, 409, 413),
)
def decide(
    job_id: JobId, wanted: DecisionWanted, request: Request, database: Database, asking: Asking
) -> JobShown:
    """The decision is the result's next revision, with the key's name as its author.

    A value that does not pass the prompt's checks is a 422, unless these are overruled; a claim of somebody else's
    is a 409.
    """
    asking.check("review")
    said = Said(**wanted.model_dump())
    desk_of(request).decide(asking.tenant, job_id, clerk_by_key(asking), said)
    with database.work() as connection:
        job = reports.job_report(connection, job_id, tenant=asking.tenant)
    return shown(request.app.state.registry, job)


def desk_of(request: Request) -> Desk:
    """Returns where decisions are taken."""
    services: Services = request.app.state.services
    return Desk(database=services.database, registry=services.registry, cache=services.cache)


def clerk_by_key(asking: Caller) -> Clerk:
    """Returns who decides by a program: each key is a desk."""
    return Clerk(name=asking.name, desk=f"key:{asking.name}")
