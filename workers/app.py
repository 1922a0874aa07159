"""The Celery application: ``celery -A workers.app worker|flower|beat``.

Why each setting is as it is stands in docs/decisions/0003; in short: the broker is a doorbell that may lose a
ring, and the job's row in Postgres is the truth.
"""

from __future__ import annotations

from celery import Celery
from kombu import Queue

from docmill.settings import Settings, load_settings
from tasks import chain as stages
from tasks import schedules
from workers import lifecycle
from workers.logs import configure_logs

__all__ = ["QUEUES", "app", "make_app"]

QUEUES = ("interactive", "bulk", "cpu.interactive", "cpu.bulk", "quarantine")
BROKER_CONNECTIONS = 20
TICK_EVERY_S = 5.0


def make_app(settings: Settings) -> Celery:
    """A Celery application over the settings' broker. Raises Misconfigured where none is named."""
    made = Celery("docmill", broker=settings.need("broker_url"), set_as_current=True)
    made.conf.update(
        # A message is acknowledged when a thread takes it, and none is taken beforehand: late acknowledgement
        # runs paid calls twice when a connection blips.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        task_retry_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=0,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],
        task_create_missing_queues=False,
        task_default_queue="bulk",
        # Fail fast: a publish that fails waits in Postgres.
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=BROKER_CONNECTIONS,
        broker_pool_acquire_timeout=10,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            "max_connections": 4 * BROKER_CONNECTIONS + settings.io_threads,
            "global_keyprefix": "docmill:",
            "queue_order_strategy": "priority",
            "client_name": "docmill",
        },
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=settings.task_events,
        task_send_sent_event=settings.task_events,
        worker_max_tasks_per_child=2000,
        enable_utc=True,
        # Beat only ticks: what is due stands in Postgres. A tick that nobody took is worth nothing later.
        beat_schedule={
            "tick": {
                "task": "docmill.tick",
                "schedule": TICK_EVERY_S,
                "options": {"queue": "interactive", "expires": 3 * TICK_EVERY_S},
            }
        },
        timezone=settings.timezone,
    )
    return made


settings = load_settings()
configure_logs(settings)
app = make_app(settings)
app.settings = settings
app.services = None  # each process makes its own
app.stages = (*stages.TASKS.values(), schedules.tick)
lifecycle.connect(app)
