"""What a submit may say, whichever way it comes: over HTTP, by SQL, from the client, from the command.

The SQL function ``docmill_submit`` keeps the same rules by itself, for callers in any language.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from docmill.errors import SubmitRefused
from docmill.storable import is_storable
from docmill.visible import harmless

__all__ = [
    "LANES",
    "LONGEST_DEADLINE_S",
    "LONGEST_TEXT",
    "MOST_BYTES",
    "MOST_METADATA",
    "Deadline",
    "check_document",
    "check_submit",
    "check_text",
    "due_at",
    "file_path",
    "metadata_as_json",
    "params_as_json",
]

Deadline = float | timedelta | datetime | None
"""Seconds or a span from now, or a time; one without a time zone is in UTC."""
LANES = ("interactive", "bulk")
MOST_BYTES = 50 * 2**20
"""Of a document."""
LONGEST_TEXT = 200
"""Characters of a name, a feature, a user, an idempotency key."""
LONGEST_PATH = 4096
MOST_PARAMS_BYTES = 100_000
MOST_PARAMS_DEPTH = 20
LARGEST_NUMBER = 1e308
"""Whatever reads it later can hold it."""
LONGEST_DEADLINE_S = 100 * 366 * 86_400
MOST_METADATA = 16
"""Entries."""
LONGEST_METADATA = 500
"""Characters of an entry's text; its name is as long as any."""
CONTROL = re.compile("[\x00-\x1f\x7f]")
LONGEST_PAST_S = 86_400
"""A deadline that has passed is taken, and its job fails; one from further back is a mistake."""


def check_submit(
    *,
    prompt: object,
    tenant: object,
    feature: object,
    user: object,
    lane: object,
    name: object = None,
    version: object = None,
    idempotency_key: object = None,
    deadline_at: datetime | None = None,
) -> None:
    """Checks what a submit says but its document and params. Raises SubmitRefused, which names the argument."""
    if lane not in LANES:
        raise SubmitRefused(f"lane: {' or '.join(LANES)}")
    check_text("prompt", prompt, empty=False)
    for field, text in (("tenant", tenant), ("feature", feature), ("user", user)):
        check_text(field, text)
    if name is not None:
        check_text("name", name, longest=LONGEST_PATH)
    if version is not None:
        check_text("version", version)
    if idempotency_key is not None:
        check_text("idempotency_key", idempotency_key, empty=False)
    check_deadline(deadline_at)


def check_text(field: str, text: object, *, longest: int = LONGEST_TEXT, empty: bool = True) -> None:
    """Checks that a text has a place in a column, and in one line. Raises SubmitRefused."""
    if not isinstance(text, str):
        raise SubmitRefused(f"{field}: a text")
    if not text and not empty:
        raise SubmitRefused(f"{field}: a text that is not empty")
    if len(text) > longest:
        raise SubmitRefused(f"{field}: at most {longest} characters, and it has {len(text)}")
    if CONTROL.search(text) or not is_storable(text):
        raise SubmitRefused(f"{field}: no control characters, and no halves of surrogate pairs")


def file_path(said: str | None) -> str | None:
    """A path as it was given, as far as it can be shown and stored: answers are joined with files by it."""
    return harmless(said or "")[-LONGEST_PATH:] or None


def check_document(size: int) -> None:
    """Checks a document's ``size`` in bytes. Raises SubmitRefused."""
    if size > MOST_BYTES:
        raise SubmitRefused(f"document: at most {MOST_BYTES // 2**20} MB are taken: split it")


def check_deadline(at: datetime | None) -> None:
    """Raises SubmitRefused for a time that nobody means."""
    if at is None:
        return
    try:
        ahead_s = (at.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except OverflowError:
        ahead_s = math.inf
    if not -LONGEST_PAST_S <= ahead_s <= LONGEST_DEADLINE_S:
        raise SubmitRefused("deadline: a time within a hundred years from now, and not long past")


def due_at(deadline: Deadline) -> datetime | None:
    """Reads a deadline as a time in UTC; None for none. Raises SubmitRefused for one that nobody means."""
    if deadline is None:
        return None
    if isinstance(deadline, datetime):
        at = deadline if deadline.tzinfo else deadline.replace(tzinfo=UTC)
        check_deadline(at)
        return at.astimezone(UTC)
    span_s = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
    if not isinstance(span_s, int | float) or not 0 <= span_s <= LONGEST_DEADLINE_S:  # NaN is not
        raise SubmitRefused("deadline: seconds from now, at least 0 and at most a hundred years")
    return datetime.now(UTC) + timedelta(seconds=span_s)


def params_as_json(params: object, *, field: str = "params") -> str:
    """Parameters as JSON: an object, not deep and not large. Raises SubmitRefused, which quotes no value."""
    if not isinstance(params, Mapping):
        raise SubmitRefused(f'{field}: an object of JSON, as {{"currency": "EUR"}}')
    written = json.dumps(_checked(params, field, 1), ensure_ascii=False)
    if len(written.encode()) > MOST_PARAMS_BYTES:
        raise SubmitRefused(f"{field}: at most {MOST_PARAMS_BYTES // 1000} KB of JSON")
    return written


def metadata_as_json(metadata: object) -> str:
    """Returns what an application says of its own job, as JSON: texts by their names. Raises SubmitRefused."""
    if not isinstance(metadata, Mapping) or len(metadata) > MOST_METADATA:
        raise SubmitRefused(f'metadata: an object of at most {MOST_METADATA} texts, as {{"order": "17"}}')
    for name, said in metadata.items():
        check_text("metadata", name, empty=False)
        check_text(f"metadata.{name}", said, longest=LONGEST_METADATA)
    return json.dumps(dict(metadata), ensure_ascii=False)


def _checked(value: Any, field: str, depth: int) -> Any:
    """The value, of plain lists and dictionaries."""
    if isinstance(value, Mapping | list | tuple) and depth > MOST_PARAMS_DEPTH:
        raise SubmitRefused(f"{field}: nested at most {MOST_PARAMS_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {_member(name, field): _checked(each, field, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(each, field, depth + 1) for each in value]
    return _scalar(value, field)


def _member(name: object, field: str) -> str:
    if not isinstance(name, str):
        raise SubmitRefused(f"{field}: names of members are texts, and one is of type {type(name).__name__}")
    return str(_scalar(name, field))


def _scalar(value: Any, field: str) -> Any:
    if isinstance(value, str):
        if not is_storable(value):
            raise SubmitRefused(f"{field}: no NUL characters, and no halves of surrogate pairs")
    elif isinstance(value, int | float):
        if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:  # NaN is not
            raise SubmitRefused(f"{field}: finite numbers, of at most 308 digits")
    elif value is not None:
        raise SubmitRefused(f"{field}: JSON has no {type(value).__name__}: write it as a text")
    return value
