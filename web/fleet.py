"""The workers, as the API reaches them: it starts jobs after a submit, and knows whether the broker answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["Fleet", "Starter", "running"]

log = structlog.get_logger()

PAUSE_S = 0.05
"""Between two starts: what comes meanwhile is started together, and upkeep gets its turn."""
AFTER_FAILURE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What the API asks of the workers' side."""

    start: Callable[[], object]
    """Starts what waits, soon, and returns at once. Where it fails, upkeep starts it."""
    check: Callable[[], None]
    """Raises ServiceAway where the broker does not answer."""


class Starter:
    """A thread that starts waiting jobs whenever it is woken.

    ``start_waiting`` is False where the broker takes no messages; then, and while the database is away, it rests.
    """

    def __init__(self, start_waiting: Callable[[], bool]) -> None:
        self._start_waiting = start_waiting
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="docmill-starter", daemon=True)

    def wake(self) -> None:
        self._woken.set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while self._woken.wait() and not self._stopping.is_set():
            self._woken.clear()
            self._stopping.wait(PAUSE_S if self._started() else AFTER_FAILURE_S)

    def _started(self) -> bool:
        try:
            return self._start_waiting()
        except SQLAlchemyError as error:
            log.warning("database_away", error=type(error).__name__)
            return False


@contextmanager
def running(starter: Starter) -> Iterator[Starter]:
    starter.start()
    try:
        yield starter
    finally:
        starter.stop()
