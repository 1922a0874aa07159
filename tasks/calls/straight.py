"""A first call as almost every one is made: nobody has the answer or asks for it, and nothing is in its way.

Then what context came to is written with the call's intent, in one statement.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from db import flights, ledger
from db.engine import is_passing
from db.jobs import Job
from tasks.calls import admission
from tasks.calls.call import Call
from tasks.calls.known import known_answer
from tasks.calls.making import make
from tasks.calls.opening import spool_unsent
from tasks.services import Services
from tasks.stages.preparing import prepare
from tasks.stages.step import Step, Stop

__all__ = ["call_straight"]


def call_straight(services: Services, job: Job) -> Step | None:
    """What the call came to; None, with the job as it was, where it has to take the long way.

    The job is in hand from context, and its row does not say yet what that chose.
    """
    if job.fresh or services.budgets.exist:
        return None
    call = prepare(services, job)
    if not isinstance(call, Call):
        return call
    if call.request.pictures or known_answer(services, call) is not None:
        return None
    ahead = services.database.run(flights.peek, job, call.work, call.model)
    if ahead.led or ahead.model.hold_s > 0 or ahead.model.hold_cause is not None:
        return None
    if admission.at_the_door(services, call).wait_s > 0:
        return None
    return make(services, replace(call, state=ahead.model), _open)


def _open(services: Services, call: Call) -> Call | Stop | None:
    """Writes the intent; None where something was in its way, a stop where another delivery is calling."""
    lease_s, lately_s = services.settings.lease_s, flights.LATELY_S
    try:
        with services.database.work(atomic=False) as connection:
            opened = ledger.lead_and_open(
                connection, call.job, call.intent, work=call.work, lease_s=lease_s, answered_within_s=lately_s
            )
    except ledger.CallTaken:
        return Stop("stale")
    except ledger.BudgetsUnasked:
        services.budgets.exist = True
        return None
    except SQLAlchemyError as error:
        if is_passing(error):
            spool_unsent(services, call)
        raise
    return replace(call, job=call.job.moved("complete")) if opened else None
