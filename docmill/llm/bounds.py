"""The last word on what came of a call: figures within reason, texts that can be stored. Pure, and never raises.

Whoever read the provider's answer has had its own bounds. These are the fleet's: what passes here is added up,
sent to the limiter and the database, and decided upon, and none of them may break over one reply.
"""

from __future__ import annotations

import math
from dataclasses import replace

from docmill.errors import Failure
from docmill.llm.limits import Limits
from docmill.llm.types import Reply, Usage
from docmill.llm.wire.shapes import MOST_TOKENS
from docmill.remedies import believable_wait_s
from docmill.storable import storable_count, storable_text

__all__ = ["LONGEST_NAME", "bounded_failure", "bounded_limits", "bounded_name", "bounded_reply"]

LEAST_WINDOW = 64
"""Tokens; a limit below it is no window, and cutting a document to it would only lose it."""
MOST_A_MINUTE = 1e12
"""Requests or tokens."""
LONGEST_REPLY = 16_000_000
"""Characters, as many as a response has bytes at most."""
LONGEST_NAME = 200
MOST_WARNINGS = 50
LONGEST_MESSAGE = 2000


def bounded_reply(reply: Reply) -> Reply:
    """The reply with counts that are within reason or unknown, and with nothing that cannot be stored."""
    return replace(
        reply,
        text=storable_text(reply.text, LONGEST_REPLY),
        usage=Usage(**{name: storable_count(count, MOST_TOKENS) for name, count in vars(reply.usage).items()}),
        model_echoed=bounded_name(reply.model_echoed),
        request_id=bounded_name(reply.request_id),
        refusal=None if reply.refusal is None else storable_text(reply.refusal, LONGEST_MESSAGE),
        warnings=tuple(storable_text(warning, LONGEST_MESSAGE) for warning in reply.warnings[:MOST_WARNINGS]),
    )


def bounded_failure(failure: Failure) -> Failure:
    """The failure with a wait, sizes and words that can be acted upon; what makes no sense is unknown."""
    limit = storable_count(failure.limit_tokens, MOST_TOKENS)
    return replace(
        failure,
        message=storable_text(failure.message, LONGEST_MESSAGE),
        retry_after_s=believable_wait_s(failure.retry_after_s),
        limit_tokens=limit if limit is not None and limit >= LEAST_WINDOW else None,
        actual_tokens=storable_count(failure.actual_tokens, MOST_TOKENS),
        code=bounded_name(failure.code),
    )


def bounded_limits(limits: Limits, *, least: float = 1.0) -> Limits:
    """The limits that can be: a minute without any request is no limit."""
    return replace(limits, requests=_amount(limits.requests, least), tokens=_amount(limits.tokens, least))


def bounded_name(name: str | None) -> str | None:
    """A name as the ledger keeps it; None for none."""
    return storable_text(name, LONGEST_NAME) if name else None


def _amount(amount: float | None, least: float) -> float | None:
    if amount is None or not math.isfinite(amount):
        return None
    return amount if least <= amount <= MOST_A_MINUTE else None
