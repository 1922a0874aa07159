"""What is wrong with a setting, in the words of whoever wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

__all__ = ["Place", "explain", "reasons"]

Place = tuple[int | str, ...]
"""Where a value stands, from the outermost name to the innermost."""


def explain(
    error: ValidationError, *, prefix: str = "", known_at: Callable[[Place], Sequence[str]] = lambda _: ()
) -> str:
    """Says where each mistake is and why it is one; never the value, which may be a secret.

    ``known_at`` gives the names that there are where an unknown one stands; ``prefix`` is that of environment
    variables.
    """
    return "; ".join(f"{_name(place, prefix)}: {reason}" for place, reason in reasons(error, known_at))


def reasons(error: ValidationError, known_at: Callable[[Place], Sequence[str]]) -> list[tuple[Place, str]]:
    """Returns where each mistake is, and why it is one."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [(each["loc"], _reason(each, known_at)) for each in found]


def _name(place: Place, prefix: str) -> str:
    name = ".".join(map(str, place))
    return f"{prefix}{name.upper()}" if prefix else name


def _reason(mistake: ErrorDetails, known_at: Callable[[Place], Sequence[str]]) -> str:
    if mistake["type"] != "extra_forbidden":
        return mistake["msg"].removeprefix("Value error, ")
    known = known_at(mistake["loc"])
    near = difflib.get_close_matches(str(mistake["loc"][-1]), known, n=1)
    return "there is no such name: " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")
