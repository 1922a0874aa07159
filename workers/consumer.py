"""What takes messages in a worker: Celery's consumer, which a message can harm no more than itself.

A message is a doorbell, and its job stands in Postgres. So one that nobody understands is dropped and told of,
without a word of what is in it; Celery would end the worker for some, and quote others in its log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import structlog
from celery import bootsteps
from celery.concurrency import thread
from celery.worker import state
from celery.worker.consumer import Consumer as CelerysConsumer
from celery.worker.consumer.tasks import Tasks

from docmill.logs import where

__all__ = ["Consumer", "EventsAtHand", "Slots"]

log = structlog.get_logger()
quiet = logging.getLogger(__name__)


def _is_sound(headers: object) -> bool:
    """Whether headers hold what Celery believes of them later, when a slot is free and nobody catches anything."""
    if not isinstance(headers, dict):
        return False
    limits = headers.get("timelimit") or (None, None)
    kinds = {"task": str, "id": str, "retries": int | None, "eta": str | None, "expires": str | None}
    return (
        isinstance(limits, list | tuple)
        and len(limits) == len(("soft", "hard"))
        and all(isinstance(each, int | float | None) for each in limits)
        and all(isinstance(headers.get(name), kind) for name, kind in kinds.items())
    )


def _is_sound_body(body: object) -> bool:
    """Whether it holds arguments and what follows as chains of stages do; callbacks and chords are none of ours.

    Celery looks at what follows when a task has returned, and nobody catches anything there either.
    """
    shape = (list, dict, dict)
    if not isinstance(body, list) or len(body) != len(shape) or not all(map(isinstance, body, shape)):
        return False
    _, _, embed = body
    if any(embed.get(name) for name in ("callbacks", "errbacks", "chord")):
        return False
    chain = embed.get("chain") or []
    return isinstance(chain, list) and all(map(_is_signature, chain))


def _is_signature(found: object) -> bool:
    kinds = {"task": str, "args": list | None, "kwargs": dict | None, "options": dict | None}
    return isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in kinds.items())


class Slots(bootsteps.StartStopStep):
    """Tells the transport how many slots are free, where Celery tells it whether one is.

    A worker that takes no message beforehand may take so many at once, in one round trip.
    """

    requires = (Tasks,)

    def start(self, c: Any) -> None:
        if not c.app.conf.worker_disable_prefetch:
            return
        c.task_consumer.channel.qos.can_consume_max_estimate = lambda: (
            c.pool.num_processes - len(state.reserved_requests)
        )


class EventsAtHand(bootsteps.StartStopStep):
    """Lets the threads of a worker tell of events by its dispatcher, which sends them by the handful.

    Children of prefork have a socket of their own.
    """

    requires = (Tasks,)

    def start(self, c: Any) -> None:
        c.app.worker_events = c.event_dispatcher if isinstance(c.pool, thread.TaskPool) else None


class Consumer(CelerysConsumer):
    """Drops a message that is none of ours, and goes on."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], object]:
        handle = super().create_task_handler(*args, **options)

        def handle_safely(message: Any) -> object:
            if not _is_sound(message.headers):
                self._drop(message, "headers that Celery cannot use")
                return None
            try:
                if not _is_sound_body(message.payload):
                    self._drop(message, "a body that is none of a stage's")
                    return None
                return handle(message)
            except self.connection_errors:
                raise  # the broker's trouble, and not the message's
            except Exception as error:  # noqa: BLE001 - whatever a message holds, it is told and dropped
                self._drop(message, where(error))
                return None

        return handle_safely

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._drop(message, type(exc).__name__)

    def on_unknown_message(self, body: object, message: Any) -> None:  # noqa: ARG002 - Celery's shape
        self._drop(message, "no message of Celery's")

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._drop(message, "a task that nobody knows")

    def on_invalid_task(self, body: object, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._drop(message, type(exc).__name__)

    def _drop(self, message: Any, why: str) -> None:
        log.error("message_dropped", why=why)
        message.reject_log_error(quiet, self.connection_errors)
        # Celery may have counted it as taken already, and takes no more than there are slots.
        named = message.headers.get("id") if isinstance(message.headers, dict) else None
        for request in [each for each in state.reserved_requests if each.id == named]:
            state.task_ready(request)
