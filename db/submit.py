"""Accepting documents as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

import psycopg
from psycopg.errors import InvalidParameterValue, UniqueViolation
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db import fleet
from db.statements import statements_of
from docmill import bounds
from docmill.errors import IdempotencyConflict, JobNotFit, JobUnknown, SubmitRefused

__all__ = [
    "Accepted",
    "Indexing",
    "Submission",
    "accept",
    "check_answerable",
    "index_again",
    "submit",
    "submit_fresh",
    "submit_index",
    "submit_many",
    "submit_to_run",
]


SQL = statements_of("submit")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A document, and what is wanted of it."""

    prompt: str
    body: bytes
    media_type: str = "application/octet-stream"
    name: str | None = None
    version: str | None = None
    tenant: str = "default"
    feature: str = "default"
    usr: str = ""
    lane: Literal["interactive", "bulk"] = "bulk"
    deadline_at: datetime | None = None
    idem_key: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What an application says of it: returned, and nothing else."""
    content_hash: bytes | None = None
    """Of the prompt's files, for a job that is pinned to them from the start; else its first stage pins it."""


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """A document for a collection, which exists already."""

    collection: str
    body: bytes
    media_type: str = "application/octet-stream"
    name: str | None = None
    tenant: str = "default"
    feature: str = "default"
    usr: str = ""
    lane: Literal["interactive", "bulk"] = "bulk"
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What searches can filter by."""
    language: str | None = None
    """A text search configuration of Postgres; None: found out."""


def submit(connection: Connection, submission: Submission) -> int:
    """The id of the job, which is kept once the caller commits, as :func:`accept` makes it."""
    return accept(connection, submission).id


def accept(connection: Connection, submission: Submission) -> Accepted:
    """The job, which is kept once the caller commits.

    The same ``idem_key`` with the same content gives the same job; with another it raises IdempotencyConflict.
    Raises SubmitRefused for what no worker could take.
    """
    with _refusals():
        row = SQL["submit"].one(connection, _row(submission))
    return Accepted(id=int(row.id), is_new=row.is_new, is_same=True, run_id=None)


def trace(connection: Connection, parent: str) -> None:
    """Has the jobs that this transaction submits belong to a trace."""
    SQL["trace"].scalar(connection, {"trace": parent})


def check_answerable(connection: Connection, prompt: str, version: str) -> None:
    """Raises SubmitRefused where every worker says that it cannot ask the prompt's models."""
    why = (fleet.unready(connection) or {}).get(f"{prompt}/{version}")
    if why is not None:
        raise SubmitRefused(why)


COLUMNS = {
    "prompt": "text",
    "body": "bytea",
    "media_type": "text",
    "name": "text",
    "version": "text",
    "tenant": "text",
    "feature": "text",
    "usr": "text",
    "lane": "text",
    "deadline_at": "timestamptz",
    "idem_key": "text",
    "params": "text",
    "metadata": "text",
    "content_hash": "bytea",
}
"""Of a row that is copied, and their types."""


def submit_many(connection: Connection, submissions: Iterable[Submission]) -> list[int]:
    """The ids of the jobs, in order: thousands a second, by COPY. All of them are kept once the caller commits.

    Raises SubmitRefused, as :func:`submit` does, and then none is kept.
    """
    keyed = [submission.idem_key is not None for submission in _copied(connection, submissions)]
    with _refusals():
        by_key, others = (
            iter([int(row.id) for row in SQL[name].rows(connection)])
            for name in ("submit_keyed", "submit_unkeyed")
        )
    SQL["drop_copied"].count(connection)
    return [next(by_key if has_key else others) for has_key in keyed]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What became of a submission."""

    id: int
    """Of its job."""
    is_new: bool
    """False where a job had its key already."""
    is_same: bool
    """Whether that job is for the same document, and wants the same of it."""
    run_id: int | None


def submit_to_run(connection: Connection, run: int | None, submissions: Iterable[Submission]) -> list[Accepted]:
    """What became of each, in order, by COPY; all of it is kept once the caller commits.

    Each has a key, and is a job once, however often it comes. Raises SubmitRefused, and then none is kept.
    """
    for submission in _copied(connection, submissions):
        if submission.idem_key is None:
            raise SubmitRefused("idempotency_key: what is submitted to a run has one")
    made = {row.id for row in SQL["submit_to_run"].rows(connection, {"run": run})}
    found = SQL["submitted_to_run"].rows(connection)
    SQL["drop_copied"].count(connection)
    accepted = []
    for row in found:
        accepted.append(Accepted(id=row.id, is_new=row.id in made, is_same=bool(row.same), run_id=row.run_id))
        made.discard(row.id)  # a key that comes twice is new once
    return accepted


def _copied(connection: Connection, submissions: Iterable[Submission]) -> Iterator[Submission]:
    """Copies each to the table of this transaction, one in memory at a time; gives them back on the way."""
    SQL["make_copied"].count(connection)
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(SQL["copy"].text) as copy:
        copy.set_types(list(COLUMNS.values()))
        for submission in submissions:
            row = _row(submission)
            copy.write_row([row[name] for name in COLUMNS])
            yield submission


def _row(submission: Submission) -> dict[str, Any]:
    """The submission as columns have it. Raises SubmitRefused, before the database is asked."""
    params = bounds.params_as_json(submission.params)
    _check(
        submission,
        prompt=submission.prompt,
        version=submission.version,
        deadline_at=submission.deadline_at,
        idempotency_key=submission.idem_key,
    )
    metadata = bounds.metadata_as_json(submission.metadata)
    return {**vars(submission), "name": bounds.file_path(submission.name), "params": params, "metadata": metadata}


def _check(wanted: Submission | Indexing, **more: Any) -> None:
    bounds.check_document(len(wanted.body))
    bounds.check_submit(tenant=wanted.tenant, feature=wanted.feature, user=wanted.usr, lane=wanted.lane, **more)


@contextmanager
def _refusals() -> Iterator[None]:
    """Raises what docmill_submit_file refuses as SubmitRefused; what went wrong besides as it is."""
    try:
        yield
    except DBAPIError as error:
        told = _refusal(error.orig)
        if told is None:
            raise
        raise told from error


def _refusal(error: BaseException | None) -> SubmitRefused | None:
    if not isinstance(error, UniqueViolation | InvalidParameterValue) or error.diag.constraint_name:
        return None
    told = ": ".join(filter(None, (error.diag.message_primary, error.diag.message_hint)))
    if isinstance(error, UniqueViolation):
        return IdempotencyConflict(told)
    return SubmitRefused(told.removeprefix("docmill_submit: "))


def submit_index(connection: Connection, indexing: Indexing) -> int:
    """The id of the job that indexes the document, which is kept once the caller commits. Raises SubmitRefused."""
    _check(indexing, prompt="index")
    meta = bounds.params_as_json(indexing.meta, field="meta")
    params = {"meta": json.loads(meta)} | ({"language": indexing.language} if indexing.language else {})
    values = {**vars(indexing), "name": bounds.file_path(indexing.name), "params": json.dumps(params)}
    return int(SQL["submit_index"].scalar(connection, values))


def index_again(connection: Connection, tenant: str, collection: str, documents: Sequence[int]) -> list[int]:
    """The ids of jobs that index documents of a collection once more, as they were indexed before."""
    values = {"tenant": tenant, "collection": collection, "documents": list(documents)}
    return [row.id for row in SQL["index_again"].rows(connection, values)]


def submit_fresh(
    connection: Connection,
    job_id: int,
    *,
    deadline_at: datetime | None = None,
    idem_key: str | None = None,
    once: bool = False,
) -> Accepted:
    """A new job with the same document, prompt and parameters; it pays again.

    The same ``idem_key`` gives the same new job; where it was used for anything else, that raises
    IdempotencyConflict. ``once`` raises JobNotFit where another new job stands for it. Raises JobUnknown.
    """
    if SQL["ask_one_by_one"].first(connection, {"id": job_id}) is None:
        raise JobUnknown(job_id)
    values = {"id": job_id, "deadline_at": deadline_at, "idem_key": idem_key, "once": once}
    made = SQL["submit_fresh"].first(connection, values)
    if made is not None:
        return Accepted(id=made.id, is_new=True, is_same=True, run_id=made.run_id)
    before = SQL["submitted_fresh"].first(connection, {"id": job_id, "idem_key": idem_key})
    if before is None:
        raise JobNotFit(f"job {job_id} was asked afresh already: name its id to ask it again")
    if not before.same:
        raise IdempotencyConflict(
            f"the idempotency key was used for another request: job {before.id}; use a new one"
        )
    return Accepted(id=before.id, is_new=False, is_same=True, run_id=before.run_id)
