"""Fitting a value to a JSON Schema where what was meant is not in doubt.

A number as text, one object for a list of one, a label in other letters, an answer in a wrapper or encoded
twice: each has one reading that fits. Where a value fits as it is, it is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docmill.parsing.amounts import amount
from docmill.parsing.bounds import same
from docmill.parsing.checking import Checker
from docmill.parsing.lenient import Doubt, read_whole
from docmill.parsing.schema import kinds, kinds_of, labels, resolved

__all__ = ["concerns", "fitted", "is_foreign", "label_in", "word_in"]

NOT_OF_A_LABEL = re.compile(r"^[^\w]+|[^\w]+$")
PARTING = re.compile(r"[\s_-]+")
TRUTHS = {"true": True, "false": False, "yes": True, "no": False}
NOTHINGS = frozenset({"", "null", "none", "n/a"})
GIVEN = frozenset({"arguments", "parameters", "input", "args", "kwargs", "action_input", "tool_input"})
"""Where the answer stands in what models write to call a tool."""
NAMES_OF_TOOLS = frozenset({"name", "function", "tool", "action", "tool_name", "function_name", "recipient_name"})
OF_A_CALL = NAMES_OF_TOOLS | {"id", "type", "index", "call_id", "tool_call_id", "thought", "thoughts", "reasoning"}
WRAPPERS = GIVEN | {
    *("function", "function_call", "functioncall", "tool_call", "tool_calls", "tool_use", "tool_uses", "calls"),
    *("answer", "final_answer", "final", "output", "result", "response", "reply", "solution", "json", "data"),
    *("content", "message", "choices", "value", "values", "extracted", "extraction", "extracted_data", "fields"),
}
A_NUMBER = re.compile(r"(?<![\w.,%/-])-?\d[\d.,]*(?<=\d)(?![\w%/]|[.,-]\d)")
HEDGES = re.compile(
    r"\b(?:about|around|approximately|roughly|between|least|most|over|under|or)\b|~", re.IGNORECASE
)
NEGATION = re.compile(r"\b(?:not|no|nor|neither|never|cannot|without|unlike|non)\b|n['’]t\b", re.IGNORECASE)


def fitted(value: Any, checker: Checker) -> Any:
    """The value in the form that the schema asks for; as it is where no reading fits."""
    return _Fitting(checker).fitted(value, checker.root)


def is_foreign(value: Any, schema: Any, root: Mapping[str, Any] | None = None) -> bool:
    """Returns whether an object has nothing of what was asked for, and so answers something else."""
    if not isinstance(schema, Mapping):
        return False
    if "$ref" in schema:
        return is_foreign(value, resolved(schema["$ref"], root or schema), root or schema)
    known = schema.get("properties")
    if not isinstance(value, dict) or not value or not known or schema.get("additionalProperties"):
        return False
    return not value.keys() & known.keys()


def concerns(value: Any, schema: Mapping[str, Any]) -> bool:
    """Returns whether a value is about what the schema asks for: of its kind, and with something of it."""
    wanted = kinds(schema)
    kind = _kind(value)
    return (not wanted or not kind or kind in wanted) and not is_foreign(value, schema)


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


class _Fitting:
    """One fitting of a value, which looks at each of its parts once for each part of the schema.

    Without that memory a reply nested sixteen deep would keep a worker for minutes.
    """

    def __init__(self, checker: Checker) -> None:
        self.checker = checker
        self.root = checker.root
        self.seen: dict[tuple[int, int], tuple[Any, Any]] = {}
        """What was fitted already, kept beside its result, so that no other object takes its identity."""

    def fitted(self, value: Any, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return value
        key = (id(value), id(schema))
        if key not in self.seen:
            self.seen[key] = (value, value)  # a reading within that comes back to it ends here
            self.seen[key] = (value, self._fitted(value, schema))
        return self.seen[key][1]

    def _fitted(self, value: Any, schema: Mapping[str, Any]) -> Any:
        if "$ref" in schema:
            return self.fitted(value, resolved(schema["$ref"], self.root))
        if (inner := _given_to_a_tool(value, schema)) is not None:
            answer = self.fitted(inner, schema)
            if self._fits(answer, schema):
                return answer
        value = self._with_members_fitted(value, schema)
        if self._fits(value, schema):
            return value
        return next((reading for reading in self._readings(value, schema) if self._fits(reading, schema)), value)

    def _fits(self, value: Any, schema: Mapping[str, Any]) -> bool:
        return self.checker.fits(value, schema) and not is_foreign(value, schema, self.root)

    def _with_members_fitted(self, value: Any, schema: Mapping[str, Any]) -> Any:
        if isinstance(value, dict):
            known = schema.get("properties") or {}
            others = schema.get("additionalProperties")
            return {
                name: self.fitted(member, known.get(name, others))
                for name, member in _named_as_known(value, known).items()
            }
        if isinstance(value, list) and "items" in schema:
            return [self.fitted(member, schema["items"]) for member in value]
        return value

    def _readings(self, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
        for choices in (schema.get("anyOf"), schema.get("oneOf")):
            for choice in choices or ():
                yield self.fitted(value, choice)
        wanted = kinds(schema, self.root)
        if isinstance(value, str):
            yield from self._readings_of_text(value, schema, wanted)
        if isinstance(value, int) and not isinstance(value, bool) and "string" in wanted:
            yield str(value)
        if isinstance(value, dict):
            inner = self._unwrapped(value, schema)
            yield from (each for each in inner if kinds_of(each) & (wanted or {"object"}))
        if isinstance(value, list) and len(value) == 1 and wanted and "array" not in wanted:
            yield self.fitted(value[0], schema)
        if wanted == {"array"} and not isinstance(value, list) and value is not None:
            yield [self.fitted(value, schema.get("items"))]

    def _unwrapped(self, value: dict[str, Any], schema: Mapping[str, Any]) -> Iterator[Any]:
        """What a wrapper holds: its only member, or the one called an answer; nothing where several would do."""
        inner = [each for each in self._answers_within(value, schema) if isinstance(each, dict | list | str)]
        readings = [reading for each in inner if self._fits(reading := self.fitted(each, schema), schema)]
        if readings and all(same(reading, readings[0]) for reading in readings):
            yield readings[0]

    def _answers_within(self, value: dict[str, Any], schema: Mapping[str, Any]) -> list[Any]:
        if value.keys() & (schema.get("properties") or {}).keys():
            return []
        return [member for name, member in value.items() if len(value) == 1 or name.lower() in WRAPPERS]

    def _readings_of_text(self, text: str, schema: Mapping[str, Any], wanted: frozenset[str]) -> Iterator[Any]:
        bare = text.strip()
        if wanted & {"number", "integer"} and (number := amount(bare)) is not None:
            yield number
        if "boolean" in wanted and bare.lower() in TRUTHS:
            yield TRUTHS[bare.lower()]
        if "null" in wanted and bare.lower() in NOTHINGS:
            yield None
        if wanted & {"object", "array"} and bare[:1] in ("{", "["):
            try:
                yield self.fitted(read_whole(bare), schema)
            except Doubt:
                return
        yield from _labels_like(bare, labels(schema))


def _given_to_a_tool(value: Any, schema: Mapping[str, Any]) -> Any:
    """What a tool is given, where the value is nothing but the call of one, and the schema knows no such thing."""
    known = schema.get("properties")
    if not isinstance(value, dict) or not known or len(value) < 2:
        return None
    given = value.keys() & GIVEN
    others = value.keys() - given
    if len(given) != 1 or given & known.keys() or not others & NAMES_OF_TOOLS or not others <= OF_A_CALL:
        return None
    inner = value[given.pop()]
    return inner if isinstance(inner, str) or (isinstance(inner, dict) and inner.keys() & known.keys()) else None


def _kind(value: Any) -> str:
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else ""


def _labels_like(text: str, names: Sequence[Any]) -> Sequence[Any]:
    """The one label that differs in capitals, in what surrounds it or in what parts its words."""
    plain = _plain(NOT_OF_A_LABEL.sub("", text))
    same_label = [name for name in names if isinstance(name, str) and _plain(name) == plain]
    return same_label if len(same_label) == 1 else ()
