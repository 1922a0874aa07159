"""One request to docmill's HTTP API: how it is written, when it is sent again, and what its answer means."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from docmill import bounds
from docmill.bounds import Deadline
from docmill.errors import (
    DocmillError,
    IdempotencyConflict,
    JobNotFit,
    JobUnknown,
    Misconfigured,
    RunUnknown,
    ServiceAway,
    SubmitRefused,
    WebhookUnknown,
)
from docmill.storable import is_storable

__all__ = [
    "Document",
    "Outcome",
    "address_of",
    "answer_of",
    "away",
    "fields_of",
    "headers_of",
    "lines_answered",
    "may_repeat",
    "pause_s",
    "request_of",
    "retry_of",
]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
AGAIN = frozenset({429, 502, 503, 504})
KEY = re.compile("[!-~]([ -~]{0,198}[!-~])?")
NEVER_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Document = str | bytes | Path
"""A text, a file's content, or a file."""
Outcome = httpx.Response | httpx.TransportError
"""What became of a request."""


def may_repeat(outcome: Outcome, *, once: bool) -> bool:
    """Whether a request may be sent again."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in AGAIN and not once
    return not once or isinstance(outcome, NEVER_ARRIVED)


def pause_s(number: int, outcome: Outcome | None = None) -> float:
    """Longer with every try, spread so that many clients do not come back at once, and as long as was told."""
    pause = FIRST_PAUSE_S * 2.0 ** (number - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    told = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
    return min(max(pause, float(told) if told.isdigit() else 0.0), LONGEST_PAUSE_S)


def address_of(url: str) -> str:
    """Raises Misconfigured for what is no address of a web server."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise Misconfigured(f"{url!r} is no address: it looks like http://127.0.0.1:8080") from error
    if parts.scheme not in ("http", "https") or not parts.host:
        raise Misconfigured(f"{url!r} is no address: it looks like http://127.0.0.1:8080")
    return url


def headers_of(key: str | None) -> dict[str, str]:
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise Misconfigured("the key holds what no key has, as the end of a line: `docmill keys add` makes keys")
    return {"authorization": f"Bearer {key}"}


def fields_of(  # noqa: PLR0917 - handed on in the order of submit
    prompt: str,
    version: str | None,
    feature: str | None,
    user: str | None,
    lane: str,
    deadline: Deadline,
    params: Mapping[str, Any] | None,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a submit says, as JSON has it. Raises SubmitRefused, as the server would."""
    bounds.check_submit(
        name=name,
        prompt=prompt,
        tenant="",
        feature="" if feature is None else feature,
        user="" if user is None else user,
        lane=lane,
        version=version,
        deadline_at=bounds.due_at(deadline),
    )
    if isinstance(deadline, timedelta):
        deadline = deadline.total_seconds()
    fields = {
        "prompt": prompt,
        "version": version,
        "feature": feature,
        "user": user,
        "lane": lane,
        "deadline": deadline.isoformat() if isinstance(deadline, datetime) else deadline,
        "params": None if params is None else json.loads(bounds.params_as_json(params)),
        "name": name,
        "metadata": None if metadata is None else json.loads(bounds.metadata_as_json(metadata)),
    }
    return {name: value for name, value in fields.items() if value is not None}


def request_of(
    document: Document | None, fields: dict[str, Any], idempotency_key: str | None, url: str | None = None
) -> dict[str, Any]:
    """The request's body and headers. Without a key of the caller's, one that makes our own tries one job.

    Raises SubmitRefused, also for a document beside a ``url``; OSError for a file that cannot be read.
    """
    if (document is None) == (url is None):
        raise SubmitRefused("document: give one, or its url, and not both")
    headers = {"idempotency-key": str(uuid4()) if idempotency_key is None else _key(idempotency_key)}
    if document is None:
        return {"json": {**fields, "document_url": url}, "headers": headers}
    if isinstance(document, str):
        if not is_storable(document):
            raise SubmitRefused("document: it has NUL characters, or halves of surrogate pairs")
        return {"json": {**fields, "document": document}, "headers": headers}
    name = document.name if isinstance(document, Path) else "document"
    if isinstance(document, Path):
        fields = {"name": bounds.file_path(str(document)), **fields}
    content = document.read_bytes() if isinstance(document, Path) else document
    form = {key: json.dumps(value) if isinstance(value, dict) else str(value) for key, value in fields.items()}
    return {"data": form, "files": {"file": (name, content)}, "headers": headers}


def retry_of(fresh: bool, idempotency_key: str | None) -> dict[str, Any]:
    """A retry's query and headers, and whether it may be sent ``once`` only: a key makes one new job."""
    if not fresh:
        return {"params": {"fresh": False}, "once": True}
    key = str(uuid4()) if idempotency_key is None else _key(idempotency_key)
    return {"params": {"fresh": True}, "headers": {"idempotency-key": key}}


def _key(said: object) -> str:
    if not isinstance(said, str) or not KEY.fullmatch(said):
        raise SubmitRefused("idempotency_key: 1 to 200 printable characters of ASCII, without spaces at its ends")
    return said


def answer_of(outcome: Outcome) -> dict[str, Any]:
    """The answer's JSON. Raises what went wrong, in the server's words."""
    if isinstance(outcome, httpx.TransportError):
        raise away(outcome) from outcome
    if outcome.status_code == httpx.codes.NO_CONTENT:
        return {}
    try:
        found = outcome.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        found = {"detail": f"{outcome.request.url} answered {outcome.status_code}, but not as docmill does"}
    elif outcome.is_success:
        return found
    raise _error(outcome.status_code, str(found.get("detail")), outcome.request.url.path)


def lines_answered(outcome: Outcome) -> list[Any]:
    """The answer's JSON lines. Raises what went wrong, as :func:`answer_of` does."""
    if isinstance(outcome, httpx.Response) and outcome.is_success:
        return [json.loads(line) for line in outcome.iter_lines() if line]
    return [answer_of(outcome)]


def _error(status: int, detail: str, path: str) -> DocmillError:
    submitting = path.endswith(("/jobs", "/webhooks"))
    job = next((int(part) for part in path.split("/") if part.isdigit()), None)
    match status:
        case 401:
            return Misconfigured(detail)
        case 404 if job is not None:
            return _unknown(path, job)
        case 409:
            return IdempotencyConflict(detail) if submitting else JobNotFit(detail)
        case 400 | 413 | 415 | 422 if submitting:
            return SubmitRefused(detail)
        case _ if status in AGAIN:
            return ServiceAway(detail)
        case _:
            return DocmillError(detail)


def _unknown(path: str, number: int) -> DocmillError:
    """By the first number of its path."""
    if "/webhooks/" in path:
        return WebhookUnknown(number)
    return RunUnknown(number) if "/runs/" in path else JobUnknown(number)


def away(error: httpx.TransportError) -> ServiceAway:
    return ServiceAway(f"docmill does not answer at {error.request.url} ({type(error).__name__}): is it up?")
