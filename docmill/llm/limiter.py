"""The provider's limits, shared by the whole fleet: requests and tokens a minute of each model of an account.

One atomic script over Redis or Valkey (``limiter.lua`` says how it counts). A slot in the future is kept under the
asker's name, so that asking again finds it. What a process has learned of the limits it tells a server that lost
them. Where the server is away, each process keeps to its share of what it knows.

Of a model whose limits nobody knows, one call goes first; its answer may tell them. Where it tells none, each
answer lets one more be open at once, and a no halves them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from docmill.errors import ServiceAway
from docmill.llm.limiter_script import LimiterScript
from docmill.llm.limits import Limits
from docmill.remedies import LONGEST_HOLD_S, believable_wait_s

__all__ = ["Limiter", "NoLimiter", "RedisLimiter", "Share", "Slot"]

UNTOLD = Limits()
UNTOLD_S = 1.0
"""Waited after a no for which no wait was told."""
UNKNOWN_PACE = Limits(requests=300.0)
"""What the whole fleet keeps to while the server is away, of a model whose limits nobody knows."""
SHORT_FOR_S = 5.0
"""After a wait for room that one was told, so long others are taken to wait, too."""
LOST_S = 120.0
"""An open call is given up for lost after so long where nobody says how long it may take."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """When a call may go. ``reserved`` is False where there is no slot yet, and the asker has to ask anew."""

    wait_s: float = 0.0
    reserved: bool = True
    alone: bool = False
    """The process is without the fleet: nobody knows when there is room, so nobody wakes the asker."""


class Limiter(Protocol):
    """The seam between ``complete`` and the limits."""

    def ask(
        self, model: str, name: str, tokens: int, known: Limits, *, tenant: str = "", first: bool = False
    ) -> Slot:
        """A slot for a call of so many tokens; the same name finds the same slot again.

        Tenants take turns. ``first`` is for a call that a person waits for, or that has waited as it was told.
        """

    def told(self, model: str, wait_s: float | None) -> None:
        """The provider said no: nobody asks this model before the wait is over; a second, where it told of none.

        A wait that cannot be meant was not told, and after an hour one call tries whether it is over.
        """

    def held_s(self, model: str) -> float:
        """Seconds until this model may be asked again, as far as limits say."""

    def release(self, model: str) -> None:
        """Ends such a wait. Raises ServiceAway where the server that keeps it is."""

    def answered(
        self,
        model: str,
        reserved: int,
        used: int,
        known: Limits,
        learned: Limits,
        *,
        name: str = "",
        tenant: str = "",
        left: Limits = UNTOLD,
        sent: bool = True,
    ) -> None:
        """Gives back the tokens that a call had reserved and not used; keeps what the answer told of limits.

        ``left`` is what it told to be left of them. A call that was not ``sent`` gives back its request, too.
        """

    def lost(self, models: Iterable[str], owners: Collection[str]) -> None:
        """Gives back the slots of calls that nobody hears any more, as their processes have ended.

        Their requests and tokens stay counted: their provider may have counted them.
        """

    def room(self, model: str) -> int:
        """Returns how many calls more would get a slot now."""

    def share_with(self, processes: int) -> None:
        """So many processes of the fleet ask, this one included."""


class NoLimiter:
    """Every call may go."""

    def ask(
        self,
        model: str,  # noqa: ARG002 - the seam's shape
        name: str,  # noqa: ARG002
        tokens: int,  # noqa: ARG002
        known: Limits,  # noqa: ARG002
        *,
        tenant: str = "",  # noqa: ARG002
        first: bool = False,  # noqa: ARG002
    ) -> Slot:
        return Slot()

    def told(self, model: str, wait_s: float | None) -> None:
        """Nobody to tell."""

    def held_s(self, model: str) -> float:  # noqa: ARG002 - the seam's shape
        return 0.0

    def release(self, model: str) -> None:
        """Nothing is held."""

    def answered(
        self,
        model: str,
        reserved: int,
        used: int,
        known: Limits,
        learned: Limits,
        *,
        name: str = "",
        tenant: str = "",
        left: Limits = UNTOLD,
        sent: bool = True,
    ) -> None:
        """Nothing to keep."""

    def lost(self, models: Iterable[str], owners: Collection[str]) -> None:
        """No slot was taken."""

    def room(self, model: str) -> int:  # noqa: ARG002 - the seam's shape
        return 0

    def share_with(self, processes: int) -> None:
        """Nothing is shared."""


@dataclass(kw_only=True)
class Share:
    """One process's equal share of the limits, kept without the others. Safe for threads."""

    processes: int = 1
    clock: Callable[[], float] = time.monotonic
    _free_at: dict[str, float] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, model: str, tokens: int, limits: Limits) -> float:
        """Takes a slot that is free now, and gives 0; else the seconds until one may be."""
        if limits.requests is None and limits.tokens is None:
            limits = UNKNOWN_PACE
        with self._lock:
            now = self.clock()
            free_at = self._free_at.get(model, now)
            if free_at > now:
                return free_at - now
            by_requests = 60 / limits.requests if limits.requests else 0.0
            by_tokens = 60 * tokens / limits.tokens if limits.tokens else 0.0
            self._free_at[model] = now + max(by_requests, by_tokens) * self.processes
            return 0.0

    def release(self, model: str) -> None:
        """Ends a wait."""
        with self._lock:
            self._free_at.pop(model, None)

    def halt(self, model: str, wait_s: float) -> None:
        """Nothing is free before the wait is over."""
        with self._lock:
            self._free_at[model] = max(self._free_at.get(model, 0.0), self.clock() + wait_s)


class RedisLimiter:
    """Limits in Redis or Valkey. ``model`` names an account's model; calls of one name share its limits."""

    def __init__(
        self,
        url: str,
        *,
        owner: str = "",
        lost_s: float = LOST_S,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """``owner`` names the process, whose open calls can be given back when it is gone.

        ``clock`` takes the place of the server's own, which all processes of a fleet have in common.
        """
        self._script = LimiterScript(url, clock)
        self._owner, self._lost_s = owner, lost_s
        self._learned: dict[str, Limits] = {}
        self._short_until: dict[str, float] = {}
        """Of models, until when somebody may wait for room, by this process's clock."""
        self._share = Share() if clock is None else Share(clock=clock)

    def close(self) -> None:
        self._script.close()

    def ask(
        self, model: str, name: str, tokens: int, known: Limits, *, tenant: str = "", first: bool = False
    ) -> Slot:
        learned = self._learned.get(model, Limits())
        limits = [*_numbers(known, 0), *_numbers(learned, 0), known.open_calls or 0]
        values: list[str | float] = [
            "ask",
            self._owner,
            name,
            tenant,
            tokens,
            *limits,
            int(first),
            self._lost_s,
        ]
        answer = self._script.run(_keys(model, name, tenant), values)
        if answer is None:
            wait_s = self._share.take(model, tokens, _either(known, learned))
            return Slot(wait_s=wait_s, reserved=wait_s == 0, alone=True)
        slot = Slot(wait_s=float(answer[0]), reserved=bool(answer[1]))
        if slot.wait_s > 0:
            self._short_until[model] = time.monotonic() + slot.wait_s + SHORT_FOR_S
        return slot

    def told(self, model: str, wait_s: float | None) -> None:
        believable_s = believable_wait_s(wait_s)
        halted_s = UNTOLD_S if believable_s is None else min(believable_s, LONGEST_HOLD_S)
        self._share.halt(model, halted_s)
        self._script.run(_keys(model), ["told", halted_s])

    def held_s(self, model: str) -> float:
        found = self._script.run(_keys(model), ["held"])
        return 0.0 if found is None else float(found)

    def release(self, model: str) -> None:
        self._share.release(model)
        if self._script.run(_keys(model), ["released"]) is None:
            raise ServiceAway("the cache server does not answer, which keeps the provider's limits: start it")

    def answered(
        self,
        model: str,
        reserved: int,
        used: int,
        known: Limits,
        learned: Limits,
        *,
        name: str = "",
        tenant: str = "",
        left: Limits = UNTOLD,
        sent: bool = True,
    ) -> None:
        before = self._learned.get(model, Limits())
        now_known = self._learned[model] = _either(learned, before)
        told = _numbers(_either(known, learned), 0)
        values = [reserved, used, int(not sent), *told, *_numbers(left, -1)]
        # What gives room that nobody waits for may be told a moment later.
        soon = sent and now_known == before and time.monotonic() >= self._short_until.get(model, 0.0)
        run = self._script.run_soon if soon else self._script.run
        run(_keys(model, name, tenant), ["answered", name, *values])

    def lost(self, models: Iterable[str], owners: Collection[str]) -> None:
        for model in models:
            self._script.run(_keys(model), ["lost", *owners])

    def room(self, model: str) -> int:
        found = self._script.run(_keys(model), ["room"])
        return 0 if found is None else int(found)

    def share_with(self, processes: int) -> None:
        self._share.processes = max(1, processes)


def _keys(model: str, name: str = "", tenant: str = "") -> list[str]:
    """In one place of a cluster: the braces say so."""
    state = f"docmill:limit:{{{model}}}"
    places = [f"{state}:slot:{name}", f"{state}:tenants"]
    return [state, *places, f"{state}:open", f"{state}:open:{tenant}", f"{state}:owners"]


def _numbers(limits: Limits, unknown: float) -> list[float]:
    return [unknown if limit is None else limit for limit in (limits.requests, limits.tokens)]


def _either(first: Limits, second: Limits) -> Limits:
    """Of each limit the first that is known."""
    return Limits(
        requests=second.requests if first.requests is None else first.requests,
        tokens=second.tokens if first.tokens is None else first.tokens,
    )
