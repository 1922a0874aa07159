"""Budgets and costs, looked after: windows that are over, caps that are reached, calls folded into sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from db import budgets, costs, figures
from tasks.services import Services
from tasks.upkeep.alerts import Alarm
from tasks.upkeep.chores import leading
from tasks.upkeep.troubles import Troubles

__all__ = ["Accountant"]

FOLDING_S = 0.3
COUNT_EVERY_S = 15.0


@dataclass(kw_only=True)
class Accountant:
    """Works in transactions of its own: it locks budgets, which come before jobs."""

    services: Services
    troubles: Troubles
    clock: Callable[[], float]
    _alarm: Alarm = field(init=False)
    _count_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._alarm = Alarm(services=self.services)

    def keep_accounts(self) -> None:
        """Does what is due; each part stands alone."""
        timezone = self.services.settings.timezone
        with self.troubles.part("budgets"), leading(self.services) as connection:
            if connection is not None:
                budgets.look_after(connection, timezone=timezone)
        with self.troubles.part("alarms"):
            self._alarm.look()
        with self.troubles.part("costs"):
            self._fold(timezone)
        if self.clock() >= self._count_at:
            self._count_at = self.clock() + COUNT_EVERY_S
            with self.troubles.part("figures"), leading(self.services) as connection:
                if connection is not None:
                    figures.count(connection)

    def _fold(self, timezone: str) -> None:
        """A backlog, as a bulk load leaves it, is folded over several ticks."""
        give_up_at = self.clock() + FOLDING_S
        folded = costs.FOLDED_AT_ONCE
        while folded == costs.FOLDED_AT_ONCE and self.clock() < give_up_at:
            with leading(self.services) as connection:
                folded = costs.fold(connection, timezone=timezone) if connection is not None else 0
