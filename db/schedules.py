"""Schedules: rows that say when to submit what. A slot is a row, too, so two ticks at once make its jobs once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, select, true
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from db.database import Database
from db.statements import statements_of
from db.tables import schedules, slots
from docmill.bounds import check_text
from docmill.cron import Cron
from docmill.errors import DocmillError, Misconfigured

__all__ = [
    "CatchUp",
    "Ran",
    "Schedule",
    "Slot",
    "Submit",
    "Submitted",
    "add",
    "listed",
    "next_due",
    "pause",
    "remove",
    "run_now",
    "slots_of",
    "tick",
]

SQL = statements_of("schedules")

CatchUp: TypeAlias = Literal["all", "last", "none"]

MOST_RUNS = 1_000
"""Among which those of slots are looked for."""
LATE = timedelta(minutes=1)
"""A slot that is later than that was missed, and is run or not as its schedule says."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When (a cron expression in a time zone), what (the fields of a submit), and what about slots missed."""

    name: str
    cron: str
    time_zone: str
    submit: Mapping[str, Any]
    paused: bool
    catch_up: CatchUp
    next_at: datetime
    tenant: str = "default"
    """Whose jobs its slots are."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What a slot's documents came to: how many jobs, and what could not become one."""

    jobs: int
    failure: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A slot that was run, however it went."""

    name: str
    slot: datetime
    jobs: int
    failure: str | None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A slot that was run, with the run that its jobs are."""

    slot: datetime
    at: datetime
    jobs: int
    failure: str | None
    run_id: int | None


Submit: TypeAlias = Callable[[Connection, Schedule, datetime], Submitted]
"""Inserts a slot's jobs. A DocmillError or an OSError is the slot's failure, and leaves none of its jobs."""


def next_due(schedule: Schedule, now: datetime) -> tuple[datetime | None, datetime]:
    """The slot to run now, and the one to look at after it. Pure.

    For a schedule that is due. None: what was missed is not made up for. Raises Misconfigured where the
    schedule's cron expression or time zone is none (any more).
    """
    cron = Cron(schedule.cron, schedule.time_zone)
    if schedule.catch_up == "all":
        return schedule.next_at, cron.first_after(schedule.next_at)
    last = cron.last_between(schedule.next_at, now) or schedule.next_at
    missed = now - last > LATE
    return None if missed and schedule.catch_up == "none" else last, cron.first_after(now)


def add(
    connection: Connection,
    *,
    name: str,
    cron: str,
    time_zone: str,
    submit: Mapping[str, Any],
    catch_up: CatchUp,
    tenant: str = "default",
) -> datetime:
    """The first slot. Raises Misconfigured for a cron expression, a time zone or a name that cannot be,
    SubmitRefused for a tenant."""
    check_text("tenant", tenant, empty=False)
    first = Cron(cron, time_zone).first_after(datetime.now(UTC))
    timing = {"cron": cron, "time_zone": time_zone, "catch_up": catch_up, "next_at": first, "tenant": tenant}
    if not SQL["add"].count(connection, {"name": name, "submit": json.dumps(dict(submit)), **timing}):
        raise Misconfigured(f"there is a schedule {name} already: choose another name, or remove that one")
    return first


def listed(connection: Connection, *, tenant: str | None = None) -> list[tuple[Schedule, Ran | None]]:
    """Every schedule, or a tenant's, and what came of its last slot."""
    last = (
        select(slots.c.slot, slots.c.jobs, slots.c.failure)
        .where(slots.c.name == schedules.c.name)
        .order_by(slots.c.at.desc())
        .limit(1)
        .lateral("last")
    )
    found = select(schedules, last).outerjoin(last, true()).order_by(schedules.c.name)
    rows = connection.execute(found if tenant is None else found.where(schedules.c.tenant == tenant))
    return [(_schedule(row), None if row.slot is None else _ran(row)) for row in rows]


def slots_of(connection: Connection, name: str, *, limit: int) -> list[Slot]:
    """The latest slots of a schedule, the newest first."""
    return SQL["slots_of"].rows(connection, {"name": name, "limit": limit, "most": MOST_RUNS}, of=Slot)


def _schedule(row: Any) -> Schedule:
    return Schedule(**{each.name: getattr(row, each.name) for each in fields(Schedule)})


def _ran(row: Any) -> Ran:
    return Ran(name=row.name, slot=row.slot, jobs=row.jobs, failure=row.failure)


def pause(connection: Connection, name: str, *, paused: bool) -> None:
    """Slots that fall into a pause are not run afterwards. Raises Misconfigured for an unknown name.

    A schedule whose expression cannot be read can be paused, and not resumed.
    """
    schedule = _one(connection, name)
    next_at = (
        schedule.next_at if paused else Cron(schedule.cron, schedule.time_zone).first_after(datetime.now(UTC))
    )
    SQL["put_off"].count(connection, {"name": name, "paused": paused, "next_at": next_at})


def remove(connection: Connection, name: str) -> None:
    """Its jobs stay. Raises Misconfigured for an unknown name."""
    _one(connection, name)
    SQL["remove"].count(connection, {"name": name})


def run_now(connection: Connection, name: str, submit: Submit) -> Ran:
    """An extra slot. Raises Misconfigured for an unknown name."""
    return _run(connection, _one(connection, name), datetime.now(UTC), submit)


def tick(database: Database, now: datetime, submit: Submit) -> Iterator[Ran]:
    """Runs every slot that is due, each with its jobs in a transaction of its own.

    A schedule that another tick has in hand is left to it. One that cannot be run keeps no other from it: what
    the database raised for it is raised at the end.
    """
    broken: DBAPIError | None = None
    with database.work() as connection:
        names = [row.name for row in SQL["due"].rows(connection, {"now": now})]
    for name in names:
        try:
            yield from _run_due(database, name, now, submit)
        except DBAPIError as error:
            broken = error
    if broken is not None:
        raise broken


def _run_due(database: Database, name: str, now: datetime, submit: Submit) -> Iterator[Ran]:
    """The schedule's slots up to now, one commit each."""
    while True:
        with database.work() as connection:
            found = SQL["lock_due"].rows(connection, {"name": name, "now": now}, of=Schedule)
            if not found:
                return
            ran = _run_next(connection, found[0], now, submit)
        if ran is not None:
            yield ran


def _run_next(connection: Connection, schedule: Schedule, now: datetime, submit: Submit) -> Ran | None:
    try:
        slot, following = next_due(schedule, now)
    except Misconfigured as error:
        return _set_aside(connection, schedule, error)
    SQL["put_off"].count(connection, {"name": schedule.name, "paused": None, "next_at": following})
    return None if slot is None else _run(connection, schedule, slot, submit)


def _set_aside(connection: Connection, schedule: Schedule, error: Misconfigured) -> Ran:
    """A schedule whose next slot nobody can tell is paused, and its slot says why."""
    SQL["put_off"].count(connection, {"name": schedule.name, "paused": True, "next_at": None})
    nothing = Submitted(jobs=0, failure=f"paused: {error}")
    return _run(connection, schedule, schedule.next_at, lambda *_: nothing)


def _run(connection: Connection, schedule: Schedule, slot: datetime, submit: Submit) -> Ran:
    if not SQL["take_slot"].count(connection, {"name": schedule.name, "slot": slot}):
        return Ran(name=schedule.name, slot=slot, jobs=0, failure=None)
    submitted = _submitted(connection, schedule, slot, submit)
    ran = Ran(name=schedule.name, slot=slot, jobs=submitted.jobs, failure=submitted.failure)
    SQL["note_slot"].count(connection, vars(ran))
    return ran


def _submitted(connection: Connection, schedule: Schedule, slot: datetime, submit: Submit) -> Submitted:
    try:
        with connection.begin_nested():
            return submit(connection, schedule, slot)
    except (DocmillError, OSError) as error:
        return Submitted(jobs=0, failure=str(error))
    except (OperationalError, InterfaceError):
        raise  # the database's trouble, and not the schedule's: the slot is tried again
    except DBAPIError as error:  # its message may quote a document
        return Submitted(jobs=0, failure=f"the database refuses what it submits ({type(error.orig).__name__})")


def _one(connection: Connection, name: str) -> Schedule:
    found = connection.execute(select(schedules).where(schedules.c.name == name)).first()
    if found is None:
        raise Misconfigured(f"there is no schedule {name}: `docmill schedules list` shows them")
    return _schedule(found)
