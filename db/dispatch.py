"""Starting jobs, and finding those that got lost: set-based, and fair among tenants.

A million jobs wait in Postgres. What the fleet has in hand is bounded by its room; interactive jobs go first,
then tenants take turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from db import flights, ledger
from db.fleet import AT_CPU, LANES, Room
from db.jobs import Drive
from db.stages import STAGES, stages_where
from db.statements import statements_of
from db.transitions import CLAIMED, MOST_CRASHES, MOST_REDRIVES, QUARANTINED_AT, REDRIVEN

__all__ = ["dispatch", "free_for_room", "send_again", "spare_leases", "sweep"]

TRANSITIONS = statements_of("transitions")

SWEPT_AT_ONCE = 500
RULES: dict[str, object] = {
    "at_cpu": AT_CPU,
    "claimed": CLAIMED,
    "redriven": REDRIVEN,
    "calling": stages_where(lambda rules: rules.calls),
    "quarantined_at": QUARANTINED_AT,
    "most_crashes": MOST_CRASHES,
    "most_redrives": MOST_REDRIVES,
    "limit": SWEPT_AT_ONCE,
}
"""What statements ask of stages, and of how often they may break."""
SPARED = (
    statements_of("ledger")["spare_intents"],
    TRANSITIONS["spare_claims"],
    statements_of("embeddings")["spare_claims"],
)


def dispatch(connection: Connection, available: Room, *, message_s: float) -> list[Drive]:
    """Drives waiting jobs, as many as there is room for. Commit, then publish what it returns."""
    drives: list[Drive] = []
    for lane, kept in zip(LANES, (0, available.kept), strict=True):
        if lane not in available.wanted:
            continue
        # Jobs that come back from a hold were begun before, and go first.
        limit = available.all - kept - len(drives)
        drives += _start(connection, "start_begun", lane, limit, message_s)
        free = available.cpu - _at_cpu(drives)
        limit = min(available.all - kept - len(drives), free)
        drives += _start(connection, "start_new", lane, limit, message_s, free=free)
    return drives + _start_apart(connection, available.apart, message_s)


def _start_apart(connection: Connection, room: int, message_s: float) -> list[Drive]:
    drives: list[Drive] = []
    for lane in LANES:
        drives += _start(connection, "start_apart", lane, room - len(drives), message_s)
    return drives


def _at_cpu(drives: Sequence[Drive]) -> int:
    return sum(STAGES[drive.stage].role == "cpu" for drive in drives)


def _start(
    connection: Connection, statement: str, lane: str, limit: int, message_s: float, *, free: int | None = None
) -> list[Drive]:
    if limit <= 0:
        return []
    values = {**RULES, "lane": lane, "limit": limit, "message_s": message_s, "free": free}
    return TRANSITIONS[statement].rows(connection, values, of=Drive)


def sweep(connection: Connection, *, message_s: float) -> list[Drive]:
    """Looks at every job whose time has come. Commit, then publish what it returns."""
    ledger.expire_intents(connection)
    for name in ("fail_overdue", "free_due", "fail_poisoned"):
        TRANSITIONS[name].count(connection, RULES)
    flights.release_leaderless(connection)
    return TRANSITIONS["drive_lost"].rows(connection, {**RULES, "message_s": message_s}, of=Drive)


def send_again(connection: Connection, *, message_s: float) -> list[Drive]:
    """Drives each job whose message is under way, for a broker that may have forgotten it.

    A message that is still there is stale from then on. Commit, then publish what it returns.
    """
    return TRANSITIONS["send_again"].rows(connection, {**RULES, "message_s": message_s}, of=Drive)


def free_for_room(connection: Connection, held_for: str, limit: int) -> None:
    """Frees as many jobs as a model's limits have room for now: interactive ones first, then tenants in turn."""
    TRANSITIONS["free_for_room"].count(connection, {"held_for": held_for, "limit": limit})


def spare_leases(connection: Connection, for_s: float) -> None:
    """Keeps every lease for ``for_s`` seconds at least, whoever judges: their holders could not tell of them."""
    for statement in SPARED:
        statement.count(connection, {"for_s": for_s})
