"""What Flower is told of a task that came by no message, as a worker tells it of one that did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from celery import Celery
from celery.events import EventDispatcher

from tasks.celery.broker import BROKER_AWAY

__all__ = ["Events", "events_of"]

log = structlog.get_logger()


@dataclass(kw_only=True)
class Events:
    """One task's, by the worker's dispatcher; a child of prefork, which has none, tells all of them at the end."""

    app: Any
    request: Mapping[str, Any]
    name: str
    dispatcher: EventDispatcher | None
    wanted: bool
    _kept: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def tell_sent(self, *, queue: str) -> None:
        """That it was sent, and where its message would have gone."""
        if self.app.conf.task_send_sent_event:
            self.tell("task-sent", **self._named, queue=queue, **self.request["delivery_info"])

    def tell_begun(self) -> None:
        """That it was received, and began."""
        self.tell("task-received", **self._named)
        self.tell("task-started")

    def tell(self, kind: str, **fields: object) -> None:
        """Tells of one event, if anybody listens."""
        fields["uuid"] = self.request["id"]
        if self.dispatcher is not None:
            self.dispatcher.send(kind, **fields)
        elif self.wanted:
            self._kept.append((kind, {**fields, "timestamp": time.time()}))

    def flush(self) -> None:
        """Tells what was kept, in one message. Where the broker is away nobody hears of it; the task is done."""
        if not self._kept:
            return
        try:
            with self.app.producer_or_acquire() as producer:
                dispatcher = self.app.events.Dispatcher(
                    producer.connection,
                    hostname=self.request["hostname"],
                    channel=producer.channel,
                    buffer_group={"task"},
                    buffer_while_offline=False,
                )
                for kind, fields in self._kept:
                    dispatcher.send(kind, **fields)
                dispatcher.flush()
        except BROKER_AWAY as error:
            log.info("events_not_told", error=type(error).__name__)

    @property
    def _named(self) -> dict[str, object]:
        told = {name: self.request[name] for name in ("root_id", "parent_id", "retries")}
        shown = {"args": self.request["argsrepr"], "kwargs": self.request["kwargsrepr"]}
        return {"name": self.name, **shown, **told, "eta": None, "expires": None}


def events_of(app: Celery, request: Mapping[str, Any], *, name: str) -> Events:
    """The events of a task of this process."""
    return Events(
        app=app,
        request=request,
        name=name,
        dispatcher=getattr(app, "worker_events", None),
        wanted=bool(app.conf.worker_send_task_events),
    )
