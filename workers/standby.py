"""A worker that waits until there is work for it: ``python -m workers.standby ROLE NAME``.

Quarantine and OCR are needed seldom, and a worker with its processes takes fifty megabytes before it has done
anything. So what stands by is a small process: it shows itself to the fleet, which sends it jobs as to any worker,
and becomes the worker when the first is on its way. It stays one from then on.
"""

from __future__ import annotations

import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import cast

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import fleet
from db.database import Database, open_database
from db.stages import RoleName
from docmill.logs import configure_logs
from docmill.processes import end_within, identify
from docmill.settings import load_settings
from workers.roles import serving_command, slots_of

__all__ = ["Standby"]

log = structlog.get_logger()

ENDS_WITHIN_S = 10.0
"""When it is told to; the database may be silent."""
LOOKED_EVERY_S = 0.5
SEEN_EVERY_S = 10.0


@dataclass(kw_only=True)
class Standby:
    """What a worker is to the fleet before it is one."""

    database: Database
    role: RoleName
    node: str
    """The worker's name, its host's included."""
    slots: int
    process: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _see_at: float = field(default=0.0, init=False)

    def wait(self) -> None:
        """Returns as soon as a job is on its way to the role's queue, or waits for that."""
        while not self._is_wanted():
            self.sleep(LOOKED_EVERY_S)

    def leave(self) -> None:
        """Tells the fleet that nobody stands by here any more."""
        try:
            self.database.run(fleet.forget_worker, self.node)
        except SQLAlchemyError as error:  # it will be seen no more; that is enough
            log.info("not_deregistered", error=type(error).__name__)

    def _is_wanted(self) -> bool:
        """False while the database is away: who comes back to it sends nothing before it has seen somebody."""
        try:
            if self.clock() >= self._see_at:
                self._see_at = self.clock() + SEEN_EVERY_S
                self.database.run(fleet.see_worker, self.node, self.role, self.slots, process=self.process)
            return self.database.run(fleet.is_wanted, self.role)
        except SQLAlchemyError as error:
            self._see_at = 0.0
            log.warning("database_away", error=type(error).__name__)
            return False


def main() -> None:
    """Stands by, then becomes the worker in this process: its parent sees one program."""
    role, name = cast("RoleName", sys.argv[1]), sys.argv[2]
    settings = load_settings()
    configure_logs(settings)
    node = f"{name}@{socket.gethostname()}"
    handlers = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
    with open_database(settings.need("database_url"), pool_size=1, probe=False) as database:
        standby = Standby(
            database=database,
            role=role,
            node=node,
            slots=slots_of(role, settings),
            process=identify(node, settings.spool_folder),
        )
        try:
            standby.wait()
        except SystemExit:
            standby.leave()
            raise
    for number, handler in handlers.items():
        signal.signal(number, handler)
    log.info("worker_wanted", role=role)
    module, *sys.argv[1:] = serving_command(role, settings, name=name)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    end_within(ENDS_WITHIN_S)
    sys.exit(0)


if __name__ == "__main__":
    main()
