"""The same work wanted by several jobs at once: the first leads and calls, the others wait for its answer.

A flight is a row, from the leader's first call until its job ends. Waiters are held, and reserve nothing. None of
this needs the cache server; recovery keeps the leader alive, so a flight needs no lease.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from sqlalchemy import Connection, text

from db.jobs import FENCE, Job
from db.models import STATE, ModelState, Named, names_of, state_from
from db.statements import Statement

__all__ = [
    "LANDED",
    "LATELY_S",
    "Ahead",
    "Boarding",
    "ahead_of",
    "await_landing",
    "board",
    "hand_over",
    "inherit",
    "landed_lately",
    "lock_led",
    "pass_on",
    "record_cached",
    "settle_ended",
    "spent_on",
]

CIRCUMSTANCES = (
    "budget", "deadline", "auth", "quota_exhausted", "overloaded", "server_error", "connection", "timeout",
    "rate_limited", "in_doubt", "internal",
)  # fmt: skip
"""Kinds of failure that lie in the leader's circumstances: another job may fare better."""


LATELY_S = 180
"""So long an answer is looked for among jobs that are done; longer is the business of the cache."""
LEADS = (
    "exists (select from jobs leader where leader.id = {leader} and (leader.wait is not null"
    " or exists (select from calls where calls.job_id = leader.id and calls.state = 'intent')))"
)


Boarding: TypeAlias = Literal["leads", "held", "stale"]


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What is known before a call: the state of its model, and whether another job leads the same work."""

    model: ModelState
    led: bool


@dataclass(frozen=True, kw_only=True)
class Landed:
    """What a flight brought."""

    value: Mapping[str, Any]
    model: str
    cost_usd: Decimal | None


def board(connection: Connection, job: Job, key: bytes, *, for_s: float) -> Boarding:
    """The job leads this work, as it did, or nobody does, or the one that did has ended without saying so; or it
    is held for the one that leads; or its message is stale.

    Nobody follows while a call of the one that ended is open: that one may still be answered, and paid. The
    flight's row is locked against its end until this is committed, so that the leader finds who waits.
    """
    boarded = BOARD.first(connection, {**job.fence, "key": key, "for_s": for_s})
    if boarded is None:
        return "stale"
    if boarded.led_by == job.id:
        return "leads"
    return "held" if boarded.held else "stale"


def await_landing(connection: Connection, job: Job, key: bytes, *, for_s: float) -> bool:
    """Holds the job where another one, which is still on its way or calling, leads this work; else False."""
    return bool(AWAIT.count(connection, {**job.fence, "key": key, "for_s": for_s}))


HELD = (
    "update jobs set state = 'held', wait = 'flight', owner = null, redrives = 0, flight_key = :key,"
    " wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => :for_s))"
    " from led where id = :id and epoch = :epoch and stage = :stage and wait is not null and led.job_id <> :id"
)
BOARD = Statement(
    "with led as (insert into flights (key, job_id) select cast(:key as bytea), id from jobs"
    f" where {FENCE} and wait in ('sent', 'countdown') on conflict (key) do update"
    f" set job_id = case when not {LEADS.format(leader='flights.job_id')}"
    " then excluded.job_id else flights.job_id end returning flights.job_id),"
    f" held as ({HELD} returning id)"
    " select led.job_id as led_by, exists (select from held) as held from led"
)
AWAIT = Statement(
    "with led as (select flights.job_id from flights"
    f" where flights.key = :key and flights.job_id <> :id and {LEADS.format(leader='flights.job_id')}"
    f" for share of flights) {HELD}"
)


def ahead_of(connection: Connection, job: Job, key: bytes, model: Named) -> Ahead:
    """What a call for this work would meet, seen in one round trip."""
    row = AHEAD.one(connection, {"job": job.id, "key": key, **names_of(model)})
    return Ahead(model=state_from(row), led=row.led)


AHEAD = Statement(
    f"select {STATE}, exists (select from flights where key = :key and job_id <> :job"
    f" and {LEADS.format(leader='flights.job_id')}) as led"
    " from (select 1) as one left join model_state on account = :account and model = :model"
)


def landed_lately(connection: Connection, job: Job, key: bytes) -> Landed | None:
    """The answer of a flight that landed between the job's look at the cache and its boarding.

    The job's own flight then ends, as there is nothing to call for; who waits for it has the answer, too.
    """
    row = connection.execute(text(LANDED), {"id": job.id, "work": key, "lately": LATELY_S}).first()
    if row is None:
        return None
    if _take_off(connection, job.id) is not None:
        _hand_over(connection, row.id, key, row.value)
    model, cost = spent_on(connection, row.id)
    return Landed(value=row.value, model=model, cost_usd=cost)


LANDED = (
    "select id, value from jobs where flight_key = :work and id <> :id and state = 'done' and not fresh"
    " and finished_at > clock_timestamp() - make_interval(secs => :lately) order by id limit 1"
)


def hand_over(connection: Connection, leader: Job, key: bytes) -> Landed:
    """Gives the leader's answer to each waiter of its flight, as a call that cost nothing.

    Within the transaction that ended the leader and its flight, and after that statement: only then is every job
    seen that joined before the flight was gone. Returns what the work cost.
    """
    return _hand_over(connection, leader.id, key, leader.value or {})


def _hand_over(connection: Connection, leader_id: int, key: bytes, value: Mapping[str, Any]) -> Landed:
    row = HAND_OVER.one(connection, {"leader": leader_id, "key": key, "value": json.dumps(value)})
    return Landed(value=value, model=row.model or "unknown", cost_usd=row.usd)


HAND_OVER = Statement(
    "with spent as (select (array_agg(model order by started_at desc))[1] as model,"
    " case when count(*) = count(cost_usd) then sum(cost_usd) end as usd"
    " from calls where job_id = :leader and state = 'answered'),"
    " handed as (update jobs set stage = 'store', wait = 'unsent', state = 'queued', wake_at = clock_timestamp(),"
    " crashes = 0, redrives = 0, value = cast(:value as jsonb)"
    " where wait = 'flight' and flight_key = :key returning *),"
    " noted as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt,"
    " version, input_hash, provider, account, model, cost_usd, saved_usd, cache_layer, finished_at)"
    " select gen_random_uuid(), id, purpose, attempt, 1 + coalesce((select max(try) from calls"
    " where calls.job_id = handed.id and calls.attempt = handed.attempt), 0),"
    " 'cached', tenant, feature, usr, prompt, version, flight_key, 'docmill', 'cache',"
    " coalesce(spent.model, 'unknown'), 0, spent.usd, 'flight', clock_timestamp() from handed, spent)"
    " select model, usd from spent"
)


def lock_led(connection: Connection, job: Job) -> None:
    """Takes the lock of the flight that the job leads, if it leads one: flights come before budgets."""
    connection.execute(text("select from flights where job_id = :job for update"), {"job": job.id})


def settle_ended(connection: Connection) -> None:
    """Looks at flights whose leader has ended without landing: it failed, or somebody cancelled it.

    Not while a call of it is open: that one may still be answered, and paid.
    """
    ended = connection.execute(
        text(
            # Flight by flight: a join would look for the ended ones among all jobs there ever were.
            "select job_id from flights where (select wait is null from jobs where jobs.id = flights.job_id)"
            " and not exists (select 1 from calls where calls.job_id = flights.job_id and state = 'intent')"
            " for update of flights skip locked"
        )
    ).scalars()
    for job_id in ended.all():
        inherit(connection, job_id)


def inherit(connection: Connection, job_id: int) -> None:
    """The leader ended without an answer. A failure of the work is its waiters', too; after one of the leader's
    circumstances one of them is set free to lead.
    """
    key = _take_off(connection, job_id)
    if key is None:
        return
    failed = connection.execute(
        text("select state, failure ->> 'kind' as kind from jobs where id = :id"), {"id": job_id}
    ).one()
    if failed.state == "failed" and failed.kind not in CIRCUMSTANCES:
        connection.execute(
            text(
                "update jobs set state = 'failed', wait = null, epoch = epoch + 1,"
                " finished_at = clock_timestamp(),"
                " failure = (select failure from jobs leader where leader.id = :leader)"
                " where wait = 'flight' and flight_key = :key"
            ),
            {"leader": job_id, "key": key},
        )
        return
    _set_one_free(connection, key)


def pass_on(connection: Connection, job_id: int) -> None:
    """The leader has to wait for its own circumstances, and no call of it is open: one of the others leads."""
    key = _take_off(connection, job_id)
    if key is not None:
        _set_one_free(connection, key)


def _set_one_free(connection: Connection, key: bytes) -> None:
    connection.execute(
        text(
            "update jobs set wait = 'unsent', state = 'queued', wake_at = clock_timestamp()"
            " where id = (select id from jobs where wait = 'flight' and flight_key = :key order by id limit 1)"
        ),
        {"key": key},
    )


def record_cached(
    connection: Connection, job_id: int, *, layer: str, model: str, saved_usd: Decimal | None
) -> None:
    """A call that was not made, because its answer was known: it saved what the first one cost."""
    connection.execute(
        text(
            "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version,"
            " input_hash, provider, account, model, cost_usd, saved_usd, cache_layer, finished_at)"
            " select :id, id, purpose, attempt,"
            " 1 + coalesce((select max(try) from calls where job_id = jobs.id and attempt = jobs.attempt), 0),"
            " 'cached', tenant, feature, usr, prompt, version, coalesce(flight_key, ''), 'docmill', 'cache',"
            " :model, 0, :saved, :layer, clock_timestamp() from jobs where id = :job"
        ),
        {"id": uuid4(), "job": job_id, "layer": layer, "model": model, "saved": saved_usd},
    )


def spent_on(connection: Connection, job_id: int) -> tuple[str, Decimal | None]:
    """The model that answered a job last, and what all its calls cost; None where a price is unknown."""
    row = connection.execute(
        text(
            "select (array_agg(model order by started_at desc))[1] as model,"
            " case when count(*) = count(cost_usd) then sum(cost_usd) end as usd"
            " from calls where job_id = :job and state = 'answered'"
        ),
        {"job": job_id},
    ).one()
    return row.model or "unknown", row.usd


def _take_off(connection: Connection, job_id: int) -> bytes | None:
    """Ends the job's flight; its key, or None where it led none."""
    ended = connection.execute(text("delete from flights where job_id = :job returning key"), {"job": job_id})
    key = ended.scalars().first()
    return None if key is None else bytes(key)
