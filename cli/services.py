"""``docmill migrate``, ``worker``, ``api`` and ``beat``: a stack's parts, as containers run them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.console import Data
from docmill.errors import Misconfigured

__all__ = ["api", "beat", "migrate", "worker"]


def migrate() -> None:
    """Bring the database to the schema that this version needs."""
    from db.migrations import upgrade
    from docmill.settings import load_settings

    settings = load_settings()
    upgrade(settings.owner_url, application_url=settings.need("database_url"), timezone=settings.timezone)
    typer.echo("the database is up to date")


def worker(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="io, cpu, ocr or quarantine.")],
    data: Data = None,
) -> None:
    """Run a worker; several of one role are several replicas. It joins the stack that runs on a data folder."""
    from workers.roles import ROLES, environment_for, worker_command
    from workers.stack.addresses import default_data, environment_of, settings_of

    if role not in ROLES:
        raise Misconfigured(f"a worker is one of {', '.join(ROLES)}, and not {role!r}")
    settings = settings_of(data)
    environment = environment_of(settings, (data or settings.data or default_data()).absolute())
    _become(worker_command(role, settings), environment_for(role, settings, environment))


def api(host: str = "127.0.0.1", port: int = 8080) -> None:
    """Serve the HTTP API and the pages. Beyond loopback callers need keys."""
    _become([sys.executable, "-m", "web", "--host", host, "--port", str(port)])


def beat(schedule: Annotated[str, typer.Option(help="A file that it may write.")] = "beat-schedule") -> None:
    """Tick for schedules. Two of them do no harm."""
    _become([sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--schedule", schedule, "--pidfile", ""])


def _become(command: list[str], environment: Mapping[str, str] = os.environ) -> None:
    """Replaces this process, so that signals reach the program itself."""
    os.execve(command[0], command, environment)  # noqa: S606 - a fixed list of arguments, and no shell
