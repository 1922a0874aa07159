"""Whether a call may be made now: its model is free, nobody does the same work, and money and limits have room."""

from __future__ import annotations

from dataclasses import replace

from db import flights, model_state, transitions
from db.jobs import Job
from docmill.llm.wire.repairs import takes_images
from docmill.settings import Model
from tasks import remedies
from tasks.calls import admission
from tasks.calls.call import Call
from tasks.calls.known import answered_meanwhile
from tasks.calls.opening import WAITER_S
from tasks.calls.reserve import short_of_money
from tasks.services import Services
from tasks.stages.step import Step, Stop

__all__ = ["may_call"]


def may_call(services: Services, call: Call, *, claimed: bool = False) -> Call | Step:
    """Takes the call's slot of the limits, and looks what is known of its model; or says what it waits for.

    Who waits for another's answer takes no slot from those who call; who has ``claimed`` its stage with an earlier
    call leads the work already.
    """
    job = call.job
    ahead = services.database.run(flights.peek, job, call.work, call.model)
    state = ahead.model
    if call.request.pictures and takes_images(state.learned) is False:
        return remedies.past_blindness(services, job, call.prompt)
    if state.hold_s > 0:
        past = remedies.past_hold(services, job, call.prompt, state)
        return past or _held(services, job, call.model)
    waits = (
        (None if claimed else _behind_another(services, call, led=ahead.led))
        or short_of_money(services, job, call.prompt, call.intent.reserved_usd)
        or admission.wait_for(services, call)
    )
    if waits is None and state.hold_cause is not None and not _takes_probe(services, call):
        admission.give_back(services, call)
        waits = _held(services, job, call.model)
    return waits or replace(call, state=state)


def _takes_probe(services: Services, call: Call) -> bool:
    """Whether this is the one call that tries if a hold, whose time is over, is over indeed."""
    lease_s = services.settings.lease_s
    with admission.not_made_if_broken(services, [call]):
        return services.database.run(model_state.take_probe, call.model, for_s=lease_s)


def _behind_another(services: Services, call: Call, *, led: bool) -> Stop | None:
    """A hold, where another job calls for the same work already."""
    if call.job.fresh:
        return None
    if led and services.database.run(flights.follow, call.job, call.work, for_s=WAITER_S):
        return Stop("held: flight")
    return answered_meanwhile(services, call) if call.job.epoch > 1 else None


def _held(services: Services, job: Job, model: Model) -> Step:
    """Until a probe, which is one job's, or an operator ends the hold."""
    services.database.run(transitions.hold, job, "rate", held_for=model_state.hold_key(model))
    return Stop("held: rate")
