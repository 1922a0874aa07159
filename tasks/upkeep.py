"""Upkeep: what keeps jobs moving when messages and workers get lost. A tick a second, in every io worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import budgets, costs
from db import dispatch as fleet
from db.jobs import Drive
from tasks.drive import publish_all
from tasks.services import Services
from tasks.spool import drain

__all__ = ["Upkeep", "start_waiting"]

log = structlog.get_logger()

IDLE_S = 1.0
BUSY_S = 0.1
AFTER_FAILURE_S = 5.0
FOLDING_S = 0.3
JUDGE_AGAIN_AFTER_S = 60.0
"""After the database was away no lease is judged for so long: replies in spools come first."""


def start_waiting(services: Services) -> bool:
    """Starts jobs that wait, where the fleet has room and nobody does so already: what a submit calls after it.

    False where the broker takes no messages.
    """
    with services.engine.begin() as connection:
        if fleet.room(connection).all <= 0 or not fleet.try_lead(connection):
            return True
        drives = fleet.dispatch(connection, fleet.room(connection), message_s=services.message_s)
    return publish_all(services, drives)


@dataclass(kw_only=True)
class Upkeep:
    """One process's share of upkeep; of the whole fleet one at a time dispatches and sweeps."""

    services: Services
    worker: str
    slots: int
    clock: Callable[[], float] = time.monotonic
    _judge_from: float = field(default=0.0, init=False)
    _swept_at: float = field(default=-IDLE_S, init=False)

    def tick(self) -> float:
        """Does what is due; seconds until the next tick."""
        try:
            drives, waiting = self._due()
        except SQLAlchemyError as error:
            log.warning("database_away", error=type(error).__name__)
            self._judge_from = self.clock() + JUDGE_AGAIN_AFTER_S
            return AFTER_FAILURE_S
        if not publish_all(self.services, drives):
            return AFTER_FAILURE_S
        return BUSY_S if waiting else IDLE_S

    def _due(self) -> tuple[list[Drive], bool]:
        """What is to be published, and whether jobs wait for room."""
        services = self.services
        drives = drain(services.spool, services.engine, message_s=services.message_s)
        with services.engine.begin() as connection:
            fleet.see_worker(connection, self.worker, "io", self.slots)
            services.limiter.share_with(fleet.processes(connection))
            held = fleet.held_for(connection)
        with services.engine.begin() as connection:
            if not fleet.try_lead(connection):
                return drives, False
            sweeps = self._may_sweep()
            if sweeps:
                # The limits are asked before any row is locked.
                rooms = {key: services.limiter.room(key) for key in held}
                drives += fleet.sweep(connection, message_s=services.message_s)
                for key, room in rooms.items():
                    fleet.wake(connection, key, room)
            drives += fleet.dispatch(connection, fleet.room(connection), message_s=services.message_s)
            waiting = fleet.some_wait(connection)
        if sweeps:
            self._keep_accounts()
        return drives, waiting

    def _keep_accounts(self) -> None:
        """In a transaction of its own: it locks budgets, which come before jobs."""
        timezone = self.services.settings.timezone
        with self.services.engine.begin() as connection:
            if fleet.try_lead(connection):
                budgets.look_after(connection, timezone=timezone)
        self._fold(timezone)

    def _fold(self, timezone: str) -> None:
        """A backlog, as a bulk load leaves it, is folded over several ticks."""
        give_up_at = self.clock() + FOLDING_S
        folded = costs.FOLDED_AT_ONCE
        while folded == costs.FOLDED_AT_ONCE and self.clock() < give_up_at:
            with self.services.engine.begin() as connection:
                folded = costs.fold(connection, timezone=timezone) if fleet.try_lead(connection) else 0

    def _may_sweep(self) -> bool:
        now = self.clock()
        if now < self._judge_from or now < self._swept_at + IDLE_S:
            return False
        self._swept_at = now
        return True
