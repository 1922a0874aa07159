"""Submitting within an application's own database transaction, over the SQL function ``docmill_submit``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from docmill import bounds
from docmill.bounds import Deadline
from docmill.errors import DocmillError, IdempotencyConflict, Misconfigured, SubmitRefused
from docmill.storable import is_storable

__all__ = ["submit_in"]

ARGUMENTS = (
    *("prompt", "document", "name", "version", "tenant", "feature", "usr", "lane"),
    *("deadline_at", "idem_key", "params"),
)
TYPES = {"deadline_at": "timestamptz", "params": "jsonb", "body": "bytea"}
OF_A_FILE = "body", "media_type"
"""In the place of ``document``, for docmill_submit_file."""
UNIQUE_VIOLATION, UNDEFINED_FUNCTION, INVALID_VALUE = "23505", "42883", "22023"


def submit_in(
    connection: Any,
    document: str | bytes,
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
        "deadline_at": bounds.due_at(deadline),
        "idem_key": idempotency_key,
        "params": bounds.params_as_json({} if params is None else params),
    }
    _check(values)
    if isinstance(document, bytes):
        values |= {"body": document, "media_type": "application/octet-stream"}
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

        return int(connection.execute(text(_statement(":{0}", values)), values).scalar_one())
    with connection.cursor() as cursor:
        cursor.execute(_statement("%({0})s", values), values)
        return int(cursor.fetchone()[0])


def _statement(placeholder: str, values: Mapping[str, Any]) -> str:
    is_file = "body" in values
    names = [name for name in ARGUMENTS if name != "document"] + [*OF_A_FILE] if is_file else [*ARGUMENTS]
    given = ", ".join(f"{name} => {_cast(name, placeholder.format(name))}" for name in names)
    return f"select docmill_submit{'_file' if is_file else ''}({given})"


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


def _check(values: Mapping[str, Any]) -> None:
    """What docmill would refuse, told before it breaks the caller's transaction. Raises SubmitRefused."""
    document = values["document"]
    if not isinstance(document, str | bytes) or not document:
        raise SubmitRefused("document: a text, or a file's bytes, and not empty")
    if isinstance(document, str) and not is_storable(document):
        raise SubmitRefused("document: Postgres stores no NUL characters, and no half of a surrogate pair")
    bounds.check_document(len(document.encode() if isinstance(document, str) else document))
    bounds.check_submit(
        prompt=values["prompt"],
        tenant=values["tenant"],
        feature=values["feature"],
        user=values["usr"],
        lane=values["lane"],
        name=values["name"],
        version=values["version"],
        idempotency_key=values["idem_key"],
        deadline_at=values["deadline_at"],
    )


def _meaning(error: Exception) -> DocmillError | None:
    """What a driver's error says of the submit; drivers are wrapped by SQLAlchemy and by Django."""
    wrapped = (error, getattr(error, "orig", None), error.__cause__)
    diagnosis = next((found for each in wrapped if (found := getattr(each, "diag", None))), None)
    state = getattr(diagnosis, "sqlstate", None)
    if state == UNIQUE_VIOLATION and not getattr(diagnosis, "constraint_name", None):
        return IdempotencyConflict(getattr(diagnosis, "message_primary", None) or "the idempotency key was used")
    if state == INVALID_VALUE:
        return SubmitRefused(_refusal(diagnosis))
    if state == UNDEFINED_FUNCTION:
        return Misconfigured(
            "this database has no docmill_submit: connect to the one that docmill uses, or run `docmill migrate`"
        )
    return None


def _refusal(diagnosis: Any) -> str:
    """What the function says of an argument, and what it takes."""
    told = (getattr(diagnosis, "message_primary", None), getattr(diagnosis, "message_hint", None))
    return ": ".join(filter(None, told)).removeprefix("docmill_submit: ")
