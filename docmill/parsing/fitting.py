"""Fitting a value to a JSON Schema where what was meant is not in doubt.

A number as text, one object for a list of one, a label in other letters, an answer in a wrapper or encoded
twice: each has one reading that fits. Where a value fits as it is, it is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docmill.parsing.amounts import amount
from docmill.parsing.lenient import Doubt, read_whole
from docmill.parsing.schema import kinds, labels, problems, resolved

__all__ = ["fitted", "is_foreign", "label_in", "word_in"]

NOT_OF_A_LABEL = re.compile(r"^[^\w]+|[^\w]+$")
PARTING = re.compile(r"[\s_-]+")
TRUTHS = {"true": True, "false": False, "yes": True, "no": False}
NOTHINGS = frozenset({"", "null", "none", "n/a"})
ARGUMENTS = ("arguments", "parameters", "input", "args")
"""Where the answer stands in what models write to call a tool."""
A_NUMBER = re.compile(r"(?<![\w.,%/-])-?\d[\d.,]*(?<=\d)(?![\w%/]|[.,-]\d)")
HEDGES = re.compile(
    r"\b(?:about|around|approximately|roughly|between|least|most|over|under|or)\b|~", re.IGNORECASE
)
NEGATION = re.compile(r"\b(?:not|no|nor|neither|never|cannot|without|unlike|non)\b|n['’]t\b", re.IGNORECASE)


def fitted(value: Any, schema: Any, root: Mapping[str, Any] | None = None) -> Any:
    """The value in the form that the schema asks for; as it is where no reading fits."""
    if not isinstance(schema, Mapping):
        return value
    root = root if root is not None else schema
    if "$ref" in schema:
        return fitted(value, resolved(schema["$ref"], root), root)
    value = _members_fitted(value, schema, root)
    if _fits(value, schema, root):
        return value
    for reading in _readings(value, schema, root):
        if _fits(reading, schema, root):
            return reading
    return value


def is_foreign(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> bool:
    """Whether an object has nothing of what was asked for, and so answers something else."""
    if "$ref" in schema:
        return is_foreign(value, resolved(schema["$ref"], root or schema), root or schema)
    known = schema.get("properties")
    if not isinstance(value, dict) or not value or not known or schema.get("additionalProperties"):
        return False
    return not value.keys() & known.keys()


def _fits(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    return not problems(value, schema, root) and not is_foreign(value, schema, root)


def label_in(text: str, names: Sequence[Any]) -> Any:
    """The one label that stands in the text as a word of its own; None where none or several do."""
    if NEGATION.search(text):
        return None
    known = {name: name for name in names if isinstance(name, str) and name}
    exact = {name for name in known if _stands_in(name, text, 0)}
    found = exact or {name for name in known if _stands_in(name, text, re.IGNORECASE)}
    # A label within a longer one that stands there is no second label.
    longest = {
        name for name in found if not any(name != other and name.lower() in other.lower() for other in found)
    }
    return longest.pop() if len(longest) == 1 else None


def word_in(text: str, wanted: frozenset[str]) -> Any:
    """The one number, or the one truth, that prose names; None where there is none, or it is hedged."""
    if HEDGES.search(text) or NEGATION.search(text):
        return None
    if wanted & {"number", "integer"}:
        numbers = A_NUMBER.findall(text)
        return amount(numbers[0]) if len(numbers) == 1 else None
    truth = label_in(text, ["true", "false"]) if "boolean" in wanted else None
    return TRUTHS[truth] if truth else None


def _stands_in(name: str, text: str, flags: int) -> bool:
    """As a word: no part of another, nor of one with a hyphen."""
    words = r"[\s_-]+".join(map(re.escape, PARTING.split(name)))
    return re.search(rf"(?<!\w)(?<!\w-){words}(?!\w|-\w)", text, flags) is not None


def _members_fitted(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if isinstance(value, dict) and isinstance(schema.get("properties"), Mapping):
        known = schema["properties"]
        return {
            name: fitted(member, known[name], root) if name in known else member
            for name, member in _named_as_known(value, known).items()
        }
    if isinstance(value, list) and "items" in schema:
        return [fitted(member, schema["items"], root) for member in value]
    return value


def _named_as_known(value: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The members under the schema's names, where only capitals or what parts the words is different."""
    if value.keys() <= known.keys():
        return value
    plain = {_plain(name): name for name in known if name not in value}
    renamed = {
        plain.get(_plain(name), name) if name not in known else name: member for name, member in value.items()
    }
    return renamed if len(renamed) == len(value) else value


def _plain(name: str) -> str:
    return PARTING.sub("", name).casefold()


def _readings(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Any]:
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        for choice in choices or ():
            yield fitted(value, choice, root)
    wanted = kinds(schema, root)
    if isinstance(value, str):
        yield from _readings_of_text(value, schema, wanted, root)
    if isinstance(value, int) and not isinstance(value, bool) and "string" in wanted:
        yield str(value)
    if isinstance(value, dict):
        yield from _unwrapped(value, schema, wanted, root)
    if isinstance(value, list) and len(value) == 1 and "array" not in wanted:
        yield fitted(value[0], schema, root)
    if wanted == {"array"} and not isinstance(value, list) and value is not None:
        yield [fitted(value, schema.get("items"), root)]


def _unwrapped(
    value: dict[str, Any], schema: Mapping[str, Any], wanted: frozenset[str], root: Mapping[str, Any]
) -> Iterator[Any]:
    """What a wrapper holds: an only member, or a tool's arguments, as an object or as text."""
    inner = list(value.values()) if len(value) == 1 else [value[key] for key in ARGUMENTS if key in value]
    if len(inner) != 1:
        return
    if "object" in wanted and isinstance(inner[0], dict | str):
        yield fitted(inner[0], schema, root)
    if "array" in wanted and isinstance(inner[0], list):
        yield fitted(inner[0], schema, root)


def _readings_of_text(
    text: str, schema: Mapping[str, Any], wanted: frozenset[str], root: Mapping[str, Any]
) -> Iterator[Any]:
    bare = text.strip()
    if wanted & {"number", "integer"} and (number := amount(bare)) is not None:
        yield number
    if "boolean" in wanted and bare.lower() in TRUTHS:
        yield TRUTHS[bare.lower()]
    if "null" in wanted and bare.lower() in NOTHINGS:
        yield None
    if wanted & {"object", "array"} and bare[:1] in ("{", "["):
        try:
            yield fitted(read_whole(bare), schema, root)
        except Doubt:
            return
    yield from _labels_like(bare, labels(schema))


def _labels_like(text: str, names: Sequence[Any]) -> Sequence[Any]:
    """The one label that differs in capitals, in what surrounds it or in what parts its words."""
    plain = _plain(NOT_OF_A_LABEL.sub("", text))
    same = [name for name in names if isinstance(name, str) and _plain(name) == plain]
    return same if len(same) == 1 else ()
