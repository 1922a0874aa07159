"""The roles of workers: which queues they serve, and how."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from db.stages import RoleName
from docmill.settings import Settings
from tasks.queues import QUEUES

__all__ = ["ROLES", "Part", "environment_for", "serving_command", "slots_of", "stops_within_s", "worker_command"]

Part: TypeAlias = Literal["io", "cpu", "ocr", "quarantine", "api", "beat", "flower", "simulator"]


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a worker serves; the first queue goes first."""

    queues: tuple[str, ...]
    pool: Literal["threads", "prefork"]
    stands_by: bool = False
    """It is needed seldom, and starts when a job needs it (:mod:`workers.standby`)."""


ROLES: dict[RoleName, Role] = {
    # Hundreds of slow calls a process.
    "io": Role(queues=QUEUES["io"], pool="threads"),
    # Other people's files and code, in processes that time limits can end.
    "cpu": Role(queues=QUEUES["cpu"], pool="prefork", stands_by=True),
    # Pages that only OCR can read, one at a time: each takes seconds of a core and hundreds of megabytes.
    "ocr": Role(queues=QUEUES["ocr"], pool="prefork", stands_by=True),
    # One child, so that what breaks it breaks nothing else.
    "quarantine": Role(queues=QUEUES["quarantine"], pool="prefork", stands_by=True),
}


STOPPING_S = 30.0
"""Beside the call deadline: how long a worker may take to end what it has begun."""
CALLERS: tuple[Part, ...] = ("io", "api")
"""What calls models: jobs, and searches that somebody waits for."""
SECRETS: dict[str, tuple[Part, ...]] = {
    "DOCMILL_LLM_API_KEY": CALLERS,
    "DOCMILL_BUDGET_WEBHOOK": ("io",),
    "DOCMILL_WEBHOOK_KEY": ("io", "api"),
    "DOCMILL_METRICS_KEY": ("api",),
    "DOCMILL_DATABASE_OWNER_PASSWORD": ("io",),
    "DOCMILL_DATABASE_OWNER_URL": ("io",),  # upkeep builds indexes
    "DOCMILL_FLOWER_PASSWORD": ("flower",),
}
"""Variables, and who is given them."""


def worker_command(role_name: RoleName, settings: Settings, *, name: str | None = None) -> list[str]:
    """Makes the command that runs a worker of that role, or one that stands by for it.

    ``name`` sets it apart from all others of its host; unless it is given, the process that becomes it does.
    """
    name = name or f"{role_name}-{os.getpid()}"
    if ROLES[role_name].stands_by:
        return [sys.executable, "-m", "workers.standby", role_name, name]
    return [sys.executable, "-m", *serving_command(role_name, settings, name=name)]


def serving_command(role_name: RoleName, settings: Settings, *, name: str) -> list[str]:
    """Makes the module and arguments of a worker that serves the role's queues from its start."""
    role = ROLES[role_name]
    return [
        *("celery", "-A", "workers.app", "worker"),
        *("--hostname", f"{name}@%h", "--queues", ",".join(role.queues)),
        *("--pool", role.pool, "--concurrency", str(slots_of(role_name, settings))),
        *("--loglevel", settings.log_level.upper(), "--without-gossip", "--without-mingle"),
    ]


def slots_of(role_name: RoleName, settings: Settings) -> int:
    """Tells how many tasks a worker of that role works at once."""
    return {
        "io": settings.io_threads,
        "cpu": settings.cpu_processes,
        "ocr": settings.ocr_processes,
        "quarantine": 1,
    }[role_name]


def stops_within_s(settings: Settings) -> float:
    """Tells how long a worker may take to stop in order, with the longest call just begun."""
    return settings.call_deadline_s + STOPPING_S


def environment_for(part: Part, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Makes the environment of one program of a stack: of all secrets, those that it needs.

    So what reads other people's files is given nobody's keys, and no way to change tables.
    """
    needed = {**SECRETS, **dict.fromkeys(settings.models.key_variables(), CALLERS)}
    return {name: value for name, value in environ.items() if part in needed.get(name, (part,))}
