"""The roles of workers: which queues they serve, and how."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from db.stages import RoleName
from docmill.settings import Settings
from tasks.queues import QUEUES

__all__ = ["ROLES", "worker_command", "worker_environment"]


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


SECRETS = ("DOCMILL_LLM_API_KEY", "DOCMILL_BUDGET_WEBHOOK", "DOCMILL_FLOWER_PASSWORD")
"""Variables that only those need who call a provider or a webhook, or serve Flower."""


def worker_command(role_name: RoleName, settings: Settings, *, name: str | None = None) -> list[str]:
    """Makes the command that runs a worker of that role.

    ``name`` sets it apart from all others of its host; unless it is given, the process that becomes it does.
    """
    role = ROLES[role_name]
    slots = {"io": settings.io_threads, "cpu": settings.cpu_processes, "quarantine": 1}[role_name]
    return [
        *(sys.executable, "-m", "celery", "-A", "workers.app", "worker"),
        *("--hostname", f"{name or f'{role_name}-{os.getpid()}'}@%h", "--queues", ",".join(role.queues)),
        *("--pool", role.pool, "--concurrency", str(slots), "--loglevel", settings.log_level.upper()),
        *("--without-gossip", "--without-mingle"),
    ]


def worker_environment(role_name: RoleName, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Makes the environment of a worker of that role: what reads other people's files is given nobody's keys."""
    if role_name == "io":
        return dict(environ)
    withheld = {*SECRETS, *settings.models.key_variables()}
    return {name: value for name, value in environ.items() if name not in withheld}
