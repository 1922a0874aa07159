"""Sending webhooks what they are to be told: a few at a time, again where it fails, and never in a job's way."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog

from db import webhooks
from db.webhooks import Due
from docmill.errors import DocmillError, Misconfigured
from docmill.net.sealing import Seal
from docmill.net.webhook import NotTold, Teller, signed
from tasks.services import Services
from tasks.upkeep.troubles import Troubles

__all__ = ["Courier"]

log = structlog.get_logger()

AT_ONCE = 64
"""Under way from one process."""
OF_TENANT, EACH = 16, 8
"""Of them for one tenant, and for one webhook: a slow one holds up no other."""
FORGET_EVERY_S = 3600.0


@dataclass(kw_only=True)
class Courier:
    """What one process has under way, on a loop of its own; what came of it is noted at a later look."""

    services: Services
    troubles: Troubles
    clock: Callable[[], float] = time.monotonic
    _under_way: dict[int, tuple[Due, Future[None]]] = field(default_factory=dict, init=False)
    _forget_at: float = field(default=0.0, init=False)

    def look(self) -> bool:
        """Sends what is due, and notes what was sent; whether there may be more. Waits for nobody else."""
        telling = self.services.telling
        if telling is None:
            return False
        self._note()
        database = self.services.database
        if not database.run(webhooks.exist):
            return False
        seal = self._seal()
        if seal is None:
            return False
        database.run(webhooks.tell_of_runs)
        under_way = Counter(due.webhook_id for due, _ in self._under_way.values())
        room = AT_ONCE - len(self._under_way)
        taken = (
            database.run(webhooks.take_due, each=EACH, of_tenant=OF_TENANT, limit=room, under_way=under_way)
            if room > 0
            else []
        )
        for due in taken:
            self._under_way[due.id] = due, telling.loop.start(_send(telling.teller, seal, due))
        self._forget()
        return bool(taken)

    def _seal(self) -> Seal | None:
        """Without a key nothing can be signed: that is told, and everything waits."""
        try:
            seal = self.services.settings.webhook_seal
        except Misconfigured as error:
            self.troubles.remark("webhooks", str(error))
            return None
        self.troubles.remark("webhooks", None)
        return seal

    def _note(self) -> None:
        """Where the database goes away meanwhile, it is noted at the next look."""
        ended = [(due, future.exception()) for due, future in self._under_way.values() if future.done()]
        delivered = [due for due, error in ended if error is None]
        if delivered:
            self.services.database.run(webhooks.note_delivered, delivered)
        for due, error in ended:
            if error is not None:
                self._note_failed(due, error)
            del self._under_way[due.id]

    def _note_failed(self, due: Due, error: BaseException) -> None:
        told = str(error) if isinstance(error, DocmillError) else type(error).__name__
        status = error.status if isinstance(error, NotTold) else None
        log.warning("webhook_failed", webhook=due.webhook_id, delivery=due.id, tries=due.tries, error=told)
        self.services.database.run(webhooks.note_failed, due, told, status)

    def _forget(self) -> None:
        if self.clock() >= self._forget_at:
            more = self.services.database.run(webhooks.forget_old)
            self._forget_at = self.clock() + (0.0 if more else FORGET_EVERY_S)


async def _send(teller: Teller, seal: Seal, due: Due) -> None:
    """One try, signed as of now. Raises NotTold, Misconfigured."""
    body = json.dumps(due.payload, separators=(",", ":")).encode()
    await teller.tell(due.url, body, signed(seal.open(due.secret), str(due.message), int(time.time()), body))
