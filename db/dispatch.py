"""Starting jobs, and finding those that got lost: set-based, and fair among tenants.

A million jobs wait in Postgres. What the fleet has in hand is bounded by its room; interactive jobs go first,
then tenants take turns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from db import flights
from db.jobs import CLAIMED, ENDING, MOST_CRASHES, MOST_REDRIVES, QUARANTINED_AT, Drive
from db.ledger import expire_intents

__all__ = [
    "Room",
    "database_started_s",
    "dispatch",
    "forget_worker",
    "held_for",
    "processes",
    "room",
    "see_worker",
    "send_again",
    "spare_leases",
    "sweep",
    "try_lead",
    "unready",
    "wake",
]

UPKEEP_LOCK = 0x75706B70
SEEN_WITHIN_S = 30.0
SWEPT_AT_ONCE = 500
CPU_AHEAD = 32
"""Jobs in hand for each slot that reads or parses: most take milliseconds, and upkeep looks ten times a second."""
LANES = ("interactive", "bulk")
"""The first goes first."""
CLAIMED_STAGES = "('validate', 'parse', 'chunk')"


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many jobs more the fleet takes."""

    cpu: int
    """At validate, parse and chunk."""
    all: int
    kept: int
    """Of ``all``, what only interactive jobs may use."""
    wanted: frozenset[str]
    """The lanes in which jobs wait for it."""


def try_lead(connection: Connection) -> bool:
    """Whether this transaction is the one that does upkeep now."""
    return bool(connection.execute(text("select pg_try_advisory_xact_lock(:key)"), {"key": UPKEEP_LOCK}).scalar())


def see_worker(
    connection: Connection, name: str, queue: str, slots: int, *, unready: Mapping[str, str] | None = None
) -> None:
    """A worker is alive, and works so many tasks at once; ``unready`` has the prompts that it cannot answer."""
    connection.execute(
        text(
            "insert into workers (name, queue, slots, seen_at, unready)"
            " values (:name, :queue, :slots, clock_timestamp(), cast(:unready as jsonb))"
            " on conflict (name) do update"
            " set slots = excluded.slots, seen_at = excluded.seen_at, unready = excluded.unready"
        ),
        {"name": name, "queue": queue, "slots": slots, "unready": json.dumps(dict(unready or {}))},
    )


def unready(connection: Connection) -> dict[str, str] | None:
    """By ``name/version``, the prompts that no io worker can answer, and why; None where none was seen lately."""
    seen = connection.execute(
        text(
            "select unready from workers where queue = 'io'"
            " and seen_at > clock_timestamp() - make_interval(secs => :within)"
        ),
        {"within": SEEN_WITHIN_S},
    )
    told = [dict(row.unready) for row in seen]
    return {name: why for name, why in told[0].items() if all(name in other for other in told)} if told else None


def forget_worker(connection: Connection, name: str) -> None:
    connection.execute(text("delete from workers where name = :name"), {"name": name})


def room(connection: Connection) -> Room:
    """What the workers that were seen lately have not in hand already."""
    found = connection.execute(text(ROOM), {"within": SEEN_WITHIN_S, "lanes": list(LANES)}).one()
    io = 2 * found.io
    return Room(
        cpu=CPU_AHEAD * found.cpu - found.at_cpu,
        all=io - found.out,
        kept=io // 10,
        wanted=frozenset(found.wanted),
    )


# Asked ten times a second while jobs wait, and so in one round trip.
ROOM = f"""
select seen.io, seen.cpu, under_way.at_cpu, under_way.out,
  array(select lanes.name from unnest(cast(:lanes as text[])) lanes(name)
    where exists (select from jobs where wait = 'unsent' and lane = lanes.name)) as wanted
from (
  select coalesce(sum(slots) filter (where queue = 'io'), 0)::int as io,
    coalesce(sum(slots) filter (where queue = 'cpu'), 0)::int as cpu
  from workers where seen_at > clock_timestamp() - make_interval(secs => :within)) seen,
(select count(*) filter (where stage in {CLAIMED_STAGES}) as at_cpu, count(*) as out
  from jobs where wait in ('sent', 'running', 'countdown')) under_way
"""


def processes(connection: Connection) -> int:
    """Io workers that were seen lately: so many share the provider's limits."""
    return int(
        connection.execute(
            text(
                "select count(*) from workers where queue = 'io'"
                " and seen_at > clock_timestamp() - make_interval(secs => :within)"
            ),
            {"within": SEEN_WITHIN_S},
        ).scalar_one()
    )


def held_for(connection: Connection) -> list[str]:
    """The models for whose limits jobs are held: a walk along the index, one step a model."""
    return list(
        connection.execute(
            text(
                "with recursive keys as ("
                "(select held_for as key from jobs where wait = 'rate' and held_for > '' and held_for !~ '^hold:'"
                " order by held_for limit 1) union all"
                " select (select held_for from jobs where wait = 'rate' and held_for > keys.key"
                " and held_for !~ '^hold:' order by held_for limit 1) from keys where keys.key is not null)"
                " select key from keys where key is not null"
            )
        ).scalars()
    )


def wake(connection: Connection, key: str, limit: int) -> None:
    """As many jobs as a model's limits have room for now: interactive ones first, then tenants in turn."""
    connection.execute(text(WAKE), {"key": key, "limit": limit})


WAKE = """
update jobs set wait = 'unsent', state = 'queued', wake_at = clock_timestamp() where id in (
  with recursive tenants as (
    (select lane, tenant from jobs where wait = 'rate' and held_for = :key order by lane desc, tenant desc limit 1)
    union all
    select next.lane, next.tenant from tenants cross join lateral (
      select lane, tenant from jobs
      where wait = 'rate' and held_for = :key and (lane, tenant) < (tenants.lane, tenants.tenant)
      order by lane desc, tenant desc limit 1) next
  ), waiting as (
    select candidate.id, tenants.lane,
      row_number() over (partition by tenants.lane, tenants.tenant order by candidate.id) as place
    from tenants cross join lateral (
      select id from jobs
      where wait = 'rate' and held_for = :key and lane = tenants.lane and tenant = tenants.tenant
      order by id limit :limit for update skip locked) candidate
  ) select id from waiting order by lane desc, place, id limit :limit
)"""


def dispatch(connection: Connection, available: Room, *, message_s: float) -> list[Drive]:
    """Drives waiting jobs, as many as there is room for. Commit, then publish what it returns."""
    drives: list[Drive] = []
    for lane, kept in zip(LANES, (0, available.kept), strict=True):
        if lane not in available.wanted:
            continue
        # Jobs that come back from a hold were begun before, and go first.
        limit = available.all - kept - len(drives)
        drives += _start(connection, lane, limit, "stage <> 'validate'", message_s)
        limit = min(available.all - kept - len(drives), available.cpu - _at_validate(drives))
        drives += _start(connection, lane, limit, "stage = 'validate'", message_s)
    return drives


def _at_validate(drives: Sequence[Drive]) -> int:
    return sum(drive.stage in CLAIMED for drive in drives)


def _start(connection: Connection, lane: str, limit: int, which: str, message_s: float) -> list[Drive]:
    if limit <= 0:
        return []
    values = {"lane": lane, "limit": limit, "message_s": message_s}
    rows = connection.execute(text(START.format(which=which, drive=_drive("'start'", "redrives"))), values)
    return [Drive(**row) for row in rows.mappings()]


# The tenants that have jobs waiting are found by a walk along the index, one step a tenant; of each only as many
# rows are looked at as could be taken.
START = """
with recursive tenants as (
  (select tenant from jobs where wait = 'unsent' and {which} and lane = :lane order by lane, tenant limit 1)
  union all
  select (select tenant from jobs where wait = 'unsent' and {which} and lane = :lane and tenant > tenants.tenant
          order by lane, tenant limit 1)
  from tenants where tenants.tenant is not null
), waiting as (
  select candidate.id, candidate.place
  from tenants cross join lateral (
    select id, row_number() over (order by id) as place from (
      select id from jobs where wait = 'unsent' and {which} and lane = :lane and tenant = tenants.tenant
      order by id limit :limit) first) candidate
  where tenants.tenant is not null
  order by candidate.place, candidate.id limit :limit
), picked as (
  select id, wait as was, cast(null as timestamptz) as due from jobs
  where id in (select id from waiting) and wait = 'unsent' for update skip locked
), {drive}
"""


def _drive(cause: str, redrives: str) -> str:
    """SQL that drives the ``picked`` jobs, which were waiting for ``was`` and due at ``due``."""
    return (
        "moved as (update jobs set wait = 'sent', state = 'running', owner = null,"
        f" epoch = epoch + 1, redrives = {redrives},"
        " crashes = crashes + case when jobs.wait = 'running' and jobs.stage in "
        f"{CLAIMED_STAGES} then 1 else 0 end,"
        " wake_at = least(deadline_at, clock_timestamp()"
        f" + make_interval(secs => :message_s * 2 ^ least({redrives}, 5)))"
        " from picked where jobs.id = picked.id"
        " returning jobs.id, jobs.epoch, jobs.stage, jobs.lane, jobs.chain, jobs.crashes, jobs.redrives,"
        " picked.was, picked.due),"
        " noted as (insert into drives (job_id, epoch, stage, cause, due_at)"
        f" select id, epoch, stage, {cause}, due from moved)"
        " select id, epoch, stage, lane, chain,"
        f" (case when stage in {CLAIMED_STAGES} then crashes >= {QUARANTINED_AT}"
        f" when stage in ('complete', 'embed') then false else redrives > {QUARANTINED_AT} end)"
        " as quarantined from moved"
    )


def sweep(connection: Connection, *, message_s: float) -> list[Drive]:
    """Looks at every job whose time has come. Commit, then publish what it returns."""
    expire_intents(connection)
    for statement in (OVERDUE, HOLDS_OVER, POISONED):
        connection.execute(text(statement), {"limit": SWEPT_AT_ONCE})
    flights.settle_ended(connection)
    rows = connection.execute(text(LOST), {"limit": SWEPT_AT_ONCE, "message_s": message_s})
    return [Drive(**row) for row in rows.mappings()]


def send_again(connection: Connection, *, message_s: float) -> list[Drive]:
    """Drives each job whose message is under way, for a broker that may have forgotten it.

    A message that is still there is stale from then on. Commit, then publish what it returns.
    """
    rows = connection.execute(text(FORGOTTEN), {"message_s": message_s})
    return [Drive(**row) for row in rows.mappings()]


FORGOTTEN = (
    "with picked as (select id, wait as was, cast(null as timestamptz) as due from jobs"
    " where wait = 'sent' for update skip locked), " + _drive("'broker began anew'", "redrives")
)


def spare_leases(connection: Connection, for_s: float) -> None:
    """No lease runs out sooner than in ``for_s`` seconds, whoever judges: their holders could not tell of them."""
    for statement in SPARE:
        connection.execute(text(statement), {"for_s": for_s})


# Rows that somebody holds just now are being told of; waiting for them could end in a deadlock.
SPARE = tuple(
    f"update {table} set {column} = greatest({column}, clock_timestamp() + make_interval(secs => :for_s))"
    f" where ctid in (select ctid from {table} where {leased} for update skip locked)"
    for table, column, leased in (
        ("calls", "lease_until", "state = 'intent'"),
        ("jobs", "wake_at", "wait = 'running'"),
        ("embeddings", "claimed_until", "v is null and claimed_until > '-infinity'"),
    )
)


def database_started_s(connection: Connection) -> float:
    """How long ago the server started: a process that has just begun cannot know that it was away."""
    found = connection.execute(text("select extract(epoch from clock_timestamp() - pg_postmaster_start_time())"))
    return float(found.scalar_one())


# ``statement_timestamp()`` and not ``clock_timestamp()``, which may change from row to row, so that no index can
# be searched for it: those whose time has come must be found at once among a million that wait. Rows that
# somebody else has in hand are left to the next sweep, so that their order is no matter.
def _of_those(condition: str, by: str = "wake_at") -> str:
    due = f"{condition} and {by} < statement_timestamp()"
    return f"where id in (select id from jobs where {due} order by {by} limit :limit for update skip locked)"


def _failed(kind: str, message: str) -> str:
    """SQL that ends jobs as failed; ``message`` is SQL, too."""
    told = f"jsonb_build_object('kind', '{kind}', 'message', {message})"
    return "update jobs set " + ENDING.replace(":state", "'failed'").replace(":failure", told)


OVERDUE = " ".join(
    (
        _failed("deadline", "'its deadline passed at ' || deadline_at"),
        _of_those("wait is not null", by="deadline_at"),
    )
)

HOLDS_OVER = "update jobs set wait = 'unsent', state = 'queued', wake_at = clock_timestamp() " + _of_those(
    "wait in ('rate', 'batch')"
)

POISONED = " ".join(
    (
        _failed(
            "poison",
            "stage || ' never came to an end, alone in quarantine at last: look at the document and at the"
            " prompt''s output.py, then `docmill retry`'",
        ),
        _of_those(
            f"((wait = 'running' and stage in {CLAIMED_STAGES} and crashes >= {MOST_CRASHES - 1}) or"
            " (wait in ('sent', 'running') and stage in ('context', 'store', 'embed')"
            f" and redrives >= {MOST_REDRIVES - 1}))"
        ),
    )
)

# A claim that ran out is a crash, counted below; a message that got lost is none.
LOST = (
    "with picked as (select id, wait as was, wake_at as due from jobs"
    " where wait in ('sent', 'running', 'countdown', 'flight')"
    " and wake_at < statement_timestamp() order by wake_at limit :limit for update skip locked), "
    + _drive(
        "case was when 'sent' then 'message lost' when 'running' then 'worker lost'"
        " when 'countdown' then 'countdown lost' else 'flight looked at' end",
        "redrives + 1",
    )
)
