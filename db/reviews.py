"""Answers that wait for a person: a queue in which nobody gets what somebody else has, and what was decided.

A claim is good for five minutes at one desk (a browser, or a key), and is given back or runs out. A decision
writes the result's next revision with its author; nothing that was there is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection

from db import transitions
from db.jobs import Document
from db.statements import statements_of
from db.stored import as_json
from docmill.errors import Failure, JobNotFit, JobUnknown
from docmill.parsing.evidence import Evidence
from docmill.reading.values import Reading

__all__ = [
    "Clerk",
    "Decided",
    "Decision",
    "Kind",
    "Narrowed",
    "Subject",
    "Waiting",
    "claim",
    "claim_next",
    "decide",
    "decided_by",
    "decided_lately",
    "queue",
    "release",
    "subject_of",
    "undo",
]

SQL = statements_of("reviews")

CLAIM_S = 300.0
UNDO_S = 900.0
"""So long a desk may take its latest decision back."""
TRIES = 5

Kind: TypeAlias = Literal["accept", "correct", "reject"]


@dataclass(frozen=True, kw_only=True)
class Clerk:
    """Who decides, and where."""

    name: str
    """The author of the decisions."""
    desk: str
    """A browser, or a key: one of them has one answer at a time."""


@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """Of which answers somebody wants to see; None is all."""

    prompt: str | None = None
    feature: str | None = None
    order: Literal["dearest"] | None = None
    """Those first for which most was paid; None is the oldest first."""


@dataclass(frozen=True, kw_only=True)
class Lately:
    """A decision of the last hours."""

    job_id: int
    name: str | None
    prompt: str | None
    decision: Kind
    decided_at: datetime
    seconds: float | None
    note: str
    undone_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """An answer in the queue."""

    id: int
    name: str | None
    prompt: str | None
    version: str | None
    feature: str
    usr: str
    since: datetime
    failure: Any
    """Why it is doubted."""
    deadline_at: datetime | None
    claimed_by: str | None
    claimed_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is decided about: the latest revision of a job's answer, and the text that it must stand in."""

    id: int
    state: str
    epoch: int
    prompt: str | None
    version: str | None
    failure: Any
    flight_key: bytes | None
    document_id: int | None
    text: str | None
    pages: Any
    layout: Any
    media_type: str | None
    value: Any
    evidence: Any
    revision: int

    @property
    def reading(self) -> Reading:
        """What was read of its document; nothing where that was deleted."""
        pages = [each for each in self.pages if isinstance(each, int)] if isinstance(self.pages, list) else []
        return Document(
            id=self.document_id or 0,
            name=None,
            media_type=self.media_type or "text/plain",
            body=None,
            text=self.text,
            pages=pages,
            layout=self.layout,
        ).reading


@dataclass(frozen=True, kw_only=True)
class InReview:
    """How a job was found that somebody wanted to decide about."""

    subject: Subject
    claimed_by: str | None
    """Somebody at another desk."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a clerk says of an answer."""

    kind: Kind
    value: Any = None
    """Of ``accept`` and ``correct``: the answer from now on, checked."""
    evidence: Evidence | None = None
    overruled: Sequence[str] = ()
    """Each check, as ``path: sentence``, of which the clerk says that it was a false alarm."""
    changed: Sequence[str] = ()
    """Paths of the values that were corrected."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What a decision came to."""

    job_id: int
    state: Literal["done", "failed"]
    revision: int | None
    flight_key: bytes | None
    """Of the job's work: what is remembered for it may be wrong."""


def queue(
    connection: Connection,
    tenant: str,
    narrowed: Narrowed = Narrowed(),
    *,
    after: int | None = None,
    limit: int = 50,
) -> list[Waiting]:
    """The answers that wait, in the order that is wanted; from behind a job on, where one is named."""
    values = {"tenant": tenant, "after_id": after, "limit": limit, **vars(narrowed)}
    return SQL[narrowed.order or "queue"].rows(connection, values, of=Waiting)


def claim_next(
    connection: Connection,
    tenant: str,
    clerk: Clerk,
    narrowed: Narrowed = Narrowed(),
    *,
    after: int | None = None,
) -> int | None:
    """Claims the next answer for the clerk's desk: what it has already, else the oldest that nobody has.

    Behind ``after`` first, then from the beginning. None where nothing waits that is free.
    """
    values = {"tenant": tenant, **vars(clerk), **vars(narrowed)}
    following = SQL["next_dearest" if narrowed.order else "next"]
    if after is None:
        kept = SQL["at_desk"].scalar(connection, values)
        if kept is not None and claim(connection, tenant, kept, clerk):
            return int(kept)
    for place in (after, None) if after is not None else (None,):
        for _ in range(TRIES):  # somebody may have claimed it since it was looked for
            found = following.scalar(connection, {**values, "after_id": place})
            if found is None:
                break
            if claim(connection, tenant, found, clerk):
                return int(found)
    return None


def claim(connection: Connection, tenant: str, job_id: int, clerk: Clerk) -> bool:
    """Claims an answer, or makes a claim longer; False where another desk has it, or it is in review no more."""
    values = {"id": job_id, "tenant": tenant, **vars(clerk), "for_s": CLAIM_S}
    return SQL["claim"].first(connection, values) is not None


def release(connection: Connection, job_id: int, clerk: Clerk) -> None:
    """Gives a claimed answer back."""
    SQL["release"].count(connection, {"id": job_id, "desk": clerk.desk})


def subject_of(connection: Connection, tenant: str, job_id: int, clerk: Clerk) -> InReview:
    """Reads and locks what is decided about. Raises JobUnknown; JobNotFit where it is in review no more."""
    found = SQL["lock_job"].rows(connection, {"id": job_id, "tenant": tenant}, of=Subject)
    if not found:
        raise JobUnknown(job_id)
    if found[0].state != "needs_review":
        raise JobNotFit(f"job {job_id} is {found[0].state}: there is nothing to decide about it")
    other = SQL["claimant"].first(connection, {"id": job_id, "desk": clerk.desk})
    return InReview(subject=found[0], claimed_by=None if other is None else other.claimed_by)


def decide(connection: Connection, tenant: str, subject: Subject, clerk: Clerk, decision: Decision) -> Decided:
    """Writes a decision about a locked subject, and ends its job."""
    rejected = decision.kind == "reject"
    failure = Failure(kind="wrong", message=_rejection(clerk, decision)) if rejected else None
    state: Literal["done", "failed"] = "failed" if rejected else "done"
    epoch = transitions.decide(connection, subject.id, state, failure=failure)
    if epoch is None:
        raise JobNotFit(f"job {subject.id} is in review no more")
    revision = None
    if not rejected:
        revision = subject.revision + 1
        _add_revision(connection, subject.id, revision, decision.value, decision.evidence, author=clerk.name)
    said = {
        "decision": decision.kind,
        "note": decision.note,
        "overruled": as_json(list(decision.overruled)),
        "changed": as_json(list(decision.changed)),
        "doubt": as_json(subject.failure),
    }
    where = {"id": subject.id, "tenant": tenant, "author": clerk.name, "desk": clerk.desk}
    SQL["note_decision"].one(connection, {**where, **said, "revision": revision, "epoch": epoch})
    SQL["end_claim"].count(connection, {"id": subject.id})
    key = None if subject.flight_key is None else bytes(subject.flight_key)
    return Decided(job_id=subject.id, state=state, revision=revision, flight_key=key)


def _rejection(clerk: Clerk, decision: Decision) -> str:
    return f"rejected by {clerk.name}" + (f": {decision.note}" if decision.note else "")


def _add_revision(
    connection: Connection,
    job_id: int,
    revision: int,
    value: Any,
    evidence: Mapping[str, Any] | None,
    *,
    author: str,
) -> None:
    kept = {"value": as_json(value) or "null", "evidence": as_json(evidence), "author": author}
    SQL["add_revision"].count(connection, {"id": job_id, "revision": revision, **kept})


def undo(connection: Connection, tenant: str, clerk: Clerk) -> int | None:
    """Takes the desk's latest decision back: the job is in review again, with what it had, claimed by the desk.

    The revision stays, and what was before it comes after it. None where there is no decision to take back, or
    its job has moved since.
    """
    last = SQL["last_of_desk"].first(connection, {"tenant": tenant, "desk": clerk.desk, "for_s": UNDO_S})
    if last is None or not transitions.reopen(connection, last.job_id, last.epoch, last.doubt):
        return None
    if last.revision is not None:
        before = SQL["result_before"].first(connection, {"id": last.job_id, "revision": last.revision})
        value, evidence = (None, None) if before is None else (before.value, before.evidence)
        _add_revision(connection, last.job_id, last.revision + 1, value, evidence, author=clerk.name)
    SQL["note_undone"].count(connection, {"id": last.id})
    claim(connection, tenant, last.job_id, clerk)
    return int(last.job_id)


def decided_lately(connection: Connection, tenant: str, author: str) -> tuple[int, float]:
    """Returns how many decisions an author took in the last twelve hours, and in how many seconds."""
    row = SQL["decided_today"].one(connection, {"tenant": tenant, "author": author})
    return int(row.decisions), float(row.seconds)


def decided_by(connection: Connection, tenant: str, author: str, *, limit: int) -> list[Lately]:
    """An author's decisions of the last twelve hours, the latest first."""
    return SQL["decided_by"].rows(connection, {"tenant": tenant, "author": author, "limit": limit}, of=Lately)
