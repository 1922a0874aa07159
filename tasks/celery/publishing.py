"""A stage's message, made without what docmill's tasks never use.

Celery makes any task's message: it asks routes, delays, stamps and signals, and declares the queue anew, which
takes half of the time of a publish. A stage's message holds a job's id and its epoch, goes to a queue that stands,
and says what follows. It is the same message, and what publishes it is kombu's, with its tries and batches.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from celery import Task
from celery.events import EventDispatcher
from celery.utils.nodenames import anon_nodename
from kombu import Producer
from kombu.utils.uuid import uuid

from tasks.celery.broker import PATIENCE, is_rabbitmq

__all__ = ["StageTask"]

SAID = frozenset({"queue", "chain", "root_id", "parent_id", "retry"})
"""All that is said of a stage that goes on in a chain, or starts one."""


class StageTask(Task):
    """A task of Celery's whose arguments are numbers."""

    abstract = True

    def apply_async(
        self, args: Any = None, kwargs: Any = None, *, producer: Producer | None = None, **options: Any
    ) -> Any:
        """Sends the task, as :meth:`celery.Task.apply_async` does."""
        if kwargs or not SAID.issuperset(options) or not self._is_direct_to(options.get("queue")):
            return super().apply_async(args, kwargs, producer=producer, **options)
        task_id = uuid()
        with self.app.producer_or_acquire(producer) as sender:
            self._send(sender, task_id, list(args or ()), **options)
        return self.AsyncResult(task_id)

    def _send(
        self,
        producer: Producer,
        task_id: str,
        args: Sequence[int],
        *,
        queue: str,
        chain: Sequence[Any] | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        retry: bool = True,
    ) -> None:
        # What a task publishes itself, as a drive that it makes, comes after it, too.
        if (by := self.app.current_worker_task) is not None:
            root_id = root_id or by.request.root_id or by.request.id
            parent_id = parent_id or by.request.id
        shown = {"root_id": root_id or task_id, "parent_id": parent_id, "retries": 0, "eta": None, "expires": None}
        told = {"args": f"({', '.join(map(str, args))})", "kwargs": "{}"}
        producer.publish(
            json.dumps([args, {}, {"callbacks": None, "errbacks": None, "chain": chain, "chord": None}]),
            content_type="application/json",
            content_encoding="utf-8",
            exchange="",
            routing_key=queue,
            retry=retry,
            retry_policy=dict(PATIENCE),
            correlation_id=task_id,
            reply_to="",
            headers={
                "lang": "py",
                "task": self.name,
                "id": task_id,
                "shadow": None,
                "group": None,
                "group_index": None,
                "timelimit": [None, None],
                "argsrepr": told["args"],
                "kwargsrepr": told["kwargs"],
                "origin": anon_nodename(),
                "ignore_result": True,
                **shown,
            },
        )
        if self.app.conf.task_send_sent_event:
            where = {"queue": queue, "exchange": "", "routing_key": queue}
            event = {"uuid": task_id, "name": self.name, **told, **shown, **where}
            self._events.publish("task-sent", event, producer, retry=retry, retry_policy=dict(PATIENCE))

    def _is_direct_to(self, queue: object) -> bool:
        """Whether it is the name of a queue that stands, and all that a message needs to come there."""
        return self._is_redis and isinstance(queue, str) and queue in self.app.amqp.queues

    @cached_property
    def _is_redis(self) -> bool:
        return not is_rabbitmq(self.app)

    @cached_property
    def _events(self) -> EventDispatcher:
        """One that is handed what it publishes with."""
        return self.app.events.Dispatcher(enabled=False)
