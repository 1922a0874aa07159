"""Single-flight: the same work wanted by several jobs at once is called for by one, the leader; the others follow.

A flight is a row, from the leader's first call until its job ends. Followers are held, and reserve nothing. None
of this needs the cache server; recovery keeps the leader alive, so a flight needs no lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection

from db.database import one_statement
from db.jobs import Job
from db.ledger import note_cached
from db.model_state import ModelState, Named, names_of, state_from
from db.statements import statements_of
from db.transitions import Stored
from docmill.storable import dump_json

__all__ = [
    "LATELY_S",
    "Place",
    "SharedAnswer",
    "answered_lately",
    "follow",
    "hand_over",
    "landed",
    "lead_or_follow",
    "lock_led",
    "pass_lead",
    "peek",
    "release_followers",
]

SQL, TRANSITIONS = statements_of("flights"), statements_of("transitions")

CIRCUMSTANCES = (
    "budget", "deadline", "auth", "quota_exhausted", "overloaded", "server_error", "connection", "timeout",
    "rate_limited", "in_doubt", "internal",
)  # fmt: skip
"""Kinds of failure that lie in the leader's circumstances: another job may fare better."""

LATELY_S = 180
"""So long an answer is looked for among jobs that are done; longer is the business of the cache."""

Place: TypeAlias = Literal["leads", "held", "stale"]
"""Of a job in its flight; ``held`` is a follower's."""


@dataclass(frozen=True, kw_only=True)
class Peek:
    """What is seen before a call: the state of its model, and whether another job leads the same work."""

    model: ModelState
    led: bool


@dataclass(frozen=True, kw_only=True)
class SharedAnswer:
    """The answer to the same work, which another job got."""

    value: Mapping[str, Any]
    model: str
    cost_usd: Decimal | None


def lead_or_follow(connection: Connection, job: Job, key: bytes, *, for_s: float) -> Place:
    """Makes the job lead this work, where it did, or nobody does, or who did has ended without saying so.

    Else it is held behind the leader. Nobody takes over while a call of one that ended is open: that one may still
    be answered, and paid.
    """
    found = TRANSITIONS["lead_or_follow"].first(connection, {**job.fence, "key": key, "for_s": for_s})
    if found is None:
        return "stale"
    if found.leader == job.id:
        return "leads"
    return "held" if found.held else "stale"


@one_statement
def follow(connection: Connection, job: Job, key: bytes, *, for_s: float) -> bool:
    """Holds the job where another one, which is still on its way or calling, leads this work; else False."""
    return bool(TRANSITIONS["follow"].count(connection, {**job.fence, "key": key, "for_s": for_s}))


@one_statement
def peek(connection: Connection, job: Job, key: bytes, model: Named) -> Peek:
    """Sees what a call for this work would meet, in one round trip and without a lock."""
    row = SQL["peek"].one(connection, {"id": job.id, "key": key, **names_of(model)})
    return Peek(model=state_from(row), led=row.led)


def answered_lately(connection: Connection, job: Job, key: bytes) -> SharedAnswer | None:
    """Finds the answer of a flight that ended between the job's look at the cache and its own lead; else None.

    The job's own flight then ends, as there is nothing to call for; who follows it has the answer, too.
    """
    found = SQL["answered_lately"].first(connection, {"id": job.id, "key": key, "lately_s": LATELY_S})
    if found is None:
        return None
    if _end_led(connection, job.id) is not None:
        _hand_over(connection, found.id, key, found.value)
    model, cost = spent_on(connection, found.id)
    return SharedAnswer(value=found.value, model=model, cost_usd=cost)


def hand_over(connection: Connection, leader: Job, key: bytes) -> SharedAnswer:
    """Gives the leader's answer to each follower, as a call that cost nothing. Returns what the work cost.

    Within the transaction that ended the leader and its flight, and after that statement: only then is every job
    seen that joined before the flight was gone.
    """
    return _hand_over(connection, leader.id, key, leader.value or {})


def landed(leader: Job, ended: Stored) -> SharedAnswer:
    """The answer of a leader whose flight ended, and for which nobody waits."""
    return SharedAnswer(value=leader.value or {}, model=ended.model or "unknown", cost_usd=ended.cost_usd)


def _hand_over(connection: Connection, leader_id: int, key: bytes, value: Mapping[str, Any]) -> SharedAnswer:
    values = {"job": leader_id, "key": key, "value": dump_json(value)}
    given = TRANSITIONS["hand_over"].one(connection, values)
    answer = SharedAnswer(value=value, model=given.model or "unknown", cost_usd=given.usd)
    if given.followers:
        note_cached(connection, given.followers, layer="flight", model=answer.model, saved_usd=answer.cost_usd)
    return answer


def lock_led(connection: Connection, job: Job) -> None:
    """Takes the lock of the flight that the job leads, if it leads one: flights come before budgets."""
    SQL["lock_led"].count(connection, {"id": job.id})


def release_followers(connection: Connection, leader_id: int) -> None:
    """Ends the flight of a leader that ended without an answer.

    A failure of the work is its followers', too; after one of the leader's circumstances one of them is freed to
    lead.
    """
    key = _end_led(connection, leader_id)
    if key is None:
        return
    ended = SQL["end_of_leader"].one(connection, {"id": leader_id})
    if ended.state == "failed" and ended.kind not in CIRCUMSTANCES:
        TRANSITIONS["fail_followers"].count(connection, {"leader": leader_id, "key": key})
        return
    TRANSITIONS["free_follower"].count(connection, {"key": key})


def pass_lead(connection: Connection, job_id: int) -> None:
    """Lets a follower lead where the leader has to wait for its own circumstances, and no call of it is open."""
    key = _end_led(connection, job_id)
    if key is not None:
        TRANSITIONS["free_follower"].count(connection, {"key": key})


def spent_on(connection: Connection, job_id: int) -> tuple[str, Decimal | None]:
    """The model that answered a job last, and what all its calls cost; None where a price is unknown."""
    row = SQL["spent_on_job"].one(connection, {"job": job_id})
    return row.model or "unknown", row.usd


def _end_led(connection: Connection, job_id: int) -> bytes | None:
    """Ends the flight that the job leads; its key, or None where it leads none."""
    key = SQL["end_led"].scalar(connection, {"id": job_id})
    return None if key is None else bytes(key)
