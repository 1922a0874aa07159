"""Schedules: rows that say when to submit what. A slot is a row, too, so two ticks at once make its jobs once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from sqlalchemy import Connection, text

from docmill.errors import Misconfigured

__all__ = ["CatchUp", "Schedule", "add", "due_slots", "listed", "pause", "remove", "run_now", "tick"]

CatchUp: TypeAlias = Literal["all", "last", "none"]

LATE = timedelta(minutes=1)
"""A slot that is later than that was missed, and is run or not as its schedule says."""
MOST_SLOTS = 1000
"""Of one schedule in one tick; the next tick goes on."""


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


def due_slots(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime]:
    """The slots to run, and the first one after ``now``. Pure."""
    slots: list[datetime] = []
    at = schedule.next_at
    while at <= now and len(slots) < MOST_SLOTS:
        slots.append(at)
        at = _after(schedule.cron, schedule.time_zone, at)
    if schedule.catch_up == "last":
        slots = slots[-1:]
    if schedule.catch_up == "none":
        slots = [slot for slot in slots[-1:] if now - slot <= LATE]
    return slots, at


def add(
    connection: Connection, *, name: str, cron: str, time_zone: str, submit: Mapping[str, Any], catch_up: CatchUp
) -> datetime:
    """The first slot. Raises Misconfigured for a cron expression, a time zone or a name that cannot be."""
    first = _after(cron, time_zone, datetime.now(UTC))
    made = connection.execute(
        text(
            "insert into schedules (name, cron, time_zone, submit, catch_up, next_at)"
            " values (:name, :cron, :time_zone, cast(:submit as jsonb), :catch_up, :next_at)"
            " on conflict (name) do nothing"
        ),
        {
            "name": name,
            "cron": cron,
            "time_zone": time_zone,
            "submit": json.dumps(dict(submit)),
            "catch_up": catch_up,
            "next_at": first,
        },
    )
    if not made.rowcount:
        raise Misconfigured(f"there is a schedule {name} already: choose another name, or remove that one")
    return first


def listed(connection: Connection) -> list[Schedule]:
    return _schedules(connection, "order by name")


def pause(connection: Connection, name: str, *, paused: bool) -> None:
    """Slots that fall into a pause are not run afterwards. Raises Misconfigured for an unknown name."""
    schedule = _one(connection, name)
    connection.execute(
        text("update schedules set paused = :paused, next_at = :next_at where name = :name"),
        {"name": name, "paused": paused, "next_at": _after(schedule.cron, schedule.time_zone, datetime.now(UTC))},
    )


def remove(connection: Connection, name: str) -> None:
    """Its jobs stay. Raises Misconfigured for an unknown name."""
    _one(connection, name)
    connection.execute(text("delete from schedules where name = :name"), {"name": name})


def run_now(connection: Connection, name: str, submit: Callable[[Schedule, datetime], int]) -> int:
    """An extra slot; how many jobs it made. Raises Misconfigured for an unknown name."""
    return _run(connection, _one(connection, name), datetime.now(UTC), submit)


def tick(connection: Connection, now: datetime, submit: Callable[[Schedule, datetime], int]) -> int:
    """Runs every slot that is due, in the caller's transaction; how many jobs that made.

    ``submit(schedule, slot)`` inserts a slot's jobs. A schedule that another tick has in hand is left to it.
    """
    jobs = 0
    for schedule in _schedules(connection, "where not paused and next_at <= :now for update skip locked", now=now):
        slots, following = due_slots(schedule, now)
        jobs += sum(_run(connection, schedule, slot, submit) for slot in slots)
        connection.execute(
            text("update schedules set next_at = :next_at where name = :name"),
            {"name": schedule.name, "next_at": following},
        )
    return jobs


def _run(
    connection: Connection, schedule: Schedule, slot: datetime, submit: Callable[[Schedule, datetime], int]
) -> int:
    taken = connection.execute(
        text("insert into slots (name, slot) values (:name, :slot) on conflict do nothing"),
        {"name": schedule.name, "slot": slot},
    )
    if not taken.rowcount:
        return 0
    jobs = submit(schedule, slot)
    connection.execute(
        text("update slots set jobs = :jobs where name = :name and slot = :slot"),
        {"name": schedule.name, "slot": slot, "jobs": jobs},
    )
    return jobs


def _after(cron: str, time_zone: str, at: datetime) -> datetime:
    """The first slot after a time; by the clocks of the time zone, summer time included."""
    try:
        local = at.astimezone(ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Misconfigured(f"no time zone is called {time_zone!r}; one is Europe/Berlin") from error
    if not croniter.is_valid(cron):
        raise Misconfigured(f"{cron!r} is no cron expression: five fields, as in '30 3 * * 1-5'")
    if "*" in cron.split()[1]:
        return _utc(croniter(cron, local).get_next(datetime))
    # At a fixed hour once a day: by the clock on the wall, which shows some hour twice a year.
    following = croniter(cron, local.replace(tzinfo=None)).get_next(datetime)
    return _utc(following.replace(tzinfo=local.tzinfo))


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _one(connection: Connection, name: str) -> Schedule:
    found = _schedules(connection, "where name = :name", name=name)
    if not found:
        raise Misconfigured(f"there is no schedule {name}: `docmill schedules list` shows them")
    return found[0]


def _schedules(connection: Connection, which: str, **values: object) -> list[Schedule]:
    rows = connection.execute(
        text(f"select name, cron, time_zone, submit, paused, catch_up, next_at from schedules {which}"), values
    )
    return [Schedule(**row) for row in rows.mappings()]
