"""The broker as workers and the API share it: one Celery application, and what it sends and how.

Why each setting is as it is stands in docs/decisions/0003; in short: the broker is a doorbell that may lose a
ring, and the job's row in Postgres is the truth.
"""

from __future__ import annotations

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from docmill.errors import ServiceAway
from docmill.settings import Settings

__all__ = ["QUEUES", "check", "connect"]

QUEUES = ("interactive", "bulk", "cpu.interactive", "cpu.bulk", "quarantine")
CONNECTIONS = 20
CHECK_WITHIN_S = 2.0


def connect(settings: Settings) -> Celery:
    """The process's Celery application. Raises Misconfigured where no broker is named."""
    app = Celery("docmill", broker=settings.need("broker_url"), set_as_current=True)
    app.set_default()  # in every thread
    app.conf.update(
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
        broker_pool_limit=CONNECTIONS,
        broker_pool_acquire_timeout=10,
        broker_transport_options={
            # kombu would keep a copy of each message that is under way, for a recovery that is Postgres' here. It
            # takes a fifth of a worker's time, and ends workers whose broker comes back without the copies. What a
            # worker that stops in order still holds, countdowns, goes back to the queue from its own memory.
            "ack_emulation": False,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            "max_connections": 4 * CONNECTIONS + settings.io_threads,
            "global_keyprefix": "docmill:",
            "queue_order_strategy": "priority",
            "client_name": "docmill",
        },
        task_send_sent_event=settings.task_events,
        enable_utc=True,
        timezone=settings.timezone,
    )
    return app


def check(app: Celery) -> None:
    """Raises ServiceAway where the broker does not answer; no message shows the password."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CHECK_WITHIN_S)
    except (OperationalError, RedisError, OSError) as error:
        raise ServiceAway(
            f"the broker does not answer ({type(error).__name__}): start it, or mend DOCMILL_BROKER_URL"
        ) from error
