"""How long stages take, as each process measures it: added to the fleet's figures now and then."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import figures
from db.database import Database
from db.stages import Stage

__all__ = ["StageTimes"]

log = structlog.get_logger()

TOLD_AFTER_S = 10.0
SECONDS = "docmill_stage_seconds"


@dataclass(kw_only=True)
class StageTimes:
    """What one process has measured, and not told yet; what dies with it is lost. Safe for threads.

    Without a database nothing is kept.
    """

    database: Database | None = None
    _measured: Counter[tuple[str, str, str]] = field(default_factory=Counter, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _timer: threading.Timer | None = field(default=None, init=False)

    def note(self, stage: Stage, seconds: float) -> None:
        """Notes how long a stage's work took; told with others, in a thread of its own, so that no job waits."""
        if self.database is None:
            return
        with self._lock:
            self._measured[SECONDS, stage, str(figures.bucket_of(seconds))] += 1
            self._measured[f"{SECONDS}_sum", stage, ""] += seconds  # type: ignore[assignment] # counts, and times
            if self._timer is None:
                self._timer = _started(self.tell)

    def tell(self) -> None:
        """Adds what was measured to the fleet's figures; what cannot be told now is told later."""
        with self._lock:
            measured, self._measured, self._timer = self._measured, Counter(), None
        if self.database is None or not measured:
            return
        try:
            self.database.run(figures.note, measured)
        except SQLAlchemyError as error:
            log.info("times_not_told", error=type(error).__name__)
            with self._lock:
                self._measured.update(measured)


def _started(tell: Callable[[], None]) -> threading.Timer | None:
    """The timer; None where this process may have no further thread: the next stage's end tries again."""
    timer = threading.Timer(TOLD_AFTER_S, tell)
    timer.daemon = True
    try:
        timer.start()
    except (RuntimeError, MemoryError) as error:
        log.warning("times_kept", error=type(error).__name__)
        return None
    return timer
