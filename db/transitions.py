"""A job's transitions: where, and nowhere else, a job's state changes.

Each is one statement of ``db/sql/transitions.sql``, fenced by (id, epoch, stage, still waiting): it changes
nothing where somebody was faster. ``wake_at`` is set by every transition to the time when somebody must look at
the job again, and never lies beyond its deadline. :data:`TRANSITIONS` says which statement leaves which positions,
and for which.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection

from db import jobs
from db.database import one_statement
from db.jobs import Document, Drive, Job, job_of, job_values
from db.stages import STAGES, Stage, stages_where
from db.statements import statements_of
from db.stored import as_json
from docmill.errors import Failure, JobNotFit, JobUnknown
from docmill.remedies import Purpose
from docmill.storable import dump_json

__all__ = [
    "ENDS",
    "MOST_LET_GO",
    "STATE_OF",
    "STAYS",
    "TRANSITIONS",
    "WAITS",
    "Move",
    "Position",
    "Wait",
    "advance",
    "advance_with_text",
    "cancel",
    "claim",
    "count_down",
    "decide",
    "end",
    "give_back",
    "hold",
    "keep_context",
    "keep_value",
    "leave",
    "let_go",
    "name_work",
    "next_slice",
    "note_failure",
    "pin",
    "release_crashed",
    "reopen",
    "retry",
    "set_apart",
    "start_drive",
    "store",
    "take_back",
    "wake_soon",
]

Wait: TypeAlias = Literal["unsent", "sent", "running", "countdown", "rate", "budget", "flight"]
End: TypeAlias = Literal["done", "needs_review", "failed", "cancelled"]
Position: TypeAlias = Wait | End
"""Where a job is within its stage: ``jobs.wait``, or ``jobs.state`` once it has ended."""

STATE_OF: Mapping[Wait, str] = {
    "unsent": "queued",
    "sent": "running",
    "running": "running",
    "countdown": "running",
    "rate": "held",
    "budget": "held",
    "flight": "held",
}
"""``jobs.state`` of a job that waits."""
WAITS: Sequence[Wait] = tuple(STATE_OF)
ENDS: Sequence[End] = ("done", "needs_review", "failed", "cancelled")

CALLING = stages_where(lambda rules: rules.calls)
CLAIMED = stages_where(lambda rules: rules.claimed)
REDRIVEN = stages_where(lambda rules: rules.redriven and not rules.claimed)


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What a statement does to a job's position and stage."""

    leaves: Sequence[Position]
    to: Sequence[Position]
    """One of these, as its values say where there are several."""
    at: Collection[Stage] = tuple(STAGES)
    """The stages at which it leaves them."""
    stage: Stage | Literal["same", "given"] = "same"
    """At which it goes on."""
    but: Mapping[Position, Collection[Stage]] = field(default_factory=dict)
    """Other stages at which it leaves some of the positions."""


TRANSITIONS: Mapping[str, Transition] = {
    # A stage's message arrives, and what the stage comes to.
    "claim": Transition(leaves=("sent", "countdown"), to=("running",)),
    "open_call": Transition(
        leaves=("sent", "countdown"), to=("running",)
    ),  # an embedding's also a claim of its own
    "lead_and_open": Transition(leaves=("sent", "countdown"), to=("running",), stage="complete"),
    "advance": Transition(leaves=WAITS, to=("sent",), stage="given"),
    "advance_with_text": Transition(leaves=WAITS, to=("sent",), stage="given"),
    "close_call": Transition(leaves=WAITS, to=("sent",), stage="given"),
    "drive": Transition(leaves=WAITS, to=("sent",), stage="given"),
    "count_down": Transition(leaves=WAITS, to=("countdown",)),
    "hold": Transition(leaves=WAITS, to=("rate", "budget")),
    "leave": Transition(leaves=WAITS, to=("rate",)),
    "lead_or_follow": Transition(leaves=("sent", "countdown"), to=("flight",)),
    "follow": Transition(leaves=WAITS, to=("flight",)),
    "release_crashed": Transition(leaves=WAITS, to=("unsent",)),
    "next_slice": Transition(leaves=WAITS, to=("unsent",)),
    "let_go": Transition(leaves=("running", "sent"), to=("unsent",)),
    "set_apart": Transition(leaves=WAITS, to=("unsent",)),
    "end": Transition(leaves=WAITS, to=ENDS),
    "store": Transition(leaves=WAITS, to=("done", "needs_review"), stage="store"),
    # A publisher.
    "start": Transition(leaves=("unsent",), to=("sent",)),
    "send_again": Transition(leaves=("sent",), to=("sent",)),
    "take_back": Transition(leaves=("sent",), to=("unsent",)),
    # The sweep.
    "drive_lost": Transition(leaves=("sent", "running", "countdown", "flight"), to=("sent",)),
    "fail_overdue": Transition(leaves=WAITS, to=("failed",)),
    "fail_poisoned": Transition(
        leaves=("sent", "running"), to=("failed",), at=REDRIVEN, but={"running": [*CLAIMED, *REDRIVEN]}
    ),
    "free_due": Transition(leaves=("rate",), to=("unsent",)),
    # What it waited for is there.
    "free_for_room": Transition(leaves=("rate",), to=("unsent",)),
    "free_for_budgets": Transition(leaves=("budget",), to=("unsent",)),
    "free_of_budget": Transition(leaves=("budget",), to=("unsent",)),
    "hand_over": Transition(leaves=("flight",), to=("unsent",), stage="store"),
    "fail_followers": Transition(leaves=("flight",), to=("failed",)),
    "free_follower": Transition(leaves=("flight",), to=("unsent",)),
    # A person.
    "cancel": Transition(leaves=WAITS, to=("cancelled",)),
    "decide": Transition(leaves=("needs_review",), to=("done", "failed")),
    "reopen": Transition(leaves=("done", "failed"), to=("needs_review",)),
    "retry": Transition(leaves=("failed",), to=("unsent",)),  # from complete, where that is given
}
"""By the name of the statement. What a statement leaves, it leaves for no other position."""
STAYS = (
    "note",
    "pin",
    "wake_soon",
    "wake_abandoned",
    "wake_released",
    "look_again_for_budgets",
    "spare_claims",
    "doubt_intents",
)
"""Statements that change a job's row, and leave it where it is."""

SQL = statements_of("transitions")

QUARANTINED_AT = 2  # and in db/sql/transitions.sql
"""Crashes of a stage, or one more redrive of a stage without a claim, before it runs apart from all others."""
MOST_CRASHES = 5
MOST_LET_GO = 3
"""Drives without progress, after which a claim that cannot be written is a crash: it may be what breaks the
server."""
MOST_REDRIVES = 10
LONGEST_S = 400 * 86_400.0
"""No budget's window is longer."""
HELD_S = 3600.0
"""So long a job is held that waits for an event, before it is looked at without one."""
SAME_ATTEMPT = frozenset({"poison", "internal", "budget", "deadline", "unreadable"})
"""Failures of circumstances: a retry uses the replies that are paid for, unless they were erased."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """Where a job stands, as it was seen, and where a drive takes it."""

    id: int
    epoch: int
    stage: Stage
    to: Stage
    cause: str
    next_attempt: bool = False
    purpose: Purpose | None = None
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """``flight``: the key of the flight that the job led, which is over; its followers are still to be told, if it
    is ``awaited``.
    """

    flight: bytes | None
    awaited: bool = False
    model: str | None = None
    cost_usd: Decimal | None = None
    """Of a leader: which model answered it, and what all its calls cost; None where a price is unknown."""


@one_statement
def claim(
    connection: Connection, job_id: int, epoch: int, stage: Stage, *, owner: str, lease_s: float
) -> Job | None:
    """Takes the stage for this worker; None for a second delivery."""
    values = {**job_values(job_id, epoch, stage), "owner": owner, "lease_s": lease_s}
    job = job_of(SQL["claim"].first(connection, values))
    return job and job.but(claimed=True)


@one_statement
def advance(
    connection: Connection,
    job: Job,
    to: Stage,
    *,
    message_s: float,
    version: str | None = None,
    content_hash: bytes | None = None,
    context: Mapping[str, Any] | None = None,
    value: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> bool:
    """Moves a job on whose stage is done, before the chain's next message is published; False for a stale one."""
    kept = {
        "version": version,
        "content_hash": content_hash,
        "context": as_json(context),
        "value": as_json(value),
        "model": model,
    }
    values = {**job.fence, "to": to, "message_s": message_s, **kept, "flushed": to == "parse"}
    return bool(SQL["advance"].count(connection, values))


@one_statement
def advance_with_text(
    connection: Connection,
    job: Job,
    to: Stage,
    *,
    message_s: float,
    version: str | None,
    content_hash: bytes | None,
    document: Document,
) -> bool:
    """As :func:`advance`, with its document as it was read."""
    pinned = {"version": version, "content_hash": content_hash, "document": job.document_id}
    values = {**job.fence, "to": to, "message_s": message_s, **pinned}
    read = {
        "words": document.text,
        "pages": document.pages,
        "media_type": document.media_type,
        "layout": document.layout,
        "warnings": dump_json(document.warnings),
        "scans": list(document.scans),
    }
    return bool(SQL["advance_with_text"].count(connection, {**values, **read}))


def pin(connection: Connection, job: Job, content_hash: bytes) -> bytes | None:
    """Pins the job to a content of its prompt, and returns to which it is pinned; None for a stale message."""
    found = SQL["pin"].first(connection, {**job.fence, "content_hash": content_hash})
    return None if found is None else bytes(found.content_hash)


def leave(connection: Connection, job: Job, *, missing: Mapping[str, Any], for_s: float, failure: Failure) -> bool:
    """Lets the job wait for a process that has its prompt's content; it counts as no crash of this one."""
    values = {**job.fence, "for_s": for_s, "missing": as_json(missing), "failure": _failure(failure)}
    return bool(SQL["leave"].count(connection, values))


def name_work(connection: Connection, job: Job, key: bytes) -> bool:
    """Notes the key of the job's work, at its first call; it stays through all attempts."""
    return _note(connection, job, key=key)


def note_failure(connection: Connection, job: Job, entry: Mapping[str, Any]) -> bool:
    """Adds a failed call and its remedy to the history; False for a stale message."""
    return _note(connection, job, entry=as_json([entry]))


def keep_value(connection: Connection, job: Job) -> bool:
    """Keeps what a rejected reply said, for a person who may have to look at it."""
    return _note(connection, job, value=as_json(job.value))


def keep_context(connection: Connection, job: Job, context: Mapping[str, Any]) -> bool:
    """Keeps what the job's next calls are about; False for a stale message."""
    return _note(connection, job, context=as_json(context))


def _note(
    connection: Connection,
    job: Job,
    *,
    entry: str | None = None,
    value: str | None = None,
    key: bytes | None = None,
    context: str | None = None,
) -> bool:
    kept = {"entry": entry, "value": value, "key": key, "context": context}
    return bool(SQL["note"].count(connection, {**job.fence, **kept}))


def count_down(
    connection: Connection, job: Job, *, countdown_s: float, next_attempt: bool = False, grace_s: float = 30.0
) -> bool:
    """Lets the same message come again after the countdown; it is taken for lost when a grace is over, too."""
    values = {**job.fence, "for_s": _within_reason(countdown_s) + grace_s, "attempts": int(next_attempt)}
    return bool(SQL["count_down"].count(connection, values))


@one_statement
def hold(
    connection: Connection,
    job: Job,
    wait: Literal["rate", "budget"],
    *,
    for_s: float | None = None,
    next_attempt: bool = False,
    held_for: str | None = None,
    budget: int | None = None,
    need_usd: Decimal | None = None,
    failure: Failure | None = None,
) -> bool:
    """Lets the job wait in Postgres, and not in the broker; ``for_s`` None is an hour, or an event before it.

    Such an event is room, or the release, of the model that ``held_for`` names; or room for ``need_usd`` in the
    ``budget`` of that series.
    """
    waits = {"wait": wait, "for_s": _within_reason(for_s), "attempts": int(next_attempt)}
    event = {"held_for": held_for, "budget": budget, "need_usd": need_usd, "failure": _failure(failure)}
    return bool(SQL["hold"].count(connection, {**job.fence, **waits, **event}))


def _within_reason(for_s: float | None) -> float:
    """A time that may be added to a clock; of one that makes no sense, as of none, it is looked at in an hour."""
    sensible = for_s is not None and math.isfinite(for_s) and for_s <= LONGEST_S
    return max(0.0, for_s) if sensible and for_s is not None else HELD_S


def end(connection: Connection, job: Job, state: End, *, failure: Failure | None = None, detail: str = "") -> bool:
    """Ends the job; False for a stale message. Whoever ends a job tells its flight (:mod:`db.flights`)."""
    values = {**job.fence, "state": state, "failure": _failure(failure, detail)}
    return bool(SQL["end"].count(connection, values))


@one_statement
def store(
    connection: Connection,
    job: Job,
    state: Literal["done", "needs_review"],
    *,
    failure: Failure | None,
    alone: bool = False,
) -> Stored | None:
    """Ends the job with its value as the result's next revision, where it has one; None for a stale message.

    None, too, where it is to be ``alone`` and others wait for its answer: they are told in the same transaction.
    """
    value = job.value or {}
    found = {"value": as_json(value.get("answer")), "evidence": as_json(value.get("evidence"))}
    kept = as_json(job.value) if job.stage != "store" else None
    values = {**job.fence, "state": state, "failure": _failure(failure), **found, "kept": kept, "alone": alone}
    row = SQL["store"].one(connection, {**values, "job": job.id})
    if not row.ended:
        return None
    flight = None if row.key is None else bytes(row.key)
    return Stored(flight=flight, awaited=row.awaited, model=row.model, cost_usd=row.usd)


def cancel(connection: Connection, job_id: int) -> None:
    """Ends the job, so that no further call starts. Raises JobUnknown, JobNotFit."""
    found = SQL["cancel"].first(connection, {"id": job_id})
    if found is None:
        raise JobUnknown(job_id)
    if not found.ended:
        raise JobNotFit(f"job {job_id} is {found.state} already: there is nothing to cancel")


def decide(
    connection: Connection, job_id: int, state: Literal["done", "failed"], *, failure: Failure | None = None
) -> int | None:
    """Ends a job in review as a person decided; its epoch from then on, or None where it is in review no more."""
    row = SQL["decide"].first(connection, {"id": job_id, "state": state, "failure": _failure(failure)})
    return None if row is None else int(row.epoch)


def reopen(connection: Connection, job_id: int, epoch: int, doubt: Mapping[str, Any] | None) -> bool:
    """Puts a decided job back into review, with the doubt that it had; False where it has moved since."""
    return bool(SQL["reopen"].count(connection, {"id": job_id, "epoch": epoch, "failure": as_json(doubt)}))


def retry(connection: Connection, job_id: int, *, deadline_at: datetime | None = None) -> None:
    """Lets a failed job wait to be started again, with its history empty.

    Raises JobUnknown; JobNotFit for a job that has not failed, or whose deadline passed without a new one.
    """
    found = jobs.SQL["retried"].first(connection, {"id": job_id})
    if found is None:
        raise JobUnknown(job_id)
    _check_retried(job_id, found, deadline_at)
    # An index job has no attempts: the vectors it has are kept, and it goes on where it failed.
    early = found.stage in ("validate", "ocr", "context") or found.chain == "index"
    same = found.chain == "index" or ((found.kind in SAME_ATTEMPT or early) and not found.erased)
    values = {"id": job_id, "deadline_at": deadline_at, "attempts": int(not same)}
    SQL["retry"].count(connection, {**values, "from_complete": not (same or early)})


def _check_retried(job_id: int, found: Any, deadline_at: datetime | None) -> None:
    if found.state != "failed":
        raise JobNotFit(
            f"job {job_id} is {found.state}, and only failed jobs are retried: "
            f"--fresh makes a new job of it, which pays again"
            if found.state in ENDS
            else f"job {job_id} is {found.state}: it is on its way"
        )
    if found.overdue and deadline_at is None:
        raise JobNotFit(f"the deadline of job {job_id} has passed: give it a new one with --deadline")


def release_crashed(connection: Connection, job: Job, error: str) -> bool:
    """Ends a claim whose task an exception left: a crash. After the last one the job has failed."""
    if job.crashes + 1 >= MOST_CRASHES:
        return end(connection, job, "failed", failure=Failure(kind="poison", message=_poisoned(job.stage, error)))
    return bool(SQL["release_crashed"].count(connection, job.fence))


@one_statement
def next_slice(connection: Connection, job: Job) -> bool:
    """Ends a claim of a stage that goes on later, once others had their turn."""
    return bool(SQL["next_slice"].count(connection, job.fence))


@one_statement
def let_go(connection: Connection, job: Job, *, owner: str) -> bool:
    """Lets go of what this process has claimed, or has in hand: another finds out; it counts as no crash.

    False where it was written after all, or is another's by now.
    """
    return bool(SQL["let_go"].count(connection, {**job.fence, "owner": owner}))


@one_statement
def set_apart(connection: Connection, job: Job) -> bool:
    """Ends a claim that held up others; the next one is in quarantine. It counts as the crashes that it spares."""
    return bool(SQL["set_apart"].count(connection, job.fence))


def _poisoned(stage: str, error: str) -> str:
    return (
        f"{stage} broke {MOST_CRASHES} times, alone in quarantine at last ({error}): "
        f"look at the document and at the prompt's output.py, then `docmill retry`"
    )


def wake_soon(connection: Connection, job_id: int, epoch: int, stage: Stage) -> bool:
    """Has the sweep drive a stage without a claim that broke, in a few seconds, later each time."""
    return bool(SQL["wake_soon"].count(connection, {"id": job_id, "epoch": epoch, "stage": stage}))


def start_drive(connection: Connection, move: Move, *, message_s: float) -> Drive | None:
    """Takes the job to a stage under a new epoch; None where somebody was faster. Commit, then publish."""
    values = {**vars(move), "attempts": int(move.next_attempt), "message_s": message_s}
    started = SQL["drive"].rows(connection, values, of=Drive)
    return started[0] if started else None


@one_statement
def take_back(connection: Connection, drives: Sequence[Drive]) -> None:
    """Lets what may not have been published wait in Postgres again, where nothing else has happened since."""
    _take_back(connection, [(drive.id, drive.epoch, drive.stage) for drive in drives])


@one_statement
def give_back(connection: Connection, job_id: int, epoch: int, stage: Stage) -> bool:
    """Lets a job wait in Postgres again whose message came and found that it is another's turn."""
    return bool(_take_back(connection, [(job_id, epoch, stage)]))


def _take_back(connection: Connection, sent: Sequence[tuple[int, int, Stage]]) -> int:
    ids, epochs, stages = (list(column) for column in zip(*sent, strict=True)) if sent else ([], [], [])
    return SQL["take_back"].count(connection, {"ids": ids, "epochs": epochs, "stages": stages})


def _failure(failure: Failure | None, detail: str = "") -> str | None:
    """A failure as ``jobs.failure`` keeps it."""
    if failure is None:
        return None
    optional = {"detail": detail or None, "status": failure.status}
    kept = {"kind": failure.kind, "message": failure.message}
    return as_json(kept | {name: value for name, value in optional.items() if value is not None})
