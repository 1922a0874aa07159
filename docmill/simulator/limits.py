"""Requests and tokens a minute, as providers count them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Limit", "Standing"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What is told of a limit."""

    name: str
    """``requests`` or ``tokens``."""
    per_minute: float
    left: int
    reset_s: float
    """Seconds until it is whole again."""


@dataclass(kw_only=True)
class Limit:
    """One limit; ``second`` refills steadily with a burst of one second, ``minute`` starts anew each minute.

    Times are seconds of one monotonic clock, handed in.
    """

    per_minute: float
    window: Literal["second", "minute"] = "second"
    _left: float = field(init=False)
    _at: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._left = self.capacity

    @property
    def capacity(self) -> float:
        """The most that can be taken at once; never less than one request."""
        return self.per_minute if self.window == "minute" else max(1.0, self.per_minute / 60)

    def left(self, now: float) -> float:
        """Returns what can be taken now."""
        self._refill(now)
        return self._left

    def standing(self, name: str, now: float) -> Standing:
        """The limit a minute, what is left of it, and when it is whole again."""
        left = max(0, math.floor(self.left(now)))
        return Standing(name=name, per_minute=self.per_minute, left=left, reset_s=self.wait_s(self.capacity, now))

    def wait_s(self, amount: float, now: float) -> float:
        """Returns how long until ``amount`` can be taken, if nobody else takes it; 0 is now."""
        self._refill(now)
        missing = min(amount, self.capacity) - self._left
        if missing <= 0:
            return 0.0
        if self.window == "minute":
            return 60 - (now - (self._at or now))
        return missing * 60 / self.per_minute

    def take(self, amount: float, now: float) -> None:
        """Takes what :meth:`wait_s` allowed; a correction may be negative."""
        self._refill(now)
        self._left = min(self.capacity, self._left - amount)

    def _refill(self, now: float) -> None:
        if self._at is None:
            self._at = now
        passed = now - self._at
        if self.window == "minute":
            if passed >= 60:
                self._left, self._at = self.capacity, now - passed % 60
        else:
            self._left, self._at = min(self.capacity, self._left + passed * self.per_minute / 60), now
