"""Complete: one call to a model, with its intent in the ledger before and its reply in the ledger after.

No database connection is held while the model thinks. A document in parts has a call for each of them.
"""

from __future__ import annotations

from sqlalchemy import Connection

from db.jobs import Job
from tasks import remedies
from tasks.calls import admission
from tasks.calls.call import Call
from tasks.calls.clearance import may_call
from tasks.calls.known import from_cache, known_answer
from tasks.calls.making import make
from tasks.calls.opening import board, open_calls
from tasks.calls.pictures import with_pictures
from tasks.calls.straight import call_straight
from tasks.services import Services
from tasks.stages.parting import is_in_parts
from tasks.stages.parts import ask_parts
from tasks.stages.preparing import prepare
from tasks.stages.step import Onward, Step, go_on

__all__ = ["complete"]

ROOM_WITHIN_S = 5.0
"""So long a thread waits for room for its pictures' bytes; then its job comes again."""
NO_ROOM_S = 3.0


def complete(services: Services, job: Job) -> Step:
    """Asks the model unless this attempt has its answer, and goes on as the answer demands.

    A job that is in hand from context stands there still, and goes straight to its call where it can.
    """
    if job.stage == "complete":
        return _complete(services, job)
    straight = None if is_in_parts(job) else call_straight(services, job)
    if straight is not None:
        return straight
    kept = {"context": job.context, "model": job.model}
    written = services.database.run(go_on, job, "complete", message_s=services.message_s, **kept)
    return _complete(services, job.moved("complete")) if written == Onward() else written


def _complete(services: Services, job: Job) -> Step:
    if is_in_parts(job):
        return ask_parts(services, job)
    if job.answer is not None:
        return services.database.run(go_on, job, "parse", message_s=services.message_s)
    call = prepare(services, job)
    if not isinstance(call, Call):
        return call
    known = known_answer(services, call)
    if known is not None:
        return from_cache(services, call, known)
    with services.room.of(call.bytes_shown, within_s=ROOM_WITHIN_S) as has_room:
        if not has_room:
            return services.database.run(remedies.wait, job, NO_ROOM_S, "room")
        return _call(services, call)


def _call(services: Services, wanted: Call) -> Step:
    """The call, once it may be made, with its pictures in hand."""
    allowed = may_call(services, wanted)
    if not isinstance(allowed, Call):
        return allowed
    with admission.not_made_if_broken(services, [allowed]):
        shown = with_pictures(services, allowed)
    if isinstance(shown, Call):
        return make(services, shown, _open)
    admission.give_back(services, allowed)
    return shown


def _open(services: Services, call: Call) -> Call | Step:
    """Writes the intent; what is done instead where another job calls for the same work, or just has called."""

    def boarding(connection: Connection, budgeted: bool) -> list[Call] | Step:
        boarded = board(connection, services, call, budgeted=budgeted)
        return [boarded] if isinstance(boarded, Call) else boarded

    opened = open_calls(services, [call], boarding)
    return opened[0] if isinstance(opened, list) else opened
