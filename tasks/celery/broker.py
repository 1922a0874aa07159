"""The broker as workers and the API share it: one Celery application, and what it sends and how.

Why each setting is as it is stands in docs/decisions/0003; in short: the broker is a doorbell that may lose a
ring, and the job's row in Postgres is the truth.
"""

from __future__ import annotations

import math
from typing import Any

import structlog
from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import BatchPublishError, OperationalError
from redis.exceptions import RedisError

from docmill.errors import ServiceAway
from docmill.settings import Settings
from tasks.queues import QUEUE_NAMES

__all__ = ["BROKER_AWAY", "began_anew", "check", "connect", "countdown_of", "is_rabbitmq"]

log = structlog.get_logger()

BROKER_AWAY = (BatchPublishError, OperationalError, RedisError, AMQPError, MessageNacked, OSError)
"""What a broker of either kind, or the way to it, raises where it takes no messages."""
CONNECTIONS = 20
PATIENCE = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
"""Of a publish, in seconds. It fails fast: the job waits in Postgres."""
CHECK_WITHIN_S = 2.0
LAST_RUN = "last-run"
"""A key in the broker: the server's run, as the fleet saw it last. It is gone when the broker's data is."""


def connect(settings: Settings) -> Celery:
    """The process's Celery application. Raises Misconfigured where no broker is named."""
    url = settings.need("broker_url")
    app = Celery("docmill", broker=url, set_as_current=True)
    app.set_default()  # in every thread
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_create_missing_queues=False,
        task_default_queue="bulk",
        task_publish_retry_policy=PATIENCE,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=CONNECTIONS,
        broker_pool_acquire_timeout=10,
        task_send_sent_event=settings.task_events,
        enable_utc=True,
        timezone=settings.timezone,
        **(_rabbitmq() if is_rabbitmq(app) else _redis(settings)),
    )
    return app


def is_rabbitmq(app: Celery) -> bool:
    return str(app.conf.broker_url).startswith(("amqp", "pyamqp"))


def _redis(settings: Settings) -> dict[str, Any]:
    """Redis, Valkey, or Sentinels of theirs."""
    return {
        "task_queues": [Queue(name, routing_key=name) for name in QUEUE_NAMES],
        "broker_transport_options": {
            # kombu would keep a copy of each message that is under way, for a recovery that is Postgres' here. It
            # takes a fifth of a worker's time, and ends workers whose broker comes back without the copies. What a
            # worker that stops in order still holds, countdowns, goes back to the queue from its own memory.
            "ack_emulation": False,
            **PATIENCE,  # also for connecting, where a publish is not tried again
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            "max_connections": 4 * CONNECTIONS + settings.io_threads,
            "global_keyprefix": "docmill:",
            "queue_order_strategy": "priority",
            "priority_steps": [0],  # messages have no priorities: one key a queue, and not four
            "client_name": "docmill",
        },
    }


def _rabbitmq() -> dict[str, Any]:
    """Quorum queues; countdowns pass through Celery's queues for delays, which need a topic exchange.

    Celery binds each queue to every key that ends in its own after a dot, so that none has a dot in it.
    """
    exchange = Exchange("docmill", type="topic")
    quorum = {"x-queue-type": "quorum"}
    return {
        "task_queues": [
            Queue(name, exchange, routing_key=name.replace(".", "-"), queue_arguments=quorum)
            for name in QUEUE_NAMES
        ],
        "broker_heartbeat": 10,
        "broker_transport_options": {
            "confirm_publish": True,  # or a message that the broker refuses is lost without a word
            "connect_timeout": 5,
            "read_timeout": 30,
            "write_timeout": 30,
            "client_properties": {"connection_name": "docmill"},
        },
    }


def countdown_of(app: Celery, seconds: float) -> float:
    """RabbitMQ delays messages by whole seconds, from one on."""
    return math.ceil(seconds) if is_rabbitmq(app) else seconds


def began_anew(app: Celery) -> bool:
    """Returns whether the broker started since the fleet asked last: what was under way may be gone.

    One of those who ask is told. False where the broker does not answer, and of RabbitMQ, whose queues outlive it.
    """
    if is_rabbitmq(app):
        return False
    quickly = {"socket_timeout": CHECK_WITHIN_S, "socket_connect_timeout": CHECK_WITHIN_S, "max_retries": 0}
    try:
        with app.connection_for_write(transport_options=quickly) as connection:
            client = connection.default_channel.client
            run = client.info("server")["run_id"]
            known = client.set(LAST_RUN, run, get=True)
    except BROKER_AWAY as error:
        log.info("broker_not_asked", error=type(error).__name__)
        return False
    return bool(known is None or known.decode() != run)


def check(app: Celery) -> None:
    """Raises ServiceAway where the broker does not answer; no message shows the password."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CHECK_WITHIN_S)
    except BROKER_AWAY as error:
        raise ServiceAway(
            f"the broker does not answer ({type(error).__name__}): start it, or mend DOCMILL_BROKER_URL"
        ) from error
