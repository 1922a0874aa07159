"""The workers that were seen lately, and how much room they have for jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from db.database import one_statement
from db.stages import RoleName, stages_where
from db.statements import statements_of
from db.transitions import CALLING, CLAIMED, QUARANTINED_AT
from docmill.storable import dump_json

__all__ = [
    "LANES",
    "LOST_S",
    "Room",
    "Trouble",
    "at_work",
    "database_started_s",
    "forget_gone",
    "forget_worker",
    "held_for",
    "is_wanted",
    "processes",
    "room",
    "room_for_countdown",
    "see_worker",
    "seen",
    "server",
    "troubles",
    "try_lead",
    "unready",
]

SQL = statements_of("fleet")

UPKEEP_LOCK = 0x75706B70
SEEN_WITHIN_S = 30.0
CPU_AHEAD = 64
"""Jobs in hand for each slot that reads or parses: most take milliseconds, and upkeep looks ten times a second. A
tenant that is alone gets half of them."""
QUARANTINE_AHEAD = 2
"""Jobs in hand for each slot of quarantine: they may take half a minute, and whose turn it is is told here."""
OCR_AHEAD = 2
"""Jobs in hand for each slot that does OCR: one is read, and one is ready."""
FORGOTTEN_S = 30.0
"""Whoever has a job in hand for so long has left it to a message, and could not say so."""
LOST_S = 30.0
"""Who waits for longer has lost its message, as a rule, and upkeep looks for it."""
LANES = ("interactive", "bulk")
"""The first goes first."""
AT_CPU = stages_where(lambda rules: rules.role == "cpu")


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many jobs more the fleet takes."""

    cpu: int
    """At stages that compute."""
    apart: int
    """In quarantine, where jobs wait for it."""
    share: int
    """Of the slots that compute, what a tenant may hold whose documents had to let others pass."""
    scans: int
    """For OCR, where jobs wait for it."""
    all: int
    kept: int
    """Of ``all``, what only interactive jobs may use."""
    wanted: frozenset[str]
    """The lanes in which jobs wait for it."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A part of a worker's upkeep that breaks, or goes on without something."""

    worker: str
    part: str
    since: str
    """A time of ISO 8601."""
    told: str
    breaks: bool
    """Nothing of it is done, again and again."""

    def __str__(self) -> str:
        does = "breaks" if self.breaks else "goes on"
        return f"upkeep of {self.worker}: {self.part} {does} since {self.since}: {self.told}"


def server(connection: Connection) -> tuple[str, str, bool]:
    """The version of the database server, the role that asks, and whether docmill's schema is there."""
    row = SQL["server"].one(connection, {})
    return row.version, row.role, row.ready


def try_lead(connection: Connection) -> bool:
    """Makes this transaction the one that does upkeep now; False where another one is."""
    return bool(SQL["try_lock"].scalar(connection, {"key": UPKEEP_LOCK}))


def see_worker(
    connection: Connection,
    name: str,
    queue: str,
    slots: int,
    *,
    process: str | None = None,
    unready: Mapping[str, str] | None = None,
    troubles: Mapping[str, Any] | None = None,
) -> None:
    """Notes that a worker lives, and works so many tasks at once.

    ``process`` names it as :func:`docmill.processes.identify` does: its death is told from its silence.
    ``unready`` are prompts that it cannot answer, and why; ``troubles`` are parts of its upkeep by their names, as
    :class:`Trouble` has them.
    """
    told = {"unready": dump_json(dict(unready or {})), "troubles": dump_json(dict(troubles or {}))}
    SQL["see_worker"].count(connection, {"name": name, "queue": queue, "slots": slots, "process": process, **told})


def troubles(connection: Connection) -> list[Trouble]:
    """Reads what keeps upkeep from being whole, in the workers that were seen lately."""
    seen = SQL["troubles"].rows(connection, {"within_s": SEEN_WITHIN_S})
    return [
        Trouble(
            worker=row.name, part=part, since=told["since"], told=told["told"], breaks=bool(told.get("breaks"))
        )
        for row in seen
        for part, told in row.troubles.items()
    ]


def seen(connection: Connection, *, within_s: float = SEEN_WITHIN_S) -> list[tuple[str, str, int]]:
    """Lists the workers that were seen lately: name, queue and slots."""
    return [(row.name, row.queue, row.slots) for row in SQL["seen"].rows(connection, {"within_s": within_s})]


@one_statement
def is_wanted(connection: Connection, role: RoleName) -> bool:
    """Returns whether a job is on its way to a role that stands by, or waits for it."""
    values = {"claimed": CLAIMED, "calling": CALLING, "quarantined_at": QUARANTINED_AT, "at_cpu": AT_CPU}
    values |= {"role": role, "forgotten_s": FORGOTTEN_S, "patience_s": LOST_S}
    return bool(SQL["is_wanted"].scalar(connection, values))


def forget_worker(connection: Connection, name: str) -> None:
    """Takes away a worker that stops."""
    SQL["forget_worker"].count(connection, {"name": name})


@one_statement
def at_work(connection: Connection) -> tuple[set[str], set[str]]:
    """The processes of all workers that did not stop in order, and the owners of all open calls and claims."""
    workers: set[str] = set()
    holders: set[str] = set()
    for row in SQL["at_work"].rows(connection):
        (workers if row.worker else holders).add(row.process)
    return workers, holders


def forget_gone(connection: Connection, gone: Collection[str]) -> None:
    """Takes away workers whose processes ended without a word."""
    SQL["forget_gone"].count(connection, {"gone": list(gone)})


def unready(connection: Connection) -> dict[str, str] | None:
    """By ``name/version``, the prompts that no io worker can answer, and why; None where none was seen lately."""
    seen = [row.unready for row in SQL["unready"].rows(connection, {"within_s": SEEN_WITHIN_S})]
    return {name: why for name, why in seen[0].items() if all(name in other for other in seen)} if seen else None


def room(connection: Connection) -> Room:
    """Returns what the workers that were seen lately have not in hand already."""
    values = {"within_s": SEEN_WITHIN_S, "lanes": list(LANES), "at_cpu": AT_CPU}
    found = SQL["room"].one(connection, values)
    io = 2 * found.io
    return Room(
        cpu=CPU_AHEAD * found.cpu - found.at_cpu,
        share=max(1, found.cpu // 2),
        scans=OCR_AHEAD * found.ocr - found.scans if found.wanted_scans else 0,
        apart=QUARANTINE_AHEAD * found.quarantine - found.apart if found.wanted_apart else 0,
        all=io - found.out,
        kept=io // 10,
        wanted=frozenset(found.wanted),
    )


def room_for_countdown(connection: Connection) -> bool:
    """Returns whether another job may wait in the broker: more countdowns than io slots would block other work.

    Some room is left for those that count at the same time: a process has a tenth as many connections as slots.
    """
    return bool(SQL["room_for_countdown"].scalar(connection, {"within_s": SEEN_WITHIN_S}))


def processes(connection: Connection) -> int:
    """Io workers that were seen lately: so many share the provider's limits."""
    return int(SQL["processes"].scalar(connection, {"within_s": SEEN_WITHIN_S}))


def held_for(connection: Connection) -> list[str]:
    """The models for whose limits jobs are held."""
    return [row.key for row in SQL["held_for"].rows(connection)]


def database_started_s(connection: Connection) -> float:
    """Returns how long ago the server started: a process that has just begun cannot know that it was away."""
    return float(SQL["started_s"].scalar(connection))
