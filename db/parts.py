"""What the ledger has of the parts of a job's document: answers, open calls, calls in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from db.database import one_statement
from db.jobs import Job
from db.statements import statements_of
from docmill.storable import dump_json

__all__ = ["KnownPart", "Reply", "Standing", "note_cached", "reject", "rejected_reply", "replies", "standing"]

SQL, LEDGER = statements_of("parts"), statements_of("ledger")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What there is of a part."""

    part: int
    answered: bool
    open: bool
    doubts: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer about a part, word for word, and what it belongs to."""

    part: int
    words: str
    finish_reason: str
    input_hash: bytes
    content_hash: bytes | None
    model: str
    cost_usd: Decimal | None
    state: str


@dataclass(frozen=True, kw_only=True)
class KnownPart:
    """An answer about a part that a cache had."""

    part: int
    request: Mapping[str, Any]
    reply: Mapping[str, Any]
    input_hash: bytes
    content_hash: bytes
    model: str
    saved_usd: Decimal | None
    layer: str


@one_statement
def standing(connection: Connection, job: Job) -> dict[int, Standing]:
    """Returns what there is of each part that was asked for, by its number."""
    found = SQL["standing"].rows(connection, {"job": job.id, "attempt": job.attempt}, of=Standing)
    return {each.part: each for each in found}


@one_statement
def replies(connection: Connection, job: Job, parts: Sequence[int]) -> list[Reply]:
    """The answers to these parts, as far as there are some that were not rejected."""
    return SQL["replies"].rows(connection, {"job": job.id, "parts": list(parts)}, of=Reply)


@one_statement
def rejected_reply(connection: Connection, job: Job, part: int) -> str | None:
    """Returns what the model said of a part, for its correction."""
    said: str | None = SQL["rejected_reply"].scalar(connection, {"job": job.id, "part": part})
    return said


def reject(connection: Connection, job: Job, parts: Sequence[int]) -> None:
    """Notes that what these parts' answers did cost was spent for nothing: they are asked in another way."""
    SQL["reject"].count(connection, {"job": job.id, "parts": list(parts)})


@one_statement
def note_cached(connection: Connection, job: Job, known: KnownPart) -> None:
    """Writes a call about a part that was not made, with its answer; nothing for a stale message."""
    kept = {"request": dump_json(known.request), "reply": dump_json(known.reply)}
    LEDGER["note_cached"].count(connection, {**vars(known), **kept, **job.fence, "jobs": [job.id]})
