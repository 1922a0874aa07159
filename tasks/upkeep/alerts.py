"""Telling a webhook that a budget is nearly spent, or spent: once a window, and never in a job's way."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import structlog

from db.budget_admin import Warned, note_told, take_untold
from db.budgets import SPENT
from docmill.errors import DocmillError
from tasks.services import Services

__all__ = ["Alarm"]

log = structlog.get_logger()


@dataclass(kw_only=True)
class Alarm:
    """What one process has begun to tell. It runs on the loop thread; what fails is tried again in a minute."""

    services: Services
    _begun: dict[Warned, Future[None]] = field(default_factory=dict, init=False)

    def look(self) -> None:
        """Tells what is to be told, and notes what was. Never waits for the other side."""
        url = self.services.settings.budget_webhook
        telling = self.services.telling
        if url is None or telling is None or not self.services.budgets.exist:
            return
        self._note()
        for each in self.services.database.run(take_untold):
            work = telling.teller.tell(url.get_secret_value(), json.dumps(_event(each)).encode())
            self._begun[each] = telling.loop.start(work)

    def _note(self) -> None:
        for warned, future in [(each, future) for each, future in self._begun.items() if future.done()]:
            del self._begun[warned]
            error = future.exception()
            if error is None:
                self.services.database.run(note_told, warned)
            else:
                told = str(error) if isinstance(error, DocmillError) else type(error).__name__
                log.warning("webhook_failed", budget=warned.series, error=told)


def _event(warned: Warned) -> dict[str, Any]:
    return {
        "event": "budget_spent" if warned.percent >= SPENT else "budget_nearly_spent",
        "percent": warned.percent,
        "budget": warned.series,
        "scope": warned.scope,
        "subject": warned.subject,
        "span": warned.span,
        "policy": warned.policy,
        "since": warned.since.isoformat(),
        "cap_usd": f"{warned.cap_usd.normalize():f}",
        "spent_usd": f"{warned.spent_usd.normalize():f}",
        "reserved_usd": f"{warned.reserved_usd.normalize():f}",
    }
