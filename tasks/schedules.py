"""Schedules in the fleet: beat ticks, and the tick's task finds what is due. Two beats do no harm."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import structlog
from celery import Task, shared_task
from sqlalchemy import Connection

from db import schedules
from db.schedules import Schedule
from db.submit import Submission
from db.submit import submit as submit_job
from tasks.services import Services

__all__ = ["submit_slot", "tick"]

log = structlog.get_logger()


def submit_slot(connection: Connection, schedule: Schedule, slot: datetime) -> int:
    """A slot's jobs: one for its text, or one for each of its files as they lie there now."""
    wanted = schedule.submit
    bodies: list[tuple[str | None, bytes]] = (
        [(None, str(wanted["document"]).encode())] if wanted.get("document") is not None else []
    )
    bodies += [(path.name, path.read_bytes()) for path in _files(schedule)]
    for number, (name, body) in enumerate(bodies):
        submission = Submission(
            prompt=wanted["prompt"],
            version=wanted.get("version"),
            body=body,
            name=name,
            media_type="text/plain" if name is None else "application/octet-stream",
            feature=wanted.get("feature", "default"),
            usr=wanted.get("user", ""),
            lane=wanted.get("lane", "bulk"),
            idem_key=f"schedule/{schedule.name}/{slot.isoformat()}/{number}",
            params=wanted.get("params", {}),
        )
        submit_job(connection, submission)
    return len(bodies)


def _files(schedule: Schedule) -> list[Path]:
    found: list[Path] = []
    for name in schedule.submit.get("paths", ()):
        path = Path(name)
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        elif path.is_file():
            found.append(path)
        else:
            log.error("schedule_path_missing", schedule=schedule.name, path=name)
    return found


@shared_task(name="docmill.tick", bind=True, max_retries=0)
def tick(task: Task) -> int:
    """Runs what is due, slots and jobs in one transaction."""
    services: Services = task.app.services
    with services.engine.begin() as connection:
        jobs = schedules.tick(
            connection, datetime.now(UTC), lambda schedule, slot: submit_slot(connection, schedule, slot)
        )
    if jobs:
        log.info("scheduled", jobs=jobs)
    return jobs
