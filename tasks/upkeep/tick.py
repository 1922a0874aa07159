"""Upkeep: what keeps jobs moving when messages and workers get lost. A tick a second, in every io worker.

Between these each worker looks for jobs to send, so that somebody in the fleet does so ten times a second.

Its parts stand apart: whatever one row, one file or one reply does, a part goes on without it, and whatever breaks
a part, the tick goes on without that, and tells of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import dispatch, fleet, model_state
from db.dispatch import FREE_FOR_ROOM, SEND_AGAIN, SWEEP, RowId
from db.engine import is_away
from db.jobs import Drive
from tasks.calls.spool import SET_ASIDE, Drain, set_aside
from tasks.celery.drive import publish_all
from tasks.services import Services
from tasks.upkeep.accounts import Accountant
from tasks.upkeep.chores import Chores
from tasks.upkeep.collections import Librarian
from tasks.upkeep.deaths import Deaths
from tasks.upkeep.deliveries import Courier
from tasks.upkeep.troubles import Troubles

__all__ = ["Upkeep", "start_waiting"]

log = structlog.get_logger()

IDLE_S = 1.0
BUSY_S = 0.1
LOOKED_EVERY_S = 0.1
"""So often somebody in the fleet looks for jobs to send, where there were none: a person may wait for one."""
AFTER_FAILURE_S = 5.0
SPARED_S = 60.0
"""After the database was away no lease runs out for so long: replies in spools come first."""


def start_waiting(services: Services) -> bool:
    """Starts jobs that wait, where the fleet has room and nobody does so already: what a submit calls after it.

    False where the broker takes no messages.
    """
    with services.database.work() as connection:
        if fleet.room(connection).all <= 0 or not fleet.try_lead(connection):
            return True
        found = dispatch.waiting(connection, fleet.room(connection))
        drives = dispatch.start(connection, found, services.message_s) if found else []
    return publish_all(services, drives)


@dataclass(kw_only=True)
class Upkeep:
    """One process's share of upkeep; of the whole fleet one at a time dispatches and sweeps."""

    services: Services
    worker: str
    slots: int
    unready: Callable[[], Mapping[str, str]] = dict
    """Tells the prompts whose models this process cannot ask, and why."""
    clock: Callable[[], float] = time.monotonic
    _was_away: bool | None = field(default=None, init=False)
    """The database, at the last tick; None before the first one."""
    _forgotten: bool = field(default=False, init=False)
    """Whether a broker that began anew may have forgotten messages that were not sent again yet."""
    _published: bool = field(default=True, init=False)
    """Whether the broker took everything in this tick."""
    _delivers: bool = field(default=False, init=False)
    """Whether webhooks had more to be told at the last look."""
    _rests: bool = field(default=False, init=False)
    """Whether nothing was left to do at the last tick."""
    _processes: int = field(default=1, init=False)
    """Of the fleet, that look for jobs to send."""
    _meet_at: float = field(init=False)
    _sweep_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._meet_at = self.clock()
        # Those who were here before know better whether the database was away, and go first.
        self._sweep_at = self.clock() + AFTER_FAILURE_S
        self._troubles = Troubles()
        self._chores = Chores(services=self.services, troubles=self._troubles, clock=self.clock)
        self._deaths = Deaths(services=self.services, chores=self._chores)
        self._spool = Drain(services=self.services)
        self._accountant = Accountant(services=self.services, troubles=self._troubles, clock=self.clock)
        self._courier = Courier(services=self.services, troubles=self._troubles)
        self._librarian = Librarian(services=self.services, troubles=self._troubles)

    def tick(self) -> float:
        """Does what is due; seconds until the next tick."""
        self._published = True
        try:
            if self._may_rest():
                return self._until_a_look()
            self._rests = False
            waiting = self._do_what_is_due()
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
            log.warning("database_away", error=type(error).__name__)
            self._was_away = True
            return AFTER_FAILURE_S
        if not self._published:
            return AFTER_FAILURE_S
        self._rests = not waiting
        return BUSY_S if waiting else self._until_a_look()

    def _may_rest(self) -> bool:
        """Whether nothing is due yet, and no job waits to be sent. It is asked often, and is one statement."""
        return self._rests and self.clock() < self._meet_at and not self.services.database.run(dispatch.any_waits)

    def _until_a_look(self) -> float:
        """Seconds: the fleet's processes share the looks among themselves."""
        return max(0.0, min(LOOKED_EVERY_S * self._processes, self._meet_at - self.clock()))

    def _do_what_is_due(self) -> bool:
        """Whether there is more to do. After a broker that takes nothing, nothing more is to be published."""
        self._drain()
        meets = self.clock() >= self._meet_at
        if meets:
            self._meet_at = self.clock() + IDLE_S
            with self._troubles.part("deaths"):
                self._deaths.look()  # before this one takes the place of one that had its name
            self._meet_fleet()
        sweeps = meets and self.clock() >= self._sweep_at
        if meets and self._published:
            # From the first tick on: a broker as new as the fleet has forgotten nothing of what comes later.
            self._replace_messages()
        if sweeps and self._published:
            self._sweep()
        waiting = self._dispatch() if self._published else False
        if meets or self._delivers:
            self._deliver()
        if sweeps and self._published:
            self._accountant.keep_accounts()
            self._librarian.look_after_collections()
        return waiting or self._delivers

    def _drain(self) -> None:
        """What follows from each spooled reply is told as soon as it is committed."""
        with self._troubles.part("spool"):
            for drive in self._spool.drives():
                self._publish([drive])
                if not self._published:
                    return
        aside = set_aside(self.services.spool)
        self._troubles.remark("spool", f"{aside} files in {SET_ASIDE} wait for a person" if aside else None)

    def _publish(self, drives: Sequence[Drive]) -> None:
        if drives and not publish_all(self.services, drives):
            self._published = False

    def _replace_messages(self) -> None:
        """Drives again what was under way in a broker that has started anew.

        Nobody has to wait a minute for messages of which it is known that they may be gone, and they take no room.
        """
        with self._troubles.part("messages"):
            # The news comes once, to one process: it is kept until it has led.
            self._forgotten = self._forgotten or self.services.broker_began_anew()
            if not self._forgotten:
                return
            drives = self._chores.run("messages", SEND_AGAIN)
            if not self._chores.led:
                return
            self._forgotten = False
            log.warning("broker_began_anew", sent_again=len(drives))
            self._publish(drives)

    def _sweep(self) -> None:
        # The limits are asked before any row is locked.
        with self._troubles.part("room"):
            self._free_for_room()
        for name, chore in SWEEP.items():
            if not self._published:
                return
            if name in LEASED and self._was_away is not False:
                continue  # the leases could not be spared, and their holders not tell of them
            with self._troubles.part(name):
                self._publish(self._chores.run(name, chore))

    def _free_for_room(self) -> None:
        with self.services.database.work(atomic=False) as connection:
            models = fleet.held_for(connection)
        for model in models:
            room = self.services.limiter.room(model)
            if room > 0:
                self._chores.run("room", FREE_FOR_ROOM, held_for=model, limit=room)

    def _dispatch(self) -> bool:
        """Whether jobs wait for room."""
        wanted = False

        def find(connection: Connection, but: Sequence[RowId]) -> Sequence[RowId]:
            nonlocal wanted
            room = fleet.room(connection)
            wanted = bool(room.wanted)
            return dispatch.waiting(connection, room, but=but)

        with self._troubles.part("dispatch"):
            self._publish(self._chores.do("dispatch", find, dispatch.start))
        return wanted

    def _deliver(self) -> None:
        """Tells webhooks; what the broker does has nothing to do with it."""
        self._delivers = False
        with self._troubles.part("webhooks"):
            self._delivers = self._courier.look()

    def _meet_fleet(self) -> None:
        """Shows this worker and counts the others, once a second."""
        unready = self.unready()
        with self._troubles.part("fleet"), self.services.database.work() as connection:
            troubles = self._troubles.as_json()
            fleet.see_worker(
                connection,
                self.worker,
                "io",
                self.slots,
                process=self.services.owner,
                unready=unready,
                troubles=troubles,
            )
            self._processes = max(1, fleet.processes(connection))
            self.services.limiter.share_with(self._processes)
        with self._troubles.part("leases"), self.services.database.work() as connection:
            self._spare_leases(connection)

    def _spare_leases(self, connection: Connection) -> None:
        """A process that has just begun asks the server how long it was there; and it may have another key."""
        if self._was_away is None:
            model_state.probe_soon(connection)
            self._was_away = fleet.database_started_s(connection) < SPARED_S
        if self._was_away:
            dispatch.spare_leases(connection, SPARED_S)
        self._was_away = False


LEASED = frozenset({"intents", "poison", "lost"})
"""Chores that judge whether a lease ran out."""
