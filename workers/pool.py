"""The pool of io workers: Celery's threads, and a word to the event loop when one is free again."""

from __future__ import annotations

from typing import Any

from celery.concurrency import thread

__all__ = ["ThreadPool"]


class ThreadPool(thread.TaskPool):
    """Celery's thread pool, which wakes the worker's event loop whenever a task ends.

    A worker takes no message beforehand (``worker_disable_prefetch``), so that while all slots are taken its loop
    asks the broker for none, and sleeps until something happens. The end of a task in a thread is nothing that it
    would see: without a word, a slot stays free until a timer is due, which can be seconds.
    """

    _hub: Any = None

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        self._hub = hub

    def on_apply(self, *args: Any, **kwargs: Any) -> thread.ApplyResult:
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._wake)
        return result

    def _wake(self, _: object) -> None:
        if self._hub is not None:
            self._hub.call_soon(_look)


def _look() -> None:
    """The loop looks for messages in each of its rounds."""
