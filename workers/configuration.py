"""How docmill's workers have Celery set.

Why each setting is as it is stands in docs/decisions/0003; what the API needs too is in
``tasks/celery/broker.py``.
"""

from __future__ import annotations

from celery import Celery

from docmill.settings import Settings
from tasks.celery import broker

__all__ = ["make_app"]

TICK_EVERY_S = 5.0
RETENTION_EVERY_S = 900.0
CHILD_KB = 600_000
"""Memory, in KiB, at which a process that runs prompts' code ends after its task: five times what it takes."""


def make_app(settings: Settings) -> Celery:
    """A worker's Celery application. Raises Misconfigured where no broker is named."""
    made = broker.connect(settings)
    made.conf.update(
        # A message is acknowledged when a thread takes it, and none is taken beforehand: late acknowledgement
        # runs paid calls twice when a connection blips.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_retry_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_consumer="workers.consumer:Consumer",
        worker_disable_prefetch=not broker.is_rabbitmq(made),  # there Celery knows no way
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=0,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=settings.task_events,
        # A process that runs prompts' code is replaced before a leak in it hurts.
        worker_max_tasks_per_child=10_000,
        worker_max_memory_per_child=CHILD_KB,
        # Beat only ticks: what is due stands in Postgres. A tick that nobody took is worth nothing later.
        beat_schedule={
            "tick": {
                "task": "docmill.tick",
                "schedule": TICK_EVERY_S,
                "options": {"queue": "interactive", "expires": 3 * TICK_EVERY_S},
            },
            "retention": {
                "task": "docmill.retention",
                "schedule": RETENTION_EVERY_S,
                "options": {"queue": "bulk", "expires": RETENTION_EVERY_S},
            },
        },
    )
    return made
