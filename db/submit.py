"""Accepting documents as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import Cursor
from psycopg.errors import InvalidParameterValue, UniqueViolation
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db import fleet
from db.statements import statements_of
from docmill import bounds
from docmill.errors import IdempotencyConflict, JobUnknown, SubmitRefused

__all__ = [
    "Indexing",
    "Submission",
    "check_answerable",
    "index_again",
    "submit",
    "submit_fresh",
    "submit_index",
    "submit_many",
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


SUBMIT = text(
    "select docmill_submit_file(:prompt, :body, :media_type, :name, :version, :tenant, :feature, :usr, :lane,"
    " :deadline_at, :idem_key, cast(:params as jsonb))"
)


def submit(connection: Connection, submission: Submission) -> int:
    """The id of the job, which is kept once the caller commits.

    The same ``idem_key`` with the same content gives the same job; with another it raises IdempotencyConflict.
    Raises SubmitRefused for what no worker could take.
    """
    with _refusals():
        return int(connection.execute(SUBMIT, _row(submission)).scalar_one())


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
}
COPIED = f"create temp table copied (at serial, {', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})"
COPY = f"copy copied ({', '.join(COLUMNS)}) from stdin (format binary)"
SUBMIT_KEYED = text(
    f"select docmill_submit_file({', '.join(COLUMNS)}::jsonb) as id"
    " from (select * from copied where idem_key is not null order by at) c"
)
# What the function does for one job, for all that have no key and so nothing to compare: twice as many a second.
# Documents are locked in one order, so that two who submit the same ones do not wait for each other; ids are given
# out in the order of the last select.
SUBMIT_UNKEYED = text(
    "with given as materialized (select *, sha256(body) as digest from copied where idem_key is null),"
    " kept as (insert into documents (tenant, sha256, name, media_type, body)"
    " select distinct on (tenant, digest) tenant, digest, name, media_type, body from given"
    " order by tenant, digest, at"
    " on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body)"
    " returning id, tenant, sha256),"
    " made as (insert into jobs (tenant, feature, usr, lane, document_id, prompt, version, params, deadline_at)"
    " select g.tenant, g.feature, g.usr, g.lane, k.id, g.prompt, g.version, g.params::jsonb, g.deadline_at"
    " from given g join kept k on k.tenant = g.tenant and k.sha256 = g.digest order by g.at returning id)"
    " select id from made order by id"
)


def submit_many(connection: Connection, submissions: Iterable[Submission]) -> list[int]:
    """The ids of the jobs, in order: thousands a second, by COPY. All of them are kept once the caller commits.

    Raises SubmitRefused, as :func:`submit` does, and then none is kept.
    """
    connection.execute(text(COPIED))
    keyed: list[bool] = []
    driver: Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment] # psycopg's, with its COPY
    with driver, driver.copy(COPY) as copy:
        copy.set_types(list(COLUMNS.values()))
        for submission in submissions:
            row = _row(submission)
            copy.write_row([row[name] for name in COLUMNS])
            keyed.append(submission.idem_key is not None)
    with _refusals():
        by_key, others = (
            iter([int(job) for job in connection.execute(statement).scalars()])
            for statement in (SUBMIT_KEYED, SUBMIT_UNKEYED)
        )
    connection.execute(text("drop table copied"))
    return [next(by_key if has_key else others) for has_key in keyed]


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
    return {**vars(submission), "name": bounds.file_name(submission.name), "params": params}


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
    values = {**vars(indexing), "name": bounds.file_name(indexing.name), "params": json.dumps(params)}
    return int(connection.execute(SUBMIT_INDEX, values).scalar_one())


# A document that is there already keeps its text, and gets its body back if that was erased.
SUBMIT_INDEX = text(
    "with document as (insert into documents (tenant, sha256, name, media_type, body)"
    " values (:tenant, sha256(:body), :name, :media_type, :body)"
    " on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body) returning id)"
    " insert into jobs (tenant, feature, usr, lane, chain, document_id, collection, params)"
    " select :tenant, :feature, :usr, :lane, 'index', id, :collection, cast(:params as jsonb) from document"
    " returning id"
)


def index_again(connection: Connection, tenant: str, collection: str, documents: Sequence[int]) -> list[int]:
    """The ids of jobs that index documents of a collection once more, as they were indexed before."""
    rows = connection.execute(
        text(
            "insert into jobs (tenant, feature, lane, chain, document_id, collection, params)"
            " select :tenant, 'default', 'bulk', 'index', d.document_id, :collection,"
            " jsonb_build_object('meta', d.meta, 'language', d.language)"
            " from collection_documents d join collections c on c.id = d.collection_id"
            " where c.tenant = :tenant and c.name = :collection"
            " and d.document_id = any(cast(:documents as bigint[])) order by d.document_id returning id"
        ),
        {"tenant": tenant, "collection": collection, "documents": list(documents)},
    )
    return [row.id for row in rows]


def submit_fresh(connection: Connection, job_id: int, *, deadline_at: datetime | None = None) -> int:
    """The id of a new job with the same document, prompt and parameters; it pays again. Raises JobUnknown."""
    made = SQL["submit_fresh"].scalar(connection, {"id": job_id, "deadline_at": deadline_at})
    if made is None:
        raise JobUnknown(job_id)
    return int(made)
