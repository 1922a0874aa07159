"""The broker as workers and the API share it: one Celery application, and what it sends and how.

Why each setting is as it is stands in docs/decisions/0003; in short: the broker is a doorbell that may lose a
ring, and the job's row in Postgres is the truth.
"""

from __future__ import annotations

import structlog
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from docmill.errors import ServiceAway
from docmill.settings import Settings

__all__ = ["QUEUES", "began_anew", "check", "connect"]

log = structlog.get_logger()

QUEUES = ("interactive", "bulk", "cpu.interactive", "cpu.bulk", "quarantine")
CONNECTIONS = 20
CHECK_WITHIN_S = 2.0
REDIS = ("redis", "rediss", "unix", "sentinel")
"""How addresses of Redis and Valkey begin."""
LAST_RUN = "last-run"
"""A key in the broker: the server's run, as the fleet saw it last. It is gone when the broker's data is."""


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


def began_anew(app: Celery) -> bool:
    """Whether the broker has started since anybody of the fleet asked last: what was under way may be gone.

    One of those who ask is told. False where the broker does not answer, and of RabbitMQ, whose queues outlive it.
    """
    if not app.conf.broker_url.startswith(REDIS):
        return False
    quickly = {"socket_timeout": CHECK_WITHIN_S, "socket_connect_timeout": CHECK_WITHIN_S, "max_retries": 0}
    try:
        with app.connection_for_write(transport_options=quickly) as connection:
            client = connection.default_channel.client
            run = client.info("server")["run_id"]
            known = client.set(LAST_RUN, run, get=True)
    except (OperationalError, RedisError, OSError) as error:
        log.info("broker_not_asked", error=type(error).__name__)
        return False
    return bool(known is None or known.decode() != run)


def check(app: Celery) -> None:
    """Raises ServiceAway where the broker does not answer; no message shows the password."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CHECK_WITHIN_S)
    except (OperationalError, RedisError, OSError) as error:
        raise ServiceAway(
            f"the broker does not answer ({type(error).__name__}): start it, or mend DOCMILL_BROKER_URL"
        ) from error
