"""Strict JSON, and what any value may be that came out of a reply.

A reply can hold numbers of a hundred thousand digits, lists two hundred thousand deep and halves of characters.
Each is legal somewhere and breaks something further on: a comparison, a serializer, a database. So the limits
stand here, once, and whatever was read is held against them before anything else looks at it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from docmill.errors import ReplyInvalid, ReplyNotJson

__all__ = ["DEEPEST", "LONGEST_NUMBER", "below", "check", "leaves", "same", "strict", "strict_at"]

DEEPEST = 100
"""Objects and lists, one within another. What answers nest is a tenth of it; serializers and pages end at 250."""
LONGEST_NUMBER = 300
"""Digits of a whole number: below the largest float, so that every number compares with every other."""
BLANKS = " \t\r\n"
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")


def strict(text: str, *, repeated: bool = True) -> Any:
    """Reads JSON and nothing else. Raises as :func:`strict_at`."""
    value, end = strict_at(text, len(text) - len(text.lstrip(BLANKS)), repeated=repeated)
    if text[end:].strip(BLANKS):
        raise ValueError("something follows the value")
    return value


def strict_at(text: str, start: int, *, repeated: bool = True) -> tuple[Any, int]:
    """Reads the JSON value that begins at ``start``; returns it, and where it ends.

    ``repeated`` lets the last of two members of one name win, as JSON does. Raises ValueError where it is no JSON,
    and ReplyRejected where it is nested too deep to be read.
    """
    try:
        return (AS_JSON if repeated else UNREPEATED).raw_decode(text, start)
    except RecursionError as error:
        ends = text.rstrip()[-1:] in ("}", "]")
        raise (too_deep() if ends else ReplyNotJson(f"the reply is nested more than {DEEPEST} deep")) from error


def too_deep() -> ReplyInvalid:
    """Makes the error for a value that is nested too deep."""
    rule = f"must not be nested more than {DEEPEST} deep"
    return ReplyInvalid(f"the answer {rule}", problems=(("", rule),))


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name[:20]} is no number of JSON")


def _finite(written: str) -> float:
    number = float(written)
    return _refuse(written) if number in (float("inf"), float("-inf")) else number


def _whole(written: str) -> int:
    if len(written) > LONGEST_NUMBER:
        raise ValueError(f"a number has more than {LONGEST_NUMBER} digits")
    return int(written)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members and not same(members[name], value):
            raise ValueError("a name is given twice")
        members[name] = value
    return members


def same(one: Any, other: Any) -> bool:
    """Returns whether two values are equal as JSON: members in any order, 1 as 1.0, and a truth is no number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(member, other[name]) for name, member in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


AS_JSON = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
UNREPEATED = json.JSONDecoder(
    parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=_unrepeated
)


def check(value: Any) -> None:
    """Holds a value against the limits, without recursion.

    Raises ReplyInvalid where it is nested too deep or holds half a surrogate pair.
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [member for each in level for member in _members(each)]
        if not level:
            return
    for each in level:
        if isinstance(each, dict | list):
            raise too_deep()
        next(_members(each), None)


def _members(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_text(name)
            yield member
    elif isinstance(value, list):
        yield from value


def _check_text(text: str) -> None:
    if HALF_CHARACTER.search(text):
        # No text has one: it cannot be written as UTF-8, and what it was half of nobody knows.
        raise ReplyInvalid(
            "a text of the answer holds half a surrogate pair",
            problems=(("", "must not hold half a surrogate pair"),),
        )


def leaves(value: Any, place: str = "", *, empties: bool = False) -> Iterator[tuple[str, Any]]:
    """Yields each scalar of a value, with its place, as in ``lines.0.total``.

    With ``empties`` a list or an object that holds nothing is one, too: where its being empty is an answer.
    """
    if isinstance(value, dict):
        members: Iterable[tuple[object, Any]] = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    else:
        yield place, value
        return
    for step, member in members:
        yield from leaves(member, below(place, step), empties=empties)
    if empties and not value:
        yield place, value


def below(place: str, step: object) -> str:
    """Names the place of a member."""
    return f"{place}.{step}" if place else str(step)
