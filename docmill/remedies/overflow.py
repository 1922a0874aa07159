"""How a request that was too large is made to fit; pure arithmetic.

The numbers that providers name are hints (docs/providers.md, section 1): the limit may be a budget a minute, or
the window with the answer taken off; the actual number may hold the output limit or not, or be a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Size", "fit"]

SHORTEST_OUTPUT = 256
"""Tokens; an answer needs some room."""
UNTOLD_CUT = 0.75
"""What is left of the input at each cut for which nobody told how much is too much."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What the next request may have."""

    input_tokens: int | None
    """None: half of the document, because no limit is known."""
    output_limit: int
    counted_tokens: int | None
    """The input that was sent, as the provider counts; None where it did not say."""


def fit(*, limit: int | None, actual: int | None, sent: int | None, output_limit: int, cuts: int) -> Size:
    """The largest request that the limit allows.

    ``sent`` is the input by our own count, ``actual`` the provider's number, ``cuts`` how often the request was
    too large, this time included. The answer's room is taken first, as long as half of it stays: it is seldom
    used up, and what is cut from a document is lost.
    """
    if limit is None:
        return Size(input_tokens=None, output_limit=output_limit, counted_tokens=None)
    counted = _counted_input(limit, actual, sent, output_limit)
    had = counted if counted is not None else sent
    slack = 0 if had is None else _slack(had, counted)
    spare = output_limit if had is None else limit - had - slack
    if max(1, output_limit // 2) <= spare < output_limit:
        return Size(input_tokens=limit - spare, output_limit=spare, counted_tokens=counted)
    room = _output_room(limit, had, output_limit)
    # Some servers name the window with the answer already taken off, so that a quarter of the limit is left.
    target = max(limit - room, limit // 4)
    fits_by_these_numbers = had is not None and target >= had
    if counted is None or fits_by_these_numbers:
        # They are wrong, and nobody knows by how much.
        target = int(min(target, had or target) * UNTOLD_CUT ** (cuts - 1) * 0.95)
    return Size(input_tokens=max(target - _slack(target, counted), 1), output_limit=room, counted_tokens=counted)


def _counted_input(limit: int, actual: int | None, sent: int | None, output_limit: int) -> int | None:
    """The input as the provider counts it; None where it gives no count, or a lower bound of one.

    The number that is nearer to our own says whether the output limit is in it.
    """
    if actual is None or actual + output_limit - 1 == limit:
        return None
    without_output = actual - output_limit
    if sent is None or without_output <= 0:
        return actual
    return without_output if abs(without_output - sent) < abs(actual - sent) else actual


def _slack(tokens: int, counted: int | None) -> int:
    """A margin: a hundredth where the provider has told its count, else a twentieth."""
    return tokens // 100 if counted is not None else tokens // 20


def _output_room(limit: int, had: int | None, output_limit: int) -> int:
    """The output limit as it is, unless the input would be cut to less than half for it."""
    if had is None or limit - output_limit >= had // 2:
        return output_limit
    return min(output_limit, max(SHORTEST_OUTPUT, output_limit // 2))
