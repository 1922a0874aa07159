"""Starting jobs, and finding those that got lost: set-based, and fair among tenants.

A million jobs wait in Postgres. What the fleet has in hand is bounded by its room; interactive jobs go first,
then tenants take turns.

Each chore first finds the rows whose time has come, and then does something to them, by their ids. So one row that
cannot be changed can be left out, and holds up none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection

from db import embeddings, flights, ledger
from db.database import one_statement
from db.fleet import AT_CPU, LANES, Room
from db.jobs import Drive
from db.stages import STAGES
from db.statements import statements_of
from db.transitions import CALLING, CLAIMED, MOST_CRASHES, MOST_REDRIVES, QUARANTINED_AT, REDRIVEN

__all__ = [
    "ABANDONED_CALLS",
    "ABANDONED_JOBS",
    "FREE_FOR_ROOM",
    "SEND_AGAIN",
    "SWEEP",
    "Chore",
    "RowId",
    "any_waits",
    "run",
    "spare_leases",
    "start",
    "waiting",
]

RowId: TypeAlias = int | UUID
"""Of a job, or of a call."""

DUE, TRANSITIONS = statements_of("due"), statements_of("transitions")

SWEPT_AT_ONCE = 500
RULES: dict[str, object] = {
    "at_cpu": AT_CPU,
    "lanes": list(LANES),
    "claimed": CLAIMED,
    "redriven": REDRIVEN,
    "calling": CALLING,
    "quarantined_at": QUARANTINED_AT,
    "most_crashes": MOST_CRASHES,
    "most_redrives": MOST_REDRIVES,
    "limit": SWEPT_AT_ONCE,
    "but": [],
}
"""What statements ask of stages, and of how often they may break."""
SPARED = (
    statements_of("ledger")["spare_intents"],
    TRANSITIONS["spare_claims"],
    statements_of("embeddings")["spare_claims"],
)


@dataclass(frozen=True, kw_only=True)
class Chore:
    """Something that is done to rows whose time has come."""

    due: str
    """The statement of due.sql that finds them."""
    does: Callable[[Connection, Sequence[Any], float], list[Drive]]
    """With their ids, and the seconds until a message counts as lost. Commit, then publish what it returns."""

    def find(
        self, connection: Connection, values: Mapping[str, object], *, but: Collection[RowId] = ()
    ) -> list[RowId]:
        """Finds and locks the rows, but for those that are left out."""
        rows = DUE[self.due].rows(connection, {**RULES, **values, "but": list(but)})
        return [row.id for row in rows if row.id is not None]


def run(connection: Connection, chore: Chore, *, message_s: float = 60.0, **values: object) -> list[Drive]:
    """Does a chore to all rows that it finds. Commit, then publish what it returns."""
    found = chore.find(connection, values)
    return chore.does(connection, found, message_s) if found else []


@one_statement
def any_waits(connection: Connection) -> bool:
    """Whether any job waits to be sent, whether there is room for it or not."""
    return bool(DUE["any"].scalar(connection))


def waiting(connection: Connection, room: Room, *, but: Collection[RowId] = ()) -> list[RowId]:
    """Finds and locks waiting jobs, as many as there is room for, but for those that are left out."""
    found: list[Any] = []
    for lane, kept in zip(LANES, (0, room.kept), strict=True):
        if lane not in room.wanted:
            continue
        # Jobs that come back from a hold were begun before, and go first.
        limit = room.all - kept - len(found)
        found += _waiting(connection, "begun", lane, limit, but)
        free = room.cpu - sum(STAGES[row.stage].role == "cpu" for row in found)
        limit = min(room.all - kept - len(found), free)
        found += _waiting(connection, "new", lane, limit, but, free=free, share=room.share)
    scans: list[Any] = []
    apart: list[Any] = []
    for lane in LANES:
        scans += _waiting(connection, "scans", lane, room.scans - len(scans), but)
        apart += _waiting(connection, "apart", lane, room.apart - len(apart), but)
    return [row.id for row in (*found, *scans, *apart)]


def _waiting(
    connection: Connection,
    which: str,
    lane: str,
    limit: int,
    but: Collection[RowId],
    *,
    free: int | None = None,
    share: int | None = None,
) -> list[Any]:
    values = {**RULES, "lane": lane, "limit": limit, "but": list(but), "free": free, "share": share}
    return DUE[which].rows(connection, values) if limit > 0 else []


def start(connection: Connection, ids: Sequence[RowId], message_s: float) -> list[Drive]:
    """Drives waiting jobs. Commit, then publish what it returns."""
    return _drives("start")(connection, ids, message_s)


def spare_leases(connection: Connection, for_s: float) -> None:
    """Keeps every lease for ``for_s`` seconds at least, whoever judges: their holders could not tell of them."""
    for statement in SPARED:
        statement.count(connection, {"for_s": for_s})


def _drives(name: str) -> Callable[[Connection, Sequence[Any], float], list[Drive]]:
    """A transition that drives jobs."""

    def drive(connection: Connection, ids: Sequence[Any], message_s: float) -> list[Drive]:
        values = {**RULES, "ids": list(ids), "message_s": message_s}
        return TRANSITIONS[name].rows(connection, values, of=Drive)

    return drive


def _changes(name: str) -> Callable[[Connection, Sequence[Any], float], list[Drive]]:
    """A transition after which there is nothing to publish."""

    def change(connection: Connection, ids: Sequence[Any], _: float) -> list[Drive]:
        TRANSITIONS[name].count(connection, {**RULES, "ids": list(ids)})
        return []

    return change


def _expire(connection: Connection, calls: Sequence[Any], _: float) -> list[Drive]:
    ledger.expire_intents(connection, calls)
    return []


def _abandon(connection: Connection, calls: Sequence[Any], _: float) -> list[Drive]:
    embeddings.release(connection, *calls)
    ledger.doubt_abandoned(connection, calls)
    return []


def _release_followers(connection: Connection, leaders: Sequence[Any], _: float) -> list[Drive]:
    for leader in leaders:
        flights.release_followers(connection, leader)
    return []


SWEEP: Mapping[str, Chore] = {
    "intents": Chore(due="intents", does=_expire),
    "deadlines": Chore(due="overdue", does=_changes("fail_overdue")),
    "holds": Chore(due="holds", does=_changes("free_due")),
    "probes": Chore(due="probes", does=_changes("free_for_room")),
    "poison": Chore(due="poisoned", does=_changes("fail_poisoned")),
    "followers": Chore(due="leaderless", does=_release_followers),
    "lost": Chore(due="lost", does=_drives("drive_lost")),
}
"""What is done every second, in this order, to every row whose time has come."""
ABANDONED_CALLS = Chore(due="abandoned_calls", does=_abandon)
"""For each call of a process that is known to be ``gone``: nobody will hear its answer."""
ABANDONED_JOBS = Chore(due="abandoned_jobs", does=_changes("wake_abandoned"))
"""For each job that such a process had in hand, or, where it was a worker (``took``), may have taken."""
FREE_FOR_ROOM = Chore(due="room", does=_changes("free_for_room"))
"""For a model (``held_for``), as many (``limit``) as its limits have room for."""
SEND_AGAIN = Chore(due="sent", does=_drives("send_again"))
"""For each job whose message is under way, of which the broker may know nothing more; one that is still there is
stale from then on."""
