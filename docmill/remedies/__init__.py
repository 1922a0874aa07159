"""What is done about a failure: a value, decided in one place by a pure function."""

from __future__ import annotations

from docmill.remedies.decide import decide
from docmill.remedies.policy import Action, Policy, Purpose, Remedy, Tried, most_answers, most_calls

__all__ = ["Action", "Policy", "Purpose", "Remedy", "Tried", "decide", "most_answers", "most_calls"]
