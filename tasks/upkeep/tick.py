"""Upkeep: what keeps jobs moving when messages and workers get lost. A tick a second, in every io worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import budgets, costs, dispatch, fleet
from db.engine import is_away
from db.jobs import Drive
from tasks.calls.spool import Drain
from tasks.celery.drive import publish_all
from tasks.services import Services
from tasks.upkeep.alerts import Alarm
from tasks.upkeep.collections import Librarian

__all__ = ["Upkeep", "start_waiting"]

log = structlog.get_logger()

IDLE_S = 1.0
BUSY_S = 0.1
AFTER_FAILURE_S = 5.0
FOLDING_S = 0.3
SPARED_S = 60.0
"""After the database was away no lease runs out for so long: replies in spools come first."""


def start_waiting(services: Services) -> bool:
    """Starts jobs that wait, where the fleet has room and nobody does so already: what a submit calls after it.

    False where the broker takes no messages.
    """
    with services.database.work() as connection:
        if fleet.room(connection).all <= 0 or not fleet.try_lead(connection):
            return True
        drives = dispatch.dispatch(connection, fleet.room(connection), message_s=services.message_s)
    return publish_all(services, drives)


@dataclass(kw_only=True)
class Upkeep:
    """One process's share of upkeep; of the whole fleet one at a time dispatches and sweeps."""

    services: Services
    worker: str
    slots: int
    unready: Mapping[str, str] = field(default_factory=dict)
    """The prompts whose models this process cannot ask, and why."""
    clock: Callable[[], float] = time.monotonic
    _was_away: bool | None = field(default=None, init=False)
    """The database, at the last tick; None before the first one."""
    _meet_at: float = field(init=False)
    _sweep_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._meet_at = self.clock()
        # Those who were here before know better whether the database was away, and go first.
        self._sweep_at = self.clock() + AFTER_FAILURE_S
        self._spool = Drain(services=self.services)
        self._alarm = Alarm(services=self.services)
        self._librarian = Librarian(services=self.services)

    def tick(self) -> float:
        """Does what is due; seconds until the next tick."""
        try:
            if not self._drain():
                return AFTER_FAILURE_S
            sweeps = self._meet_fleet()
            if sweeps and not self._replace_messages():
                return AFTER_FAILURE_S
            drives, waiting = self._due(sweeps=sweeps)
            published = publish_all(self.services, drives)
            if sweeps:
                self._keep_accounts()
                self._librarian.look_after_collections()
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
            log.warning("database_away", error=type(error).__name__)
            self._was_away = True
            return AFTER_FAILURE_S
        if not published:
            return AFTER_FAILURE_S
        return BUSY_S if waiting else IDLE_S

    def _drain(self) -> bool:
        """Whether the broker took what follows from the spooled replies; each is told once it is committed."""
        return all(publish_all(self.services, [drive]) for drive in self._spool.drives())

    def _replace_messages(self) -> bool:
        """Drives again what was under way in a broker that has started anew; whether it took that.

        Nobody has to wait a minute for messages of which it is known that they may be gone, and they take no room.
        """
        if not self.services.broker_began_anew():
            return True
        drives = self.services.database.run(dispatch.send_again, message_s=self.services.message_s)
        log.warning("broker_began_anew", sent_again=len(drives))
        return publish_all(self.services, drives)

    def _due(self, *, sweeps: bool) -> tuple[list[Drive], bool]:
        """What is to be published, and whether jobs wait for room."""
        services, drives = self.services, list[Drive]()
        with services.database.work() as connection:
            if not fleet.try_lead(connection):
                return drives, False
            if sweeps:
                # The limits are asked before any row is locked.
                free = {key: services.limiter.room(key) for key in fleet.held_for(connection)}
                drives += dispatch.sweep(connection, message_s=services.message_s)
                for key, slots in free.items():
                    dispatch.free_for_room(connection, key, slots)
            room = fleet.room(connection)
            drives += dispatch.dispatch(connection, room, message_s=services.message_s)
        return drives, bool(room.wanted)

    def _meet_fleet(self) -> bool:
        """Shows this worker and counts the others, once a second; whether it is time to sweep, too."""
        now = self.clock()
        if now < self._meet_at:
            return False
        self._meet_at = now + IDLE_S
        with self.services.database.work() as connection:
            fleet.see_worker(connection, self.worker, "io", self.slots, unready=self.unready)
            self._spare_leases(connection)
            self.services.limiter.share_with(fleet.processes(connection))
        return now >= self._sweep_at

    def _keep_accounts(self) -> None:
        """In a transaction of its own: it locks budgets, which come before jobs."""
        timezone = self.services.settings.timezone
        with self.services.database.work() as connection:
            if fleet.try_lead(connection):
                budgets.look_after(connection, timezone=timezone)
        self._alarm.look()
        self._fold(timezone)

    def _fold(self, timezone: str) -> None:
        """A backlog, as a bulk load leaves it, is folded over several ticks."""
        give_up_at = self.clock() + FOLDING_S
        folded = costs.FOLDED_AT_ONCE
        while folded == costs.FOLDED_AT_ONCE and self.clock() < give_up_at:
            with self.services.database.work() as connection:
                folded = costs.fold(connection, timezone=timezone) if fleet.try_lead(connection) else 0

    def _spare_leases(self, connection: Connection) -> None:
        """A process that has just begun asks the server how long it has been there."""
        if self._was_away is None:
            self._was_away = fleet.database_started_s(connection) < SPARED_S
        if self._was_away:
            dispatch.spare_leases(connection, SPARED_S)
        self._was_away = False
