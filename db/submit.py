"""Accepting documents as jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db import dispatch
from docmill.errors import IdempotencyConflict, SubmitRefused

__all__ = ["Submission", "check_answerable", "submit"]


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


def _refusal(error: IntegrityError) -> SubmitRefused:
    diagnosis = error.orig.diag  # type: ignore[union-attr] # psycopg's
    if diagnosis.constraint_name == "jobs_lane_check":
        return SubmitRefused("the lane is interactive or bulk")
    message = ": ".join(filter(None, (diagnosis.message_primary, diagnosis.message_hint)))
    # Raised by docmill_submit_file itself, and so of no constraint.
    return SubmitRefused(message) if diagnosis.constraint_name else IdempotencyConflict(message)
