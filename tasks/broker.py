"""The broker as workers and the API share it: one Celery application, and what it sends and how.

Why each setting is as it is stands in docs/decisions/0003; in short: the broker is a doorbell that may lose a
ring, and the job's row in Postgres is the truth.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from kombu.transport import redis as redis_transport
from redis.exceptions import RedisError

from docmill.errors import ServiceAway
from docmill.settings import Settings

__all__ = ["QUEUES", "check", "connect"]

QUEUES = ("interactive", "bulk", "cpu.interactive", "cpu.bulk", "quarantine")
CONNECTIONS = 20
CHECK_WITHIN_S = 2.0

log = structlog.get_logger()


def connect(settings: Settings) -> Celery:
    """The process's Celery application. Raises Misconfigured where no broker is named."""
    app = Celery("docmill", broker=settings.need("broker_url"), set_as_current=True)
    app.set_default()  # in every thread
    redis_transport.Channel.QoS = ForgivingQoS
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
            "visibility_timeout": 3600,
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


class ForgivingQoS(redis_transport.QoS):
    """Kombu gives unacknowledged messages back when a connection closes, and the worker ends where the broker is
    gone and takes none. Those are messages that wait for their countdown: Postgres knows when they are due.
    """

    def restore_unacked_once(self, stderr: Any = None) -> None:
        try:
            super().restore_unacked_once(stderr)
        except Exception as error:  # noqa: BLE001 - kombu fails in many ways on a connection that is gone
            log.warning("messages_not_given_back", error=type(error).__name__)


def check(app: Celery) -> None:
    """Raises ServiceAway where the broker does not answer; no message shows the password."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CHECK_WITHIN_S)
    except (OperationalError, RedisError, OSError) as error:
        raise ServiceAway(
            f"the broker does not answer ({type(error).__name__}): start it, or mend DOCMILL_BROKER_URL"
        ) from error
