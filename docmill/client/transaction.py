"""Submitting within an application's own database transaction, over the SQL function ``docmill_submit``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from docmill.errors import DocmillError, IdempotencyConflict, Misconfigured, SubmitRefused
from docmill.storable import is_storable_json

__all__ = ["Deadline", "submit_in"]

Deadline = float | timedelta | datetime | None
"""Seconds or a span from now, or a time; one without a time zone is in UTC."""

ARGUMENTS = (
    *("prompt", "document", "name", "version", "tenant", "feature", "usr", "lane"),
    *("deadline_at", "idem_key", "params"),
)
TYPES = {"deadline_at": "timestamptz", "params": "jsonb"}
LANES = ("interactive", "bulk")
UNIQUE_VIOLATION, UNDEFINED_FUNCTION = "23505", "42883"


def submit_in(
    connection: Any,
    document: str,
    *,
    prompt: str,
    name: str | None = None,
    version: str | None = None,
    tenant: str = "default",
    feature: str | None = None,
    user: str | None = None,
    lane: str = "bulk",
    deadline: Deadline = None,
    params: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> int:
    """The id of a job that exists if and only if the caller's transaction commits.

    ``connection`` is one of psycopg or Django, or a connection or session of SQLAlchemy, to the database that
    docmill uses. The answer is read over HTTP. Raises SubmitRefused before the database is asked, or
    IdempotencyConflict where the key was used for another submit: then the transaction can only be rolled back.
    An unknown prompt is found by the workers: the job fails.
    """
    _refuse_asynchronous(connection)
    values = {
        "prompt": prompt,
        "document": document,
        "name": name,
        "version": version,
        "tenant": tenant,
        "feature": feature or "default",
        "usr": user or "",
        "lane": lane,
        "deadline_at": _due_at(deadline),
        "idem_key": idempotency_key,
        "params": json.dumps(dict(params or {})),
    }
    _refuse_unstorable(values, dict(params or {}))
    try:
        return _called(connection, values)
    except Exception as error:  # whichever driver it is: those that say something of the submit are told as that
        told = _meaning(error)
        if told is None:
            raise
        raise told from error


def _called(connection: Any, values: Mapping[str, Any]) -> int:
    if _is_of("sqlalchemy", connection):
        from sqlalchemy import text  # the caller's own

        return int(connection.execute(text(_statement(":{0}")), values).scalar_one())
    with connection.cursor() as cursor:
        cursor.execute(_statement("%({0})s"), values)
        return int(cursor.fetchone()[0])


def _statement(placeholder: str) -> str:
    given = ", ".join(f"{name} => {_cast(name, placeholder.format(name))}" for name in ARGUMENTS)
    return f"select docmill_submit({given})"


def _cast(name: str, value: str) -> str:
    return f"cast({value} as {TYPES.get(name, 'text')})"


def _is_of(library: str, connection: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == library for kind in type(connection).__mro__)


def _refuse_asynchronous(connection: Any) -> None:
    if inspect.iscoroutinefunction(getattr(connection, "commit", None)):
        raise TypeError(
            "submit_in takes a synchronous connection; with SQLAlchemy's asyncio: "
            "await session.run_sync(lambda s: submit_in(s, …))"
        )


def _refuse_unstorable(values: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """What Postgres would refuse, told before it breaks the caller's transaction. Raises SubmitRefused."""
    if not isinstance(values["document"], str) or not values["document"]:
        raise SubmitRefused("document: a text that is not empty; a file goes over HTTP, as docmill.submit(path)")
    if values["lane"] not in LANES:
        raise SubmitRefused(f"lane: {' or '.join(LANES)}")
    for name, value in {**values, "params": params}.items():
        if not is_storable_json(value):
            raise SubmitRefused(f"{name}: Postgres stores no NUL characters, and no half of a surrogate pair")


def _due_at(deadline: Deadline) -> datetime | None:
    if isinstance(deadline, datetime):
        return deadline if deadline.tzinfo else deadline.replace(tzinfo=UTC)
    if deadline is None:
        return None
    span = deadline if isinstance(deadline, timedelta) else timedelta(seconds=deadline)
    return datetime.now(UTC) + span


def _meaning(error: Exception) -> DocmillError | None:
    """What a driver's error says of the submit; drivers are wrapped by SQLAlchemy and by Django."""
    wrapped = (error, getattr(error, "orig", None), error.__cause__)
    diagnosis = next((found for each in wrapped if (found := getattr(each, "diag", None))), None)
    state = getattr(diagnosis, "sqlstate", None)
    if state == UNIQUE_VIOLATION and not getattr(diagnosis, "constraint_name", None):
        return IdempotencyConflict(getattr(diagnosis, "message_primary", None) or "the idempotency key was used")
    if state == UNDEFINED_FUNCTION:
        return Misconfigured(
            "this database has no docmill_submit: connect to the one that docmill uses, or run `docmill migrate`"
        )
    return None
