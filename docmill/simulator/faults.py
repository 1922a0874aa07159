"""What goes wrong with an answer's words, on demand; pure: the same draw breaks the same text in the same way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

__all__ = [
    "ANSWER_FAULTS",
    "FAULTS",
    "FAULTS_OF_EYES",
    "malformed",
    "misread",
    "spoken",
    "swapped",
    "wrong",
]

FAULTS = (
    "rate_limited", "quota", "server_error", "overloaded", "hang", "drip_headers", "drip_body", "cut",
    "malformed", "schema", "wrong", "swapped", "overflow", "truncated", "refused",
    "misread", "blind",
)  # fmt: skip
FAULTS_OF_EYES = frozenset({"misread", "blind"})
"""Met by requests with pictures alone: a digit is taken for another, or the picture is not looked at."""
ANSWER_FAULTS = frozenset({"malformed", "schema", "wrong", "swapped", *FAULTS_OF_EYES})
"""The better model makes half as many of these."""

Path = tuple[str | int, ...]


def spoken(value: Any, document: str, drawn: frozenset[str], draw: float) -> str:
    """The answer as a model says it, with the faults that were drawn."""
    if "misread" in drawn:
        value = misread(value, draw)
    if "swapped" in drawn:
        value = swapped(value)
    if "wrong" in drawn:
        value = wrong(value, document, draw)
    if "schema" in drawn:
        value = off_schema(value, draw)
    text = json.dumps(value, ensure_ascii=False)
    return malformed(text, draw) if "malformed" in drawn else text


def malformed(text: str, draw: float) -> str:
    """The answer as text that is no JSON, or not JSON alone, in one of many ways that models have."""
    return MALFORMATIONS[int(draw * len(MALFORMATIONS))](text)


MALFORMATIONS: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace('"', "", 1),
    lambda text: text[: text.rfind("}")],
    lambda text: text[:-1] + ",}",
    lambda text: text.replace('"', "'"),
    lambda text: f"```json\n{text}\n```",
    lambda text: f"Here is the answer you asked for:\n\n{text}\n\nLet me know if you need more.",
    lambda text: f"<think>The document names {{several}} values.</think>\n{text}",
    lambda text: re.sub(r": null\b", ": None", text),
    lambda text: re.sub(r'"(\w+)":', r"\1:", text),
    lambda text: text.replace(", ", " ", 1),
    lambda text: text.replace("{", "{ // as found\n", 1),
    lambda text: text.replace(": ", " = ", 1),
    lambda text: f"{text}\n{text[: len(text) // 2]}",
    lambda _: "I could not find a JSON object in the document.",
    json.dumps,
)


def off_schema(value: Any, draw: float) -> Any:
    """Valid JSON of another shape: a field is missing, or has another type, or stands in a wrapper."""
    if not isinstance(value, dict) or not value:
        return {"answer": value}
    name = list(value)[int(draw * len(value))]
    broken = {key: each for key, each in value.items() if key != name}
    return broken if draw < 0.5 else {**broken, name: {"value": value[name], "sure": True}}


def wrong(value: Any, document: str, draw: float) -> Any:
    """The right shape, with one value that stands nowhere in the document, or a sum that does not add up."""
    words = document.casefold()
    invented = [(path, made) for path, leaf in _leaves(value) if (made := _invented(leaf, words)) is not None]
    return _with(value, *invented[int(draw * len(invented))]) if invented else value


def _invented(leaf: Any, words: str) -> Any:
    """Something near a value that is taken from the document; None for a leaf that is not."""
    if isinstance(leaf, int | float) and not isinstance(leaf, bool):
        return round(leaf + 1111.11, 2)
    if not isinstance(leaf, str):
        return None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", leaf):
        return f"1987{leaf[4:]}"
    return f"{leaf} Qyx" if leaf.casefold() in words else None


def misread(value: Any, draw: float) -> Any:
    """The value with one digit of one leaf taken for another; a date stays a date."""
    numeric = [(path, leaf) for path, leaf in _leaves(value) if _has_digits(leaf)]
    if not numeric:
        return value
    path, leaf = numeric[int(draw * len(numeric))]
    return _with(value, path, _with_other_digit(leaf, draw))


def _has_digits(leaf: Any) -> bool:
    return not isinstance(leaf, bool) and leaf is not None and any(map(str.isdecimal, str(leaf)))


def _with_other_digit(leaf: Any, draw: float) -> Any:
    written = str(leaf)
    places = [at for at, sign in enumerate(written) if sign.isdecimal()]
    turn = int(draw * 997)
    for at in places[turn % len(places) :] + places:
        for step in range(1, 10):
            other = str((int(written[at]) + (turn + step) % 9 + 1) % 10)
            changed = written[:at] + other + written[at + 1 :]
            if other != written[at] and _still_one(leaf, changed):
                return type(leaf)(changed) if isinstance(leaf, int | float) else changed
    return leaf


def _still_one(leaf: Any, changed: str) -> bool:
    """Whether the changed text is as good a date or number as the one that was read."""
    if isinstance(leaf, int | float):
        return type(leaf)(changed) != leaf and str(type(leaf)(changed)) == changed
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(leaf)):
        return True
    try:
        return date.fromisoformat(changed).year >= 1980
    except ValueError:
        return False


def swapped(value: Any) -> Any:
    """Two values of a kind, both of which stand in the document, in each other's place."""
    leaves = [(path, leaf) for path, leaf in _leaves(value) if leaf is not None]
    for at, (path, leaf) in enumerate(leaves):
        for other_path, other in leaves[at + 1 :]:
            if type(other) is type(leaf) and other != leaf and path[-1] != "label":
                return _with(_with(value, path, other), other_path, leaf)
    return value


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(member, (*path, key))
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from _leaves(member, (*path, at))
    else:
        yield path, value


def _with(value: Any, path: Path, leaf: Any) -> Any:
    """A copy with another leaf."""
    if not path:
        return leaf
    copy = value.copy()
    copy[path[0]] = _with(copy[path[0]], path[1:], leaf)
    return copy
