"""A call's slot of the provider's limits: waited for, given back, and settled with what the answer tells."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import structlog

from db import transitions
from db.jobs import Job
from docmill.llm.client import Outcome
from docmill.llm.limiter import Slot
from docmill.llm.limits import Limits
from docmill.llm.types import Usage
from docmill.settings import Model
from tasks import remedies
from tasks.services import Services
from tasks.stages.step import Step, Stop

__all__ = ["at_the_door", "give_back", "may_go", "not_made_if_broken", "tell", "wait_for"]

log = structlog.get_logger()


class Asker(Protocol):
    """Who asks: a job, or a question that somebody waits for."""

    @property
    def id(self) -> object: ...
    @property
    def tenant(self) -> str: ...
    @property
    def lane(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def history(self) -> Sequence[Mapping[str, Any]]: ...


class Call(Protocol):
    """What a slot is asked for."""

    @property
    def job(self) -> Asker: ...
    @property
    def model(self) -> Model: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def tokens(self) -> int: ...
    @property
    def part(self) -> int: ...


class JobsCall(Call, Protocol):
    """A call whose job can wait without a thread."""

    @property
    def job(self) -> Job: ...


AT_THE_DOOR_S = 4.0
"""So long a thread waits for its turn, all in all: the limiter calls jobs back a little early."""
SHORT_S = 1.7
"""A longer wait is worth a message."""
FOR_OTHERS_S = 0.5
"""So long a thread waits where it has no turn yet."""
ALONE_S = 5.0
"""The same where nobody can wake it."""
MOST_TIMES = 4
"""Tokens that an answer may have used, for each that was counted for it; as far as any tokenizer is from ours."""
LOST_S = 60.0
"""After so long a job that was held asks anew, if nobody has woken it."""


def at_the_door(services: Services, call: Call) -> Slot:
    """The call's slot, after a short wait for it in this thread; ``wait_s`` is 0 where the call may go now."""
    slot, waited_s = _ask(services, call), 0.0
    while 0 < slot.wait_s <= SHORT_S and waited_s < (AT_THE_DOOR_S if slot.reserved else FOR_OTHERS_S):
        time.sleep(slot.wait_s)
        waited_s += slot.wait_s
        slot = _ask(services, call)
    return slot


def wait_for(services: Services, call: JobsCall) -> Step | None:
    """A countdown to a slot that is kept, or a hold until there may be one; None where the call may go now."""
    slot = at_the_door(services, call)
    if slot.wait_s <= 0:
        return None
    if slot.reserved:
        return services.database.run(remedies.wait, call.job, slot.wait_s, "rate")
    # Upkeep wakes as many as there is room for, where it can see that.
    held_s = max(slot.wait_s, ALONE_S if slot.alone else LOST_S)
    services.database.run(transitions.hold, call.job, "rate", for_s=held_s, held_for=call.model.limit_key)
    return Stop("held: rate")


def may_go(services: Services, call: Call) -> bool:
    """Takes a slot for the call where there is one now, and returns whether; it waits for none."""
    return _ask(services, call).wait_s <= 0


def give_back(services: Services, call: Call) -> None:
    """The slot of a call that was not made. Never raises."""
    with _told_only("slot_not_given_back"):
        _give_back(services, call)


@contextmanager
def not_made_if_broken(services: Services, calls: Collection[Call]) -> Iterator[None]:
    """Gives back the slots of calls that are being opened, if that breaks: the database may be away."""
    try:
        yield
    except BaseException:
        for call in calls:
            give_back(services, call)
        raise


def _give_back(services: Services, call: Call) -> None:
    services.limiter.answered(
        call.model.limit_key,
        call.tokens,
        0,
        call.limits,
        Limits(),
        name=_name(call),
        tenant=call.job.tenant,
        sent=False,
    )


def tell(services: Services, call: Call, outcome: Outcome) -> None:
    """Gives back what the call did not use, and passes on what the provider told.

    Never raises: what was paid for is still to be stored.
    """
    with _told_only("limits_not_told"):
        _tell(services, call, outcome)


@contextmanager
def _told_only(event: str) -> Iterator[None]:
    """A defect in here is told, and stops nothing."""
    try:
        yield
    except Exception:
        log.exception(event)


def _tell(services: Services, call: Call, outcome: Outcome) -> None:
    failure = outcome.failure
    limited = failure is not None and failure.kind == "rate_limited"
    services.limiter.answered(
        call.model.limit_key,
        call.tokens,
        0 if limited else _used(call, outcome),
        call.limits,
        _believable(outcome.limits, call),
        name=_name(call),
        tenant=call.job.tenant,
        left=outcome.left,
        sent=not limited,
    )
    if failure is not None and limited:
        services.limiter.told(call.model.limit_key, failure.retry_after_s)


def _believable(told: Limits, call: Call) -> Limits:
    """A limit below what the provider has just taken is none: it would hold the model for days."""
    if told.tokens is not None and told.tokens < call.tokens:
        return replace(told, tokens=None)
    return told


def _ask(services: Services, call: Call) -> Slot:
    return services.limiter.ask(
        call.model.limit_key, _name(call), call.tokens, call.limits, tenant=call.job.tenant, first=_first(call)
    )


def _name(call: Call) -> str:
    """Each try has a slot of its own, and each part of a document."""
    part = f":{call.part}" if call.part else ""
    return f"{call.job.id}:{call.job.attempt}:{len(call.job.history)}{part}"


def _first(call: Call) -> bool:
    """Somebody waits for it, or the provider has told it to wait and it did."""
    history = call.job.history
    return call.job.lane == "interactive" or bool(history and history[-1]["kind"] == "rate_limited")


def _used(call: Call, outcome: Outcome) -> int:
    """Tokens as the answer tells them, within reason; without an answer, as many as the call was counted for.

    One answer that tells of millions must not leave the fleet without a token for hours.
    """
    usage = outcome.reply.usage if outcome.reply else Usage()
    told = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    return min(told, MOST_TIMES * call.tokens) or call.tokens
