"""Making a call whose slot of the limits is taken: opened, asked, told of and settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tasks.calls import admission
from tasks.calls.asking import ask_in_time
from tasks.calls.call import Call
from tasks.calls.settling import store_outcome
from tasks.services import Services
from tasks.stages.step import Step

__all__ = ["make"]


Instead = TypeVar("Instead")


def make(services: Services, call: Call, opened_by: Callable[[Services, Call], Call | Instead]) -> Step | Instead:
    """What the call came to; the slot of one that could not be opened goes back, and what is done then is told."""
    opened_at = time.monotonic()
    with admission.not_made_if_broken(services, [call]):
        opened = opened_by(services, call)
    if not isinstance(opened, Call):
        admission.give_back(services, call)
        return opened
    outcome = ask_in_time(services, opened, opened_at)
    admission.tell(services, opened, outcome)
    return store_outcome(services, opened, outcome)
