"""When a worker that was told to end has ended, at the latest.

Celery knows no such time. Its cold shutdown runs where the signal came, which may be amid a message to a child:
then the child waits for the rest of it, and Celery for the child, without an end (docs/decisions/0219).
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps, signals
from celery.concurrency import thread

from docmill.processes import end_within
from workers.roles import stops_within_s

__all__ = ["Ending"]

QUITS_WITHIN_S = 10.0
"""On SIGQUIT, or a second SIGINT, where tasks are in children: Celery ends them then, and waits for none."""


class Ending(bootsteps.StartStopStep):
    """Has a worker end in time, however it was told to: by a signal, from afar, or by an error of its own."""

    def __init__(self, worker: Any, **options: Any) -> None:
        self._stops_within_s = stops_within_s(worker.app.settings)
        # Threads cannot be ended. Celery waits for their calls, which cost money.
        is_threads = issubclass(worker.pool_cls, thread.TaskPool)
        self._quits_within_s = self._stops_within_s if is_threads else QUITS_WITHIN_S
        self._wait_for_tasks = worker.wait_for_soft_shutdown
        # A cold shutdown begins with it; the signal is sent when that is over.
        worker.wait_for_soft_shutdown = self._quit
        signals.worker_shutting_down.connect(self._stop)
        super().__init__(worker, **options)

    def close(self, _worker: Any) -> None:
        """Celery's word for the first part of any end."""
        self._stop()

    def _stop(self, **_: object) -> None:
        end_within(self._stops_within_s)

    def _quit(self) -> None:
        end_within(self._quits_within_s)
        self._wait_for_tasks()
