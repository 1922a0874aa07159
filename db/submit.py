"""Accepting documents as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import Cursor
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db import dispatch
from docmill.errors import IdempotencyConflict, SubmitRefused

__all__ = [
    "Indexing",
    "Submission",
    "check_answerable",
    "index_again",
    "submit",
    "submit_index",
    "submit_many",
]


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
    lane: Literal["interactive", "bulk", "batch"] = "bulk"
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
    lane: Literal["interactive", "bulk", "batch"] = "bulk"
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

    The same ``idem_key`` with the same content gives the same job; with another it raises SubmitRefused.
    """
    values = {**vars(submission), "params": json.dumps(dict(submission.params))}
    try:
        return int(connection.execute(SUBMIT, values).scalar_one())
    except IntegrityError as error:
        raise _refusal(error) from error


def check_answerable(connection: Connection, prompt: str, version: str) -> None:
    """Raises SubmitRefused where every worker says that it cannot ask the prompt's models."""
    why = (dispatch.unready(connection) or {}).get(f"{prompt}/{version}")
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
            copy.write_row(_row(submission))
            keyed.append(submission.idem_key is not None)
    try:
        by_key, others = (
            iter([int(job) for job in connection.execute(statement).scalars()])
            for statement in (SUBMIT_KEYED, SUBMIT_UNKEYED)
        )
    except IntegrityError as error:
        raise _refusal(error) from error
    connection.execute(text("drop table copied"))
    return [next(by_key if has_key else others) for has_key in keyed]


def _row(submission: Submission) -> list[Any]:
    values = {**vars(submission), "params": json.dumps(dict(submission.params))}
    return [values[name] for name in COLUMNS]


def _refusal(error: IntegrityError) -> SubmitRefused:
    diagnosis = error.orig.diag  # type: ignore[union-attr] # psycopg's
    if diagnosis.constraint_name == "jobs_lane_check":
        return SubmitRefused("the lane is interactive or bulk")
    message = ": ".join(filter(None, (diagnosis.message_primary, diagnosis.message_hint)))
    # Raised by docmill_submit_file itself, and so of no constraint.
    return SubmitRefused(message) if diagnosis.constraint_name else IdempotencyConflict(message)


def submit_index(connection: Connection, indexing: Indexing) -> int:
    """The id of the job that indexes the document, which is kept once the caller commits."""
    params = {"meta": dict(indexing.meta)} | ({"language": indexing.language} if indexing.language else {})
    values = {**vars(indexing), "params": json.dumps(params)}
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
