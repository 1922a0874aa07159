"""Schedules in the fleet: beat ticks, and the tick's task finds what is due. Two beats do no harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import structlog
from celery import Task, shared_task
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection

from db import runs, schedules
from db.schedules import Schedule, Submitted
from db.submit import Submission, submit_to_run
from docmill.errors import Misconfigured
from docmill.reading import Limits
from tasks.services import Services

__all__ = ["Wanted", "submit_slot", "tick"]

log = structlog.get_logger()

TOLD = 5
"""So many of a slot's troubles are told one by one."""


class Wanted(BaseModel):
    """What a schedule submits: a text, or each file below its paths as it lies there then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    version: str | None = None
    document: str | None = None
    paths: tuple[str, ...] = ()
    feature: str = "default"
    user: str = ""
    lane: Literal["interactive", "bulk"] = "bulk"
    params: dict[str, Any] = {}

    @classmethod
    def of(cls, schedule: Schedule) -> Wanted:
        """Raises Misconfigured where the row holds something else."""
        try:
            return cls.model_validate(dict(schedule.submit))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Misconfigured(
                f"schedule {schedule.name} submits nothing that can be ({where}: {first['msg']}): "
                f"remove it, and add it again"
            ) from error


def submit_slot(connection: Connection, schedule: Schedule, slot: datetime) -> Submitted:
    """A slot's jobs, which are a run: one for its text, or one for each of its files.

    What is missing is told; the rest goes on. Raises Misconfigured, SubmitRefused.
    """
    wanted = Wanted.of(schedule)
    troubles: list[str] = []
    said = wanted.model_dump(mode="json", exclude={"document", "paths"})
    run = runs.begin(connection, tenant=schedule.tenant, name=schedule.name, cause="schedule", submit=said)
    made = submit_to_run(connection, run.id, _submissions(schedule, slot, wanted, troubles))
    if made:
        runs.close(connection, run.id)
    else:
        runs.drop_empty(connection, run.id)
    return Submitted(jobs=len(made), failure=_told(troubles))


def _submissions(schedule: Schedule, slot: datetime, wanted: Wanted, troubles: list[str]) -> Iterator[Submission]:
    for number, (name, body) in enumerate(_bodies(wanted, troubles)):
        yield Submission(
            prompt=wanted.prompt,
            version=wanted.version,
            body=body,
            name=name,
            tenant=schedule.tenant,
            media_type="text/plain" if name is None else "application/octet-stream",
            feature=wanted.feature,
            usr=wanted.user,
            lane=wanted.lane,
            idem_key=f"schedule/{schedule.name}/{slot.isoformat()}/{number}",
            params=wanted.params,
        )


def _bodies(wanted: Wanted, troubles: list[str]) -> Iterator[tuple[str | None, bytes]]:
    """Each document's name and bytes, one in memory at a time; what cannot be read goes to the troubles."""
    if wanted.document is not None:
        yield None, wanted.document.encode()
    for path in _files(wanted.paths, troubles):
        try:
            size = path.stat().st_size
            if size > Limits().max_bytes:
                troubles.append(f"{path} has {size:,} bytes; {Limits().max_bytes:,} are allowed")
                continue
            body = path.read_bytes()
        except OSError as error:
            troubles.append(f"{path} cannot be read ({error.strerror})")
            continue
        yield str(path), body


def _files(paths: Sequence[str], troubles: list[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file, path))
        elif path.exists():
            yield path
        else:
            troubles.append(f"there is no {path}")


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _told(troubles: Sequence[str]) -> str | None:
    more = [f"and {len(troubles) - TOLD} more"] if len(troubles) > TOLD else []
    return "; ".join([*troubles[:TOLD], *more]) or None


@shared_task(name="docmill.tick", bind=True, max_retries=0)
def tick(task: Task) -> int:
    """Runs what is due, each slot and its jobs in one transaction."""
    services: Services = task.app.services
    jobs = 0
    for ran in schedules.tick(services.database, datetime.now(UTC), submit_slot):
        jobs += ran.jobs
        slot = ran.slot.isoformat()
        if ran.failure is not None:
            log.error("slot_failed", schedule=ran.name, slot=slot, jobs=ran.jobs, failure=ran.failure)
        else:
            log.info("slot_ran", schedule=ran.name, slot=slot, jobs=ran.jobs)
    return jobs
