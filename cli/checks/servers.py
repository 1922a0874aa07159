"""Whether servers and workers are there, and whether what they look after is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from docmill.errors import Misconfigured, ServiceAway

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from docmill.settings import Settings

__all__ = [
    "examine_broker",
    "examine_cache",
    "examine_database",
    "examine_schedules",
    "examine_upkeep",
    "examine_work",
    "examine_workers",
    "found_in",
]

Found = TypeVar("Found")


def found_in(settings: Settings, operation: Callable[[Connection], Found]) -> Found:
    """What an operation finds in the database that the settings name."""
    from db.database import open_database

    with open_database(settings.need("database_url"), pool_size=1) as database:
        return database.run(operation)


def examine_database(settings: Settings) -> str:
    from db.fleet import server

    version, role, ready = found_in(settings, server)
    if not ready:
        raise ServiceAway("the database has no docmill schema: `docmill up` brings it, or `docmill migrate`")
    return f"PostgreSQL {version} as {role}"


def examine_broker(settings: Settings) -> str:
    from tasks.celery import broker

    broker.check(broker.connect(settings))
    return "answers"


def examine_cache(settings: Settings) -> str:
    from workers.stack.probes import check_cache

    check_cache(settings.need("cache_url"))
    return "answers"


def examine_workers(settings: Settings) -> str:
    from db.fleet import seen

    workers = Counter(queue for _, queue, _ in found_in(settings, seen))
    missing = {"io", "cpu", "quarantine", *(("ocr",) if settings.ocr != "off" else ())} - workers.keys()
    if missing:
        raise ServiceAway(
            f"no {' and no '.join(sorted(missing))} worker was seen for 30 s: start one, or `docmill up`"
        )
    return ", ".join(f"{count} {queue}" for queue, count in sorted(workers.items()))


def examine_upkeep(settings: Settings) -> str:
    """Whether the workers look after what got lost, or leave out a part, a row or a file of it."""
    from db.fleet import troubles as troubles_seen

    troubles = found_in(settings, troubles_seen)
    if troubles:
        raise Misconfigured("; ".join(map(str, troubles)))
    return "whole"


def examine_work(settings: Settings) -> str:
    """What of the work needs somebody. It is told, and is no fault of the installation."""
    from db.concerns import NOTHING, concerns
    from db.overview import snapshot, tenants

    found = found_in(settings, lambda connection: snapshot(connection, tenants(connection)))
    # Workers, upkeep and models have lines of their own.
    told = [each.sentence for each in concerns(found) if each.kind not in ("workers", "upkeep")]
    return "; ".join(told) or NOTHING


def examine_schedules(settings: Settings) -> str:
    from db.schedules import listed

    found = found_in(settings, listed)
    failed = [f"{last.name}: {last.failure}" for _, last in found if last is not None and last.failure is not None]
    if failed:
        raise Misconfigured("; ".join(failed))
    return f"{len(found)}"
