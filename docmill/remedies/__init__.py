"""What is done about a failure: a value, decided in one place by a pure function."""

from __future__ import annotations

from docmill.remedies.decide import decide
from docmill.remedies.policy import (
    LONGEST_HOLD_S,
    Action,
    Policy,
    Purpose,
    Remedy,
    Tried,
    believable_wait_s,
    most_answers,
    most_calls,
)

__all__ = [
    "LONGEST_HOLD_S",
    "Action",
    "Policy",
    "Purpose",
    "Remedy",
    "Tried",
    "believable_wait_s",
    "decide",
    "most_answers",
    "most_calls",
]
