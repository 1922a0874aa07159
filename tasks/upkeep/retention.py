"""Keeping what was said to models no longer than the settings say: beat asks for it, and any io worker does it."""

from __future__ import annotations

import structlog
from celery import Task, shared_task

from db.retention import BATCH, erase_exchanges
from tasks.services import Services

__all__ = ["retention"]

log = structlog.get_logger()

DAY_S = 86_400.0


@shared_task(name="docmill.retention", bind=True, max_retries=0)
def retention(task: Task) -> int:
    """Erases exchanges that are older than DOCMILL_KEEP_EXCHANGES_DAYS, in batches; how many."""
    services: Services = task.app.services
    days = services.settings.keep_exchanges_days
    return 0 if days is None else erase_older(services, days * DAY_S)


def erase_older(services: Services, older_than_s: float) -> int:
    """Commits each batch. Two at once take different ones."""
    erased = 0
    while True:
        batch = services.database.run(erase_exchanges, older_than_s=older_than_s)
        erased += batch
        if batch < BATCH:
            break
    if erased:
        log.info("exchanges_erased", exchanges=erased)
    return erased
