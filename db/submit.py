"""Accepting documents as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import Cursor
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db import dispatch
from docmill.errors import IdempotencyConflict, SubmitRefused

__all__ = ["Submission", "check_answerable", "submit", "submit_many"]


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


# One home for what a submit is: the same function, called for each row of what was copied in.
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
SUBMIT_COPIED = text(
    f"select docmill_submit_file({', '.join(COLUMNS)}::jsonb) as id from (select * from copied order by at) c"
)


def submit_many(connection: Connection, submissions: Iterable[Submission]) -> list[int]:
    """The ids of the jobs, in order: thousands a second, by COPY. All of them are kept once the caller commits.

    Raises SubmitRefused, as :func:`submit` does, and then none is kept.
    """
    connection.execute(text(COPIED))
    driver: Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment] # psycopg's, with its COPY
    with driver, driver.copy(COPY) as copy:
        copy.set_types(list(COLUMNS.values()))
        for submission in submissions:
            copy.write_row(_row(submission))
    try:
        jobs = [int(job) for job in connection.execute(SUBMIT_COPIED).scalars()]
    except IntegrityError as error:
        raise _refusal(error) from error
    connection.execute(text("drop table copied"))
    return jobs


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
