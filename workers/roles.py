"""The roles of workers: which queues they serve, and how."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from db.stages import RoleName
from docmill.settings import Settings
from tasks.queues import QUEUES

__all__ = ["ROLES", "worker_command"]


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a worker serves; the first queue goes first."""

    queues: tuple[str, ...]
    pool: Literal["threads", "prefork"]


ROLES: dict[RoleName, Role] = {
    # Hundreds of slow calls a process.
    "io": Role(queues=QUEUES["io"], pool="threads"),
    # Other people's files and code, in processes that time limits can end.
    "cpu": Role(queues=QUEUES["cpu"], pool="prefork"),
    # One child, so that what breaks it breaks nothing else.
    "quarantine": Role(queues=QUEUES["quarantine"], pool="prefork"),
}


def worker_command(role_name: RoleName, settings: Settings, *, name: str | None = None) -> list[str]:
    """The command that runs a worker of that role; ``name`` sets replicas on one host apart."""
    role = ROLES[role_name]
    slots = {"io": settings.io_threads, "cpu": settings.cpu_processes, "quarantine": 1}[role_name]
    return [
        *(sys.executable, "-m", "celery", "-A", "workers.app", "worker"),
        *("--hostname", f"{name or role_name}@%h", "--queues", ",".join(role.queues)),
        *("--pool", role.pool, "--concurrency", str(slots), "--loglevel", settings.log_level.upper()),
        *("--without-gossip", "--without-mingle"),
    ]
