"""Which jobs are asked for: the parameters of every route that takes some of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Query

from db.reports import Wanted
from docmill.errors import FailureKind
from web.problems import Problem
from web.schemas import LARGEST_ID, JobState, Moment, PathText, Storable

__all__ = ["Asked", "Included"]

Said = TypeVar("Said")
Included = Literal["value", "counts"]

Id = Annotated[int, Query(ge=1, le=LARGEST_ID)]
Cause = Annotated[FailureKind | None, Query(description="The kind of the failure")]


def wanted(
    state: Annotated[list[JobState] | None, Query(description="One, or several by giving it again")] = None,
    run: Id | None = None,
    feature: Storable | None = None,
    user: Storable | None = None,
    prompt: Storable | None = None,
    version: Storable | None = None,
    name: Annotated[PathText | None, Query(description="What the file's path holds, in whatever case")] = None,
    document: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="The document's id")] = None,
    model: Annotated[Storable | None, Query(description="One that answered, as its provider names it")] = None,
    cause: Cause = None,
    failure: Annotated[FailureKind | None, Query(description="The same as `cause`")] = None,
    created_after: Annotated[Moment | None, Query(description="Or then, by ISO 8601")] = None,
    created_before: Moment | None = None,
    finished_after: Annotated[Moment | None, Query(description="Or then")] = None,
    finished_before: Moment | None = None,
    since: Annotated[Moment | None, Query(description="The same as `created_after`")] = None,
) -> Wanted:
    """The jobs, of any tenant. Raises Problem where two names for the same say two things."""
    return Wanted(
        states=state or (),
        run=run,
        feature=feature,
        user=user,
        prompt=prompt,
        version=version,
        name=name,
        document=document,
        model=model,
        cause=_one("cause", cause, "failure", failure),
        since=_in_utc(_one("created_after", created_after, "since", since)),
        created_before=_in_utc(created_before),
        finished_after=_in_utc(finished_after),
        finished_before=_in_utc(finished_before),
    )


Asked = Annotated[Wanted, Depends(wanted)]


def _one(name: str, given: Said | None, other: str, also: Said | None) -> Said | None:
    if given is not None and also is not None and given != also:
        rule = f"it is the same as {other}, which says something else"
        raise Problem(422, f"{name}: {rule}", errors=[{"field": name, "rule": rule}])
    return also if given is None else given


def _in_utc(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
