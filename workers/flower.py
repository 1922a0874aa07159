"""Flower as docmill runs it: ``celery -A workers.app flower``, never without a password.

Flower shows what every worker does, and can end workers and tasks.
"""

from __future__ import annotations

import sys

import click
from celery import Celery, signals

from docmill.settings import Settings

__all__ = ["connect"]

COLUMNS = "name,state,args,retries,eta,received,runtime,worker,uuid"
"""Arguments are a job's id and epoch; what a job is about never travels with its tasks."""
USER = "docmill"
MOST_TASKS_OF_ITS_OWN = 100_000
"""What Flower keeps in memory unless told: half a gigabyte."""
MOST_TASKS = 2_000
FORGET_WORKERS_AFTER_S = 60
"""Of workers that are gone."""


def connect(app: Celery) -> None:
    """Prepares Flower's options as soon as it has read them; changes nothing for workers and beat."""

    def prepare(**_: object) -> None:
        # Flower has no hook for applications; it loads their modules once its options stand.
        context = click.get_current_context(silent=True)
        if context is not None and context.info_name == "flower":
            _prepare(app.settings)

    signals.import_modules.connect(prepare, sender=app, weak=False)


def _prepare(settings: Settings) -> None:
    from flower.options import options

    if settings.flower_password is not None and not options.basic_auth:
        options.basic_auth = [f"{USER}:{settings.flower_password.get_secret_value()}"]
    if not options.auth and not _are_credentials(options.basic_auth):
        sys.exit(
            "docmill: Flower shows and controls every worker, so it does not start without a password: "
            f"set DOCMILL_FLOWER_PASSWORD (for the user {USER}), or use Flower's own --basic-auth=USER:PASSWORD "
            "or --auth"
        )
    if options.max_tasks == MOST_TASKS_OF_ITS_OWN:
        options.max_tasks = MOST_TASKS
    if options.purge_offline_workers is None:
        options.purge_offline_workers = FORGET_WORKERS_AFTER_S
    if options.tasks_columns == "name,uuid,state,received,runtime,worker":  # its default
        options.tasks_columns = COLUMNS


def _are_credentials(given: list[str] | None) -> bool:
    """Whether there is somebody to let in, and each with a password."""
    return bool(given) and all(all(each.partition(":")[::2]) for each in given or ())
