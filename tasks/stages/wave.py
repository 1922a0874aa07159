"""Several calls of one job beside each other: as many as limits have room for, with their money in one commit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import Connection

from db import budgets
from docmill.errors import Failure
from tasks.calls import admission
from tasks.calls.asking import outcome_of, start_in_time
from tasks.calls.call import Call
from tasks.calls.clearance import may_call
from tasks.calls.known import from_cache, known_answer
from tasks.calls.opening import board, open_calls
from tasks.calls.settling import store_part
from tasks.services import Services
from tasks.stages.part_calls import Asking, PartCall
from tasks.stages.step import Step, Stop

__all__ = ["MOST_AT_ONCE", "Failed", "Wave"]

MOST_AT_ONCE = 32
"""Calls of one job: more would keep others from the limits, and from this process's connections."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A call of the wave that brought no answer."""

    call: PartCall
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class Wave:
    """The calls that are still to be made for a job's parts, of which some go now."""

    asking: Asking
    missing: Sequence[PartCall]
    claimed: bool
    """Whether an earlier wave has claimed the job's stage."""

    @property
    def services(self) -> Services:
        return self.asking.services

    def send(self) -> list[Failed] | Step:
        """Makes as many calls as may go now, and stores what they come to; or what is in the way of them all."""
        whole = self.asking.whole(self.missing)
        if not self.claimed:
            known = known_answer(self.services, whole)
            if known is not None:
                return from_cache(self.services, whole, known)
        allowed = may_call(self.services, whole, claimed=self.claimed)
        if not isinstance(allowed, Call):
            return allowed
        first = self.missing[0]
        going = [first]
        with admission.not_made_if_broken(self.services, going):
            going.extend(self._beside(first, probing=allowed.state.hold_cause is not None))
            opened_at = time.monotonic()
            opened = self._open([replace(call, state=allowed.state) for call in going])
        if isinstance(opened, list):
            return self._make(opened, opened_at)
        for call in going:
            admission.give_back(self.services, call)
        return opened

    def _beside(self, first: PartCall, *, probing: bool) -> Iterator[PartCall]:
        """Calls that may go together with the first, whose slot is taken; a probe goes alone."""
        for call in () if probing else self.missing[1:MOST_AT_ONCE]:
            if call.model.limit_key != first.model.limit_key or not admission.may_go(self.services, call):
                return
            yield call

    def _open(self, going: Sequence[PartCall]) -> list[PartCall] | Step:
        def boarding(connection: Connection, budgeted: bool) -> list[PartCall] | Step:
            return self._board(connection, going, budgeted=budgeted)

        return open_calls(self.services, going, boarding, claimed=self.claimed)

    def _board(
        self, connection: Connection, going: Sequence[PartCall], *, budgeted: bool
    ) -> list[PartCall] | Step:
        """All that is still missing must fit the budgets before any of it is paid for."""
        whole = self.asking.whole(self.missing)
        ready = board(connection, self.services, whole, budgeted=budgeted, claimed=self.claimed)
        if not isinstance(ready, Call):
            return ready
        now = self.asking.whole(going).intent.reserved_usd or Decimal(0)
        if ready.budgets and whole.intent.reserved_usd is not None:
            later = whole.intent.reserved_usd - now
            if later > 0:
                budgets.settle(connection, ready.budgets, reserved_usd=later, cost_usd=Decimal(0))
        return [replace(call, budgets=() if call.intent.reserved_usd is None else ready.budgets) for call in going]

    def _make(self, calls: Sequence[PartCall], opened_at: float) -> list[Failed] | Stop:
        """The calls beside each other, each stored as it comes."""
        going = {start_in_time(self.services, call, opened_at): call for call in calls}
        failed: list[Failed] = []
        stopped: list[Stop] = []
        for done in as_completed(going):
            call, outcome = going[done], outcome_of(done)
            admission.tell(self.services, call, outcome)
            settled = store_part(self.services, call, outcome)
            if isinstance(settled, Stop):
                stopped.append(settled)
            elif outcome.failure is not None and not outcome.answered:
                failed.append(Failed(call=call, failure=outcome.failure))
        if stopped:
            return Stop(stopped[0].word, tuple(drive for each in stopped for drive in each.drives))
        return failed
