"""A job's transitions. Each is one statement, fenced: it changes nothing where somebody was faster.

The fence is (id, epoch, stage, still waiting). ``wake_at`` is set by every transition to the time when somebody
must look at the job again, and never lies beyond its deadline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, text

from db.statements import Statement, statement
from docmill.errors import Failure, JobNotFit, JobUnknown
from docmill.remedies import Purpose

__all__ = [
    "CHAINS",
    "CLAIMED",
    "STAGES",
    "Answer",
    "Chain",
    "Document",
    "Drive",
    "End",
    "Job",
    "Move",
    "Stage",
    "advance",
    "advance_with_text",
    "answer_from",
    "as_json",
    "cancel",
    "claim",
    "count_down",
    "end",
    "hold",
    "keep_value",
    "load",
    "name_work",
    "note_failure",
    "release_crashed",
    "start_drive",
    "take_back",
    "told",
    "wake_soon",
]

Stage: TypeAlias = Literal["validate", "context", "complete", "parse", "store", "chunk", "embed"]
Chain: TypeAlias = Literal["document", "index"]
STAGES: tuple[Stage, ...] = ("validate", "context", "complete", "parse", "store")
CHAINS: Mapping[Chain, tuple[Stage, ...]] = {
    "document": STAGES,
    "index": ("validate", "chunk", "embed", "store"),
}
CLAIMED: frozenset[Stage] = frozenset({"validate", "parse", "chunk"})
"""They run on other people's files and code, so a worker claims them first; a claim that ran out is a crash."""

End: TypeAlias = Literal["done", "needs_review", "failed", "cancelled"]

QUARANTINED_AT = 2
"""Crashes of a stage, or one more redrive of a stage without a claim, before it runs apart from all others."""
MOST_CRASHES = 5
MOST_REDRIVES = 10

FENCE = "id = :id and epoch = :epoch and stage = :stage and wait is not null"


def _after(seconds: str) -> str:
    """SQL for a time so many seconds from now, or the deadline if that is sooner (least ignores null)."""
    return f"least(deadline_at, clock_timestamp() + make_interval(secs => :{seconds}))"


UNFLUSHED = "set_config('synchronous_commit', 'off', true) = 'off'"
"""SQL, true, that lets the commit of its transaction return before it is on disk.

For transitions that cost nothing to repeat: if the server dies in that moment, the job stands where it stood
before, and is driven again. Never for money, for results, or for ends.
"""

# Everything that a stage works with comes in one round trip: the job, its document (the file itself for validate
# alone, which may have to read it), and the reply that the present attempt has already.
SEEN = (
    "select j.id, j.tenant, j.feature, j.usr, j.lane, j.chain, j.document_id, j.collection,"
    " coalesce(j.prompt, '') as prompt, j.version, j.params, j.stage,"
    " j.epoch, j.attempt, j.purpose, j.model, j.history, j.context, j.value, j.crashes, j.redrives, j.flight_key,"
    " j.fresh, coalesce(j.deadline_at < clock_timestamp(), false) as overdue,"
    " d.id as found, d.name, d.media_type, d.text, case when j.stage = 'validate' then d.body end as body,"
    " a.call_id, a.reply"
    " from {jobs} j"
    " left join documents d on d.id = j.document_id and (j.stage <> 'store' or j.chain = 'index')"
    " left join lateral (select c.id as call_id, e.reply from calls c join exchanges e on e.call_id = c.id"
    " where j.stage in ('complete', 'parse') and c.job_id = j.id and c.attempt = j.attempt"
    " and c.state in ('answered', 'cached') and c.purpose <> 'embed' limit 1) a on true"
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """What was submitted, and its text once it was read."""

    id: int
    name: str | None
    media_type: str
    body: bytes | None
    """For validate alone."""
    text: str | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The reply that an attempt got, word for word."""

    call_id: UUID
    text: str
    finish_reason: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job's row, as a stage needs it."""

    id: int
    tenant: str
    feature: str
    usr: str
    lane: str
    chain: Chain
    document_id: int | None
    collection: str | None
    """Where an index job puts its document, and where a prompt with retrieval looks."""
    prompt: str
    """Empty for an index job."""
    version: str | None
    params: Mapping[str, Any]
    stage: Stage
    epoch: int
    attempt: int
    purpose: Purpose
    model: str | None
    history: Sequence[Mapping[str, Any]]
    context: Mapping[str, Any] | None
    value: Mapping[str, Any] | None
    crashes: int
    redrives: int
    flight_key: bytes | None
    fresh: bool
    overdue: bool
    document: Document | None = None
    """None where it was deleted, and for store, which has no need of it."""
    answer: Answer | None = None
    """The reply that the present attempt has already, for complete and parse."""

    @property
    def fence(self) -> dict[str, object]:
        return {"id": self.id, "epoch": self.epoch, "stage": self.stage}


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
class Drive:
    """One publication of a job's chain, under its new epoch."""

    id: int
    epoch: int
    stage: Stage
    lane: str
    quarantined: bool
    chain: Chain = "document"


def load(connection: Connection, job_id: int, epoch: int, stage: Stage) -> Job | None:
    """The job, if it still stands where a message says."""
    return _seen(connection, LOAD, {"id": job_id, "epoch": epoch, "stage": stage})


LOAD = Statement(
    f"{SEEN.format(jobs='jobs')} where j.id = :id and epoch = :epoch and stage = :stage and wait is not null"
)


def claim(
    connection: Connection, job_id: int, epoch: int, stage: Stage, *, owner: str, lease_s: float
) -> Job | None:
    """Takes the stage for this worker; None for a second delivery."""
    values = {"id": job_id, "epoch": epoch, "stage": stage, "owner": owner, "lease_s": lease_s}
    return _seen(connection, CLAIM, values)


def _seen(connection: Connection, seeing: Statement, values: Mapping[str, object]) -> Job | None:
    row = seeing.first(connection, values)
    if row is None:
        return None
    fields = row._asdict()
    document = {name: fields.pop(name) for name in ("name", "media_type", "text", "body")}
    found, call_id, reply = fields.pop("found"), fields.pop("call_id"), fields.pop("reply")
    return Job(
        **fields,
        document=None if found is None else Document(id=found, **document),
        answer=None if call_id is None else answer_from(call_id, reply),
    )


def answer_from(call_id: UUID, reply: Mapping[str, Any]) -> Answer:
    """A reply as it lies in ``exchanges``."""
    return Answer(call_id=call_id, text=reply["text"], finish_reason=reply["finish_reason"])


# What the broker is about to be told of is under way.
ONWARD = (
    "stage = :to, wait = 'sent', state = 'running', owner = null, crashes = 0, redrives = 0,"
    f" wake_at = {_after('message_s')}"
)


def advance(
    connection: Connection,
    job: Job,
    to: Stage,
    *,
    message_s: float,
    version: str | None = None,
    context: Mapping[str, Any] | None = None,
    value: Mapping[str, Any] | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
) -> bool:
    """The stage is done, and the chain's next message is about to be published; False for a stale one."""
    # To parse a job goes with its reply, in one commit.
    return _changed(
        connection,
        f"{ONWARD}, version = coalesce(:version, version), context = coalesce(cast(:context as jsonb), context),"
        " value = coalesce(cast(:value as jsonb), value), history = coalesce(cast(:history as jsonb), history)",
        {
            **job.fence,
            "to": to,
            "message_s": message_s,
            "version": version,
            "context": as_json(context),
            "value": as_json(value),
            "history": as_json(history),
        },
        flushed=to == "parse",
    )


def advance_with_text(
    connection: Connection,
    job: Job,
    to: Stage,
    *,
    message_s: float,
    version: str | None,
    words: str,
    pages: Sequence[int],
    media_type: str,
) -> bool:
    """As :func:`advance`, with what was read of its document: ``words``, and where in them each page begins."""
    values = {
        **job.fence,
        "to": to,
        "message_s": message_s,
        "version": version,
        "document": job.document_id,
        "words": words,
        "pages": list(pages),
        "media_type": media_type,
    }
    return bool(ADVANCE_WITH_TEXT.count(connection, values))


# The document comes first: locks are taken in one order.
ADVANCE_WITH_TEXT = Statement(
    "with kept as (update documents set text = :words, pages = to_jsonb(cast(:pages as int[])),"
    " media_type = :media_type where id = :document returning id)"
    f" update jobs set {ONWARD}, version = coalesce(:version, version)"
    f" where {FENCE} and (select count(*) from kept) >= 0 and {UNFLUSHED}"
)


def name_work(connection: Connection, job: Job, key: bytes) -> bool:
    """Notes the key of the job's work, at its first call; it stays through all attempts."""
    return _changed(connection, "flight_key = :key", {**job.fence, "key": key})


def note_failure(connection: Connection, job: Job, entry: Mapping[str, Any]) -> bool:
    """Adds a failed call and its remedy to the history; False for a stale message."""
    return _changed(
        connection, "history = history || cast(:entry as jsonb)", {**job.fence, "entry": as_json([entry])}
    )


def keep_value(connection: Connection, job: Job) -> bool:
    """Keeps what a rejected reply said, for a person who may have to look at it."""
    return _changed(connection, "value = cast(:value as jsonb)", {**job.fence, "value": as_json(job.value)})


def count_down(
    connection: Connection, job: Job, *, countdown_s: float, next_attempt: bool = False, grace_s: float = 30.0
) -> bool:
    """The same message comes again after the countdown, with a grace before it is taken for lost."""
    return _changed(
        connection,
        "wait = 'countdown', owner = null, attempt = attempt + :attempts, redrives = 0,"
        f" wake_at = {_after('wake_s')}",
        {**job.fence, "wake_s": countdown_s + grace_s, "attempts": int(next_attempt)},
    )


def hold(
    connection: Connection,
    job: Job,
    wait: Literal["rate", "budget", "flight"],
    *,
    for_s: float | None = None,
    next_attempt: bool = False,
    held_for: str | None = None,
) -> bool:
    """The job waits here, and not in the broker; ``for_s`` None is an hour, or an event before it.

    ``held_for`` names the model whose room, or release, is such an event.
    """
    return _changed(
        connection,
        "state = 'held', wait = :wait, held_for = :held_for, owner = null, attempt = attempt + :attempts,"
        " redrives = 0,"
        f" wake_at = {_after('for_s')}",
        {
            **job.fence,
            "wait": wait,
            "held_for": held_for,
            "for_s": 3600.0 if for_s is None else for_s,
            "attempts": int(next_attempt),
        },
    )


def end(connection: Connection, job: Job, state: End, *, failure: Failure | None = None, detail: str = "") -> bool:
    """The job ends; False for a stale message. Whoever ends a job tells its flight (:mod:`db.flights`)."""
    return _changed(connection, ENDING, {**job.fence, "state": state, "failure": as_json(told(failure, detail))})


def cancel(connection: Connection, job_id: int) -> None:
    """No further call starts. Raises JobUnknown, JobNotFit."""
    changed = connection.execute(
        text(f"update jobs set {ENDING} where id = :id and wait is not null returning id"),
        {"id": job_id, "state": "cancelled", "failure": None},
    )
    if changed.one_or_none() is None:
        state = connection.execute(text("select state from jobs where id = :id"), {"id": job_id}).scalar()
        if state is None:
            raise JobUnknown(job_id)
        raise JobNotFit(f"job {job_id} is {state} already: there is nothing to cancel")


def release_crashed(connection: Connection, job: Job, error: str) -> bool:
    """An exception reached the task's boundary: the claim ends at once, and counts as a crash.

    After the last crash the job has failed.
    """
    if job.crashes + 1 >= MOST_CRASHES:
        failure = Failure(kind="poison", message=poison_message(job.stage, error))
        return end(connection, job, "failed", failure=failure)
    return _changed(
        connection,
        "wait = 'unsent', state = 'queued', owner = null, crashes = crashes + 1, wake_at = clock_timestamp()",
        job.fence,
    )


def poison_message(stage: str, error: str) -> str:
    return (
        f"{stage} broke {MOST_CRASHES} times, alone in quarantine at last ({error}): "
        f"look at the document and at the prompt's output.py, then `docmill retry`"
    )


def wake_soon(connection: Connection, job_id: int, epoch: int, stage: Stage) -> bool:
    """A stage without a claim broke: the sweep drives it again in a few seconds, later each time."""
    return _changed(
        connection,
        "wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => 2 ^ least(redrives, 6)))",
        {"id": job_id, "epoch": epoch, "stage": stage},
    )


def start_drive(connection: Connection, move: Move, *, message_s: float) -> Drive | None:
    """Takes the job to a stage under a new epoch; None where somebody was faster. Commit, then publish."""
    row = (
        connection.execute(
            text(
                "with moved as (update jobs set stage = :to, wait = 'sent', state = 'running', owner = null,"
                " epoch = epoch + 1, crashes = 0, redrives = 0, attempt = attempt + :attempts,"
                " purpose = coalesce(:purpose, purpose), model = coalesce(:model, model),"
                f" wake_at = {_after('message_s')} where {FENCE} returning id, epoch, stage, lane, chain),"
                " noted as (insert into drives (job_id, epoch, stage, cause)"
                " select id, epoch, stage, :cause from moved)"
                " select id, epoch, stage, lane, chain, false as quarantined from moved"
            ),
            {
                **vars(move),
                "attempts": int(move.next_attempt),
                "message_s": message_s,
            },
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Drive(**row)


def take_back(connection: Connection, drives: Sequence[Drive]) -> None:
    """What may not have been published waits in Postgres again, where nothing else has happened since."""
    connection.execute(
        text(
            "update jobs set wait = 'unsent', state = 'queued', wake_at = clock_timestamp()"
            " where id = :id and epoch = :epoch and stage = :stage and wait = 'sent'"
        ),
        [{"id": drive.id, "epoch": drive.epoch, "stage": drive.stage} for drive in drives],
    )


CLAIM = Statement(
    f"with claimed as (update jobs set wait = 'running', owner = :owner, wake_at = {_after('lease_s')}"
    f" where {FENCE} and wait in ('sent', 'countdown') and {UNFLUSHED} returning *) {SEEN.format(jobs='claimed')}"
)

ENDING = (
    "state = :state, wait = null, epoch = epoch + 1, owner = null, failure = cast(:failure as jsonb),"
    " finished_at = clock_timestamp()"
)


def _changed(connection: Connection, changes: str, values: Mapping[str, object], *, flushed: bool = True) -> bool:
    fence = FENCE if flushed else f"{FENCE} and {UNFLUSHED}"
    return bool(statement(f"update jobs set {changes} where {fence}").count(connection, values))


def told(failure: Failure | None, detail: str = "") -> dict[str, Any] | None:
    """A failure as ``jobs.failure`` keeps it."""
    if failure is None:
        return None
    kept: dict[str, Any] = {"kind": failure.kind, "message": failure.message}
    if detail:
        kept["detail"] = detail
    if failure.status is not None:
        kept["status"] = failure.status
    return kept


def as_json(value: Any) -> str | None:
    """For a jsonb column: None is null."""
    return None if value is None else json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a job's row")
