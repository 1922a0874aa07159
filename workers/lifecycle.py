"""What a worker does when it starts, while it runs and when it ends.

Thread pools make their services once a process. Prefork pools make them in each child, after the fork: neither
connections nor threads survive one.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.concurrency import get_implementation, thread
from sqlalchemy.exc import SQLAlchemyError

from db import fleet
from db.database import open_database
from docmill.errors import DocmillError
from docmill.processes import collect_seldom, identify, limit_memory, raise_file_limit
from docmill.settings import Settings
from prompts.readiness import Unready
from tasks.upkeep.tick import Upkeep
from workers.consumer import EventsAtHand, Slots
from workers.ending import Ending
from workers.pool import ThreadPool
from workers.services import cpu_services, io_services

__all__ = ["connect"]

log = structlog.get_logger()

SEEN_EVERY_S = 10.0
AFTER_DEFECT_S = 5.0
_open = ExitStack()
"""This process's services, until it ends."""


def connect(app: Celery) -> None:
    """Ties services and upkeep to the app's workers."""

    name = ""

    def start_threads(sender: Any, **_: object) -> None:
        nonlocal name
        name = sender.hostname
        if not _is_threads(sender):
            return
        sender.pool_cls = ThreadPool
        raise_file_limit()  # each open call has a connection
        try:
            app.services = _open.enter_context(io_services(app.settings, owner=_identify(app, name), celery=app))
        except DocmillError as error:
            sys.exit(f"docmill: {error}")
        collect_seldom()

    def start_child(**_: object) -> None:
        app.services = _open.enter_context(cpu_services(app.settings, owner=_identify(app, name)))
        limit_memory()

    def end(**_: object) -> None:
        _open.close()

    signals.worker_init.connect(start_threads, weak=False)
    signals.worker_process_init.connect(start_child, weak=False)
    signals.worker_shutdown.connect(end, weak=False)
    signals.worker_process_shutdown.connect(end, weak=False)
    app.steps["worker"].add(Ending)
    app.steps["worker"].add(UpkeepThread)
    app.steps["worker"].add(Heartbeat)
    app.steps["consumer"].add(Slots)
    app.steps["consumer"].add(EventsAtHand)


def _identify(app: Any, name: str) -> str:
    return identify(name, app.settings.spool_folder)


def _is_threads(worker: Any) -> bool:
    return issubclass(get_implementation(worker.pool_cls), thread.TaskPool)


class UpkeepThread(bootsteps.StartStopStep):
    """The timer thread of an io worker. It needs neither beat nor the broker, and never stands beside forks."""

    def __init__(self, worker: Any, **options: Any) -> None:
        self.enabled = _is_threads(worker)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        services = worker.app.services
        unready = Unready(registry=services.registry, models=services.settings.models)
        for prompt, why in unready.now().items():
            log.error("prompt_unready", prompt=prompt, error=why)
        upkeep = Upkeep(services=services, worker=worker.hostname, slots=worker.concurrency, unready=unready.now)
        self._thread = threading.Thread(target=self._run, args=(upkeep,), name="docmill-upkeep", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            worker.app.services.database.run(fleet.forget_worker, worker.hostname)
        except SQLAlchemyError as error:  # it will be seen no more; that is enough
            log.info("not_deregistered", error=type(error).__name__)

    def _run(self, upkeep: Upkeep) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                pause = upkeep.tick()
            except Exception:
                # A defect must be told, and must not end the one thread that looks after everything that got lost.
                log.exception("upkeep_broke")
                pause = AFTER_DEFECT_S


class Heartbeat(bootsteps.StartStopStep):
    """Tells the fleet of a prefork worker. In the parent process, so with a connection that lives for a moment."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        self.enabled = not _is_threads(worker)
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        self._beat(worker)
        worker.timer.call_repeatedly(SEEN_EVERY_S, self._beat, (worker,))

    def stop(self, worker: Any) -> None:
        self._tell(worker, fleet.forget_worker)

    def _beat(self, worker: Any) -> None:
        served = worker.app.amqp.queues.consume_from
        queue = next((name for name in ("quarantine", "ocr") if name in served), "cpu")
        process = _identify(worker.app, worker.hostname)
        self._tell(worker, fleet.see_worker, queue, worker.concurrency, process=process)

    def _tell(self, worker: Any, what: Any, *told: Any, **also: Any) -> None:
        settings: Settings = worker.app.settings
        try:
            with open_database(settings.need("database_url"), pool_size=1, probe=False) as database:
                database.run(what, worker.hostname, *told, **also)
        except SQLAlchemyError as error:
            log.warning("database_away", error=type(error).__name__)
