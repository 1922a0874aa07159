"""Whether a value fits a JSON Schema: by a library for the schema's words, and by limits for what one may cost.

A schema is written by whoever wrote the prompt, and run over what a stranger's document made a model say. So no
reference is fetched, no pattern takes longer than linear time over a long text, and what a schema unfolds to is
bounded: a few lines of references can stand for millions of rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice
from typing import Any, TypeAlias

from jsonschema_rs import (
    Draft202012Validator,
    FancyRegexOptions,
    ReferencingError,
    RegexOptions,
    ValidationError,
    ValidatorMap,
    validator_for,
    validator_map_for,
)

from docmill.errors import Misconfigured
from docmill.parsing.bounds import DEEPEST, below
from docmill.parsing.schema import resolved

__all__ = ["Checker", "Problem"]

Problem: TypeAlias = tuple[str, str]
"""A place, as in ``lines.0.total``, and the rule that it breaks."""

MOST_PROBLEMS = 50
"""A correction names no more of them."""
MOST_RULES = 10_000
"""What a schema may unfold to, for one place of a value."""
MOST_RULES_TOLD = 100_000
"""What it may unfold to over all depths of a value, for each broken rule to be named."""
LONGEST_LOOKED_AROUND = 200
"""Characters of a text that a pattern with lookaround or back-references, which is not linear, is run over."""
LINEAR = RegexOptions(size_limit=1_000_000)
"""Bytes of a compiled pattern."""
BOUNDED = FancyRegexOptions(backtrack_limit=1000, size_limit=1_000_000)

OF_VALUES = frozenset({"enum", "const", "default", "examples"})
"""What stands there is a value, and no schema, whatever it looks like."""
OF_NAMES = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""What stands there are schemas by name."""
OF_MEMBERS = frozenset(
    {
        *("properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames"),
        *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains"),
    }
)
"""What stands there is held against a member of the value, and all else against the value itself."""
ASIDE = frozenset({"$defs", "definitions"})

LIMITS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must be at least {} characters",
    "maxLength": "must be at most {} characters",
    "minItems": "must be at least {} items",
    "maxItems": "must be at most {} items",
    "minProperties": "must have at least {} fields",
    "maxProperties": "must have at most {} fields",
    "pattern": "must match {}",
    "format": "must be a {}",
}
WORDS = {
    "anyOf": "fits none of the allowed forms",
    "oneOf": "must fit one of the allowed forms, and one only",
    "not": "fits a form that is not allowed",
    "uniqueItems": "must hold nothing twice",
    "contains": "lacks an item that it must hold",
    "propertyNames": "has a field whose name is not allowed",
    "falseSchema": "nothing is allowed here",
}


class Checker:
    """Holds values against one schema and its parts.

    Raises Misconfigured where it is no schema, or none whose cost is bounded.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.root, self._validators, self._pointers = _compiled(_written(schema))

    def fits(self, value: Any, part: Any = None) -> bool:
        """Returns whether a value fits the schema, or the part of it that is given."""
        if isinstance(part, bool):
            return part
        try:
            # None stands where no schema is expected: the whole decides then.
            validator = self._validators.get("#" if part is None else self._pointers.get(id(part), ""))
            return validator is None or validator.is_valid(value)
        except UnicodeEncodeError:  # half a surrogate pair
            return False

    def problems(self, value: Any) -> list[Problem]:
        """Returns what keeps the value from fitting; empty where it fits."""
        if self.fits(value):
            return []
        if _Unfolding(self.root).rules_within(self.root, _depth(value)) > MOST_RULES_TOLD:
            return [("", "does not fit the schema")]
        errors = self._validators["#"].iter_errors(value)
        return list(islice(chain.from_iterable(map(_told, errors)), MOST_PROBLEMS))


def _written(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise Misconfigured(f"the schema is no JSON: {error}") from error


@lru_cache(maxsize=64)
def _compiled(written: str) -> tuple[dict[str, Any], ValidatorMap, Mapping[int, str]]:
    """The schema as plain JSON, what checks its parts by their pointers, and the pointer to each part of it."""
    try:
        root = json.loads(written)
        if _Unfolding(root).rules(root) > MOST_RULES:
            raise Misconfigured(
                f"the schema unfolds to more than {MOST_RULES} rules: let its parts refer to fewer others"
            )
        bounded = _with_bounded_patterns(root)
        validator_for(bounded, pattern_options=BOUNDED, offline=True)  # the map is silent about what is none
        return root, validator_map_for(bounded, pattern_options=BOUNDED, offline=True), dict(_pointers(root))
    except RecursionError as error:
        raise Misconfigured("the schema is nested too deep: write parts of it under $defs") from error
    except (ReferencingError, ValueError) as error:  # the library's ValidationError is one too
        raise Misconfigured(f"the schema is no JSON Schema: {_where(error)}") from error


def _where(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    place = ".".join(map(str, error.instance_path))
    return f"{place}: {error.message}" if place else error.message


def _depth(value: Any) -> int:
    """How deep objects and lists stand one within another, counted up to one above the deepest."""
    level, depth = [value], 0
    while depth <= DEEPEST and (level := [member for each in level if _is_nest(each) for member in _inner(each)]):
        depth += 1
    return depth


def _is_nest(value: Any) -> bool:
    return isinstance(value, dict | list)


def _inner(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Each schema that stands directly in another: its keyword, its place below, and itself."""
    for keyword, held in schema.items():
        if keyword in OF_VALUES:
            continue
        if isinstance(held, list):
            yield from ((keyword, f"{_step(keyword)}/{at}", each) for at, each in enumerate(held))
        elif keyword in OF_NAMES and isinstance(held, dict):
            yield from ((keyword, f"{_step(keyword)}/{_step(name)}", each) for name, each in held.items())
        else:
            yield keyword, _step(keyword), held


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _pointers(schema: Any, place: str = "#") -> Iterator[tuple[int, str]]:
    """Each part's identity, and the pointer to it."""
    if isinstance(schema, dict):
        yield id(schema), place
        for _, step, part in _parts(schema):
            yield from _pointers(part, f"{place}/{step}")


class _Unfolding:
    """How many rules a schema comes to, each part counted as often as others refer to it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._levels: dict[int, int] = {}
        """Of the parts that are being counted: how many members deep."""
        self._rules: dict[int, int] = {}
        self._rules_within: dict[tuple[int, int], int] = {}

    def rules(self, schema: Any, level: int = 0) -> int:
        """Counts what comes back to itself once.

        Raises Misconfigured where it comes back for one and the same value.
        """
        if not isinstance(schema, dict):
            return 1
        if id(schema) in self._levels:
            if self._levels[id(schema)] == level:
                raise Misconfigured("the schema refers to itself without end: let it describe a member in between")
            return 1
        if id(schema) not in self._rules:
            self._levels[id(schema)] = level
            counted = 1 + sum(self.rules(part, level + is_member) for part, is_member in self._applied(schema))
            self._rules[id(schema)] = counted
            del self._levels[id(schema)]
        return self._rules[id(schema)]

    def rules_within(self, schema: Any, depth: int) -> int:
        """Counts what comes back to itself as often as a value so deep makes it."""
        if not isinstance(schema, dict) or depth < 0:
            return 1
        key = (id(schema), depth)
        if key not in self._rules_within:
            applied = self._applied(schema)
            counted = 1 + sum(self.rules_within(part, depth - is_member) for part, is_member in applied)
            self._rules_within[key] = counted
        return self._rules_within[key]

    def _applied(self, schema: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
        """What is held against a value beside the schema, and whether against its members."""
        if isinstance(schema.get("$ref"), str):
            yield resolved(schema["$ref"], self.root), False
        for keyword, _, part in _parts(schema):
            if keyword not in ASIDE:
                yield part, keyword in OF_MEMBERS


def _with_bounded_patterns(schema: Any) -> Any:
    """The schema, each pattern that is not linear run over short texts alone."""
    if isinstance(schema, list):
        return list(map(_with_bounded_patterns, schema))
    if not isinstance(schema, dict):
        return schema
    made = {name: part if name in OF_VALUES else _with_bounded_patterns(part) for name, part in schema.items()}
    for name in made.get("patternProperties") or ():
        if not _is_linear(name):
            raise ValueError(f"patternProperties: {name}: names are not matched by lookaround or back-references")
    pattern = made.get("pattern")
    if isinstance(pattern, str) and not _is_linear(pattern):
        del made["pattern"]
        short = {"maxLength": LONGEST_LOOKED_AROUND}
        made["allOf"] = [*made.get("allOf", ()), {"if": short, "then": {"pattern": pattern}, "else": short}]
    return made


@lru_cache(maxsize=256)
def _is_linear(pattern: str) -> bool:
    try:
        Draft202012Validator({"pattern": pattern}, pattern_options=LINEAR)
    except ValidationError:
        return False
    return True


def _told(error: ValidationError) -> Iterator[Problem]:
    """The place, and the rule in words; none holds the value itself, which may be a document's."""
    place = ""
    for step in error.instance_path:
        place = below(place, step)
    keyword, value = error.kind.name, error.kind.value
    if keyword == "required":
        yield below(place, value), "is missing"
    elif keyword in ("additionalProperties", "unevaluatedProperties"):
        yield from ((below(place, name), "is not a known field") for name in value)
    else:
        yield place, _rule(keyword, value)


def _rule(keyword: str, value: Any) -> str:
    if keyword == "type":
        return f"must be {' or '.join([value] if isinstance(value, str) else value)}"
    if keyword == "enum":
        return f"must be one of {', '.join(map(str, value))}"
    if keyword == "const":
        return f"must be {value}"
    if keyword in LIMITS:
        return LIMITS[keyword].format(value)
    return WORDS.get(keyword, f"breaks the schema's rule {keyword}")
