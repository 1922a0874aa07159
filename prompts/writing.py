"""An ``output.py`` out of a JSON Schema, or out of an answer as it should be.

The names and texts in either are anybody's: what becomes Python is a name made here, or a literal.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pprint import pformat
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from docmill.errors import PromptError
from docmill.parsing.schema import resolved

__all__ = ["output_of_schema", "schema_of_example"]

DEEPEST = 20
MOST_FIELDS = 500
TAKEN = {
    *("Annotated", "Any", "BaseModel", "ConfigDict", "Decimal", "Field", "Grounded", "Literal", "Output"),
    *("annotations", "date", "datetime", "time", "field_validator", "model_validator"),
    *("bool", "dict", "float", "int", "list", "str", "None"),
}
"""Names that mean something in the module that is written."""
MOMENTS = {"date": "date", "date-time": "datetime", "time": "time"}
BOUNDS = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
}
IMPORTS = (
    ("datetime", ("date", "datetime", "time")),
    ("decimal", ("Decimal",)),
    ("typing", ("Annotated", "Literal")),
    ("", ()),
    ("pydantic", ("BaseModel", "ConfigDict", "Field", "model_validator")),
    ("", ()),
    ("docmill.parsing", ("Grounded",)),
)
TOLD = """# Grounded() demands that the value occurs in the document: take it from what is in a model's own words.
# A check is a method below @model_validator(mode="after") that raises ValueError, or returns self.
"""


def output_of_schema(schema: Any, *, title: str, example: Any = None) -> str:
    """Writes the module. Raises PromptError, naming the place of what a prompt cannot ask for."""
    if not isinstance(schema, Mapping):
        raise PromptError('the schema is no object: it begins as {"type": "object", "properties": {…}}')
    try:
        # No class is called as a field is: within a class the field's name would hide it.
        writer = Writer(root=schema, names={*TAKEN, *(_field_name(key, set()) for key in _keys(schema))})
        writer.write_class("Output", schema, "", example=example)
    except RecursionError as error:
        raise PromptError(f"the schema is nested too deep: {DEEPEST} levels are enough") from error
    body = "\n\n\n".join(writer.classes)
    head = [f'"""{_in_docstring(title)}"""', "from __future__ import annotations", _imports(body) + TOLD]
    return "\n\n".join(head) + f"\n\n{body}\n"


def _keys(schema: Any) -> Iterator[str]:
    for key, part in schema.items() if isinstance(schema, Mapping) else ():
        yield str(key)
        yield from _keys(part)
    for part in schema if isinstance(schema, list) else ():
        yield from _keys(part)


def _imports(body: str) -> str:
    """Lines for what the classes use, and for a check."""
    used = set(re.findall(r"\w+", body))
    lines = []
    for module, names in IMPORTS:
        wanted = [name for name in names if name in used or name == "model_validator"]
        lines += [f"from {module} import {', '.join(wanted)}"] if wanted else [] if names else [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip() + "\n\n")


@dataclass(kw_only=True)
class Writer:
    """Writes a class for each object of a schema, what is below before what is above."""

    root: Mapping[str, Any]
    names: set[str]
    """That mean something already."""
    classes: list[str] = field(default_factory=list)
    _of_reference: dict[str, str] = field(default_factory=dict)
    _fields: int = 0

    def write_class(self, name: str, schema: Mapping[str, Any], place: str, *, example: Any = None) -> None:
        """Adds a class with a field for each property."""
        members = schema.get("properties")
        if not isinstance(members, Mapping) or not members:
            raise _refused(place, "is an object of any fields: name its properties")
        lines = [*_config(example), *self._fields_of(members, schema, place)]
        self.classes.append("\n".join([f"class {name}(BaseModel):", *(f"    {line}".rstrip() for line in lines)]))

    def _fields_of(self, members: Mapping[str, Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
        required = schema.get("required")
        demanded = (
            set(required)
            if isinstance(required, list) and all(isinstance(each, str) for each in required)
            else set()
        )
        taken: set[str] = set()
        for given, part in members.items():
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _refused(place, f"has too many fields: {MOST_FIELDS} in all are enough")
            name = _field_name(str(given), taken)
            taken.add(name)
            yield self._field(name, str(given), part, _below(place, str(given)), optional=given not in demanded)

    def _field(self, name: str, given: str, part: Any, place: str, *, optional: bool) -> str:
        part = part if isinstance(part, Mapping) else {}
        kind, nullable = self._kind(part, place)
        may_be_null = nullable or optional
        options = {"alias": given} if name != given else {}
        described = part.get("description")
        if isinstance(described, str) and described.strip():
            options["description"] = described.strip()
        told = ", ".join(f"{key}={value!r}" for key, value in options.items())
        annotation = f"{kind} | None" if may_be_null else kind
        if may_be_null:
            return f"{name}: {annotation} = Field(None, {told})" if told else f"{name}: {annotation} = None"
        return f"{name}: {annotation} = Field({told})" if told else f"{name}: {annotation}"

    def _kind(self, part: Any, place: str, depth: int = 0) -> tuple[str, bool]:
        """The type of a schema as Python says it, without null, and whether it may be null."""
        if not isinstance(part, Mapping) or depth > DEEPEST or place.count(".") > DEEPEST:
            raise _refused(place, "is nested too deep, or is no schema")
        if "$ref" in part:
            return self._referred(str(part["$ref"]), place, depth)
        if "enum" in part or "const" in part:
            return _labels(part, place)
        choices = part.get("anyOf") or part.get("oneOf") or part.get("allOf")
        if choices:
            return self._chosen(choices, part, place, depth)
        named = part.get("type") or ("object" if "properties" in part else "array" if "items" in part else None)
        names = [named] if isinstance(named, str) else list(named or [])
        kinds = [self._of_type(str(each), part, place, depth) for each in names if each != "null"]
        if not kinds:
            raise _refused(place, "says no type: give it one, as string, number, boolean, array or object")
        return " | ".join(dict.fromkeys(kinds)), "null" in names

    def _chosen(self, choices: Any, part: Mapping[str, Any], place: str, depth: int) -> tuple[str, bool]:
        if not isinstance(choices, list) or ("allOf" in part and len(choices) != 1):
            raise _refused(place, "combines several schemas by allOf: write one")
        some = [each for each in choices if not (isinstance(each, Mapping) and each.get("type") == "null")]
        kinds = [self._kind(each, place, depth + 1) for each in some]
        if not kinds:
            raise _refused(place, "can only be null: take it out, or say what else it can be")
        nullable = len(some) < len(choices) or any(null for _, null in kinds)
        return " | ".join(dict.fromkeys(kind for kind, _ in kinds)), nullable

    def _referred(self, reference: str, place: str, depth: int) -> tuple[str, bool]:
        if not reference.startswith("#"):
            raise _refused(place, f"refers to another file ({reference[:80]!r}): put what it says under $defs")
        if reference in self._of_reference:
            return self._of_reference[reference], False
        target = resolved(reference, self.root)
        if target is True:
            raise _refused(place, f"refers to {reference[:80]!r}, which is not there")
        if not isinstance(target, Mapping) or "properties" not in target:
            return self._kind(target, place, depth + 1)
        # Known before it is written: it may refer to itself.
        name = self._of_reference[reference] = self._class_name(reference.rpartition("/")[2])
        self.write_class(name, target, place)
        return name, False

    def _of_type(self, named: str, part: Mapping[str, Any], place: str, depth: int) -> str:
        if named == "object":
            name = self._class_name(place.removesuffix(".[]").rpartition(".")[2])
            self.write_class(name, part, place)
            return name
        if named == "array":
            item, nullable = self._kind(part.get("items", {}), f"{place}.[]", depth + 1)
            return _bounded(f"list[{item} | None]" if nullable else f"list[{item}]", "list", part, place)
        if named == "string":
            moment = MOMENTS.get(str(part.get("format")))
            return (
                f"Annotated[{moment}, Grounded()]"
                if moment
                else _bounded("str", "str", part, place, grounded=True)
            )
        if named in ("number", "integer"):
            kind = "Decimal" if named == "number" else "int"
            return _bounded(kind, kind, part, place, grounded=True)
        if named == "boolean":
            return "bool"
        raise _refused(place, f"has the type {named[:40]!r}, which JSON does not have")

    def _class_name(self, given: str) -> str:
        words = re.findall(r"[A-Za-z0-9]+", given)
        name = "".join(word[0].upper() + word[1:] for word in words)[:40] or "Part"
        name = _singular(name if name[0].isalpha() else f"Part{name}")
        name = f"{name}Part" if keyword.iskeyword(name) else name
        unique, number = name, 2
        while unique in self.names:
            unique, number = f"{name}{number}", number + 1
        self.names.add(unique)
        return unique


def _singular(name: str) -> str:
    return name[:-1] if len(name) > 3 and name.endswith("s") and not name.endswith("ss") else name


def _labels(part: Mapping[str, Any], place: str) -> tuple[str, bool]:
    allowed = part["enum"] if "enum" in part else [part["const"]]
    some = [each for each in allowed if each is not None] if isinstance(allowed, list) else []
    if not some or not all(isinstance(each, str | int) for each in some):
        raise _refused(
            place, "allows values that are no texts, whole numbers, true or false: give it a type instead"
        )
    return f"Literal[{', '.join(map(repr, dict.fromkeys(some)))}]", len(some) < len(allowed)


def _bounded(kind: str, python: str, part: Mapping[str, Any], place: str, *, grounded: bool = False) -> str:
    """The type with what the schema bounds it to, and where it is one word of the document's, grounded."""
    sized = ("minItems", "maxItems") if python == "list" else ("minLength", "maxLength")
    numeric = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    known = sized if python in ("list", "str") else numeric
    bounds = {
        BOUNDS[name]: part[name]
        for name in known
        if isinstance(part.get(name), int | float) and not isinstance(part.get(name), bool)
    }
    if python == "str" and isinstance(part.get("pattern"), str):
        bounds["pattern"] = _usable(part["pattern"], place)
    told = ", ".join(f"{name}={value!r}" for name, value in bounds.items())
    marks = [*(["Grounded()"] if grounded else []), *([f"Field({told})"] if told else [])]
    return f"Annotated[{', '.join([kind, *marks])}]" if marks else kind


def _usable(pattern: str, place: str) -> str:
    """Some patterns of JSON Schema are beyond what checks them here, because they need not end in linear time."""
    try:
        TypeAdapter(Annotated[str, Field(pattern=pattern)])
    except (SchemaError, PydanticUserError) as error:
        raise _refused(
            place, f"has a pattern that cannot be checked ({pattern[:60]!r}): write it without look-around"
        ) from error
    return pattern


def _config(example: Any) -> list[str]:
    if example is None:
        return []
    shown = pformat(example, sort_dicts=False, width=88)
    return [*f"model_config = ConfigDict(json_schema_extra={{'examples': [{shown}]}})".splitlines(), ""]


def _field_name(given: str, taken: set[str]) -> str:
    """A name that Python and Pydantic take; the schema's own where it is one."""
    is_name = given.isidentifier() and unicodedata.normalize("NFKC", given) == given  # as Python reads names
    name = given if is_name else re.sub(r"\W", "_", given, flags=re.ASCII)
    name = name.strip("_")[:60].rstrip("_")
    name = name if name.isidentifier() else f"field_{name}".rstrip("_")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in RESERVED or name.startswith("model_"):
        name = f"{name}_"
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


RESERVED = {name for name in dir(BaseModel) if not name.startswith("_")} | TAKEN


def _refused(place: str, told: str) -> PromptError:
    return PromptError(f"{place or 'the answer'} {told}")


def _below(place: str, name: str) -> str:
    short = name if len(name) <= 60 else f"{name[:60]}…"
    return f"{place}.{short}" if place else short


def _in_docstring(title: str) -> str:
    return " ".join(re.sub(r'["\\\x00-\x1f]', " ", title).split())[:80] or "An answer."


# --- an example ---


def schema_of_example(example: Any) -> dict[str, Any]:
    """The schema that an answer has. Raises PromptError, naming the place of what says no type."""
    if not isinstance(example, Mapping) or not example:
        raise PromptError('the example is no object: it reads as {"number": "17", "lines": [{"name": "…"}]}')
    return _inferred([example], "")


def _inferred(values: Sequence[Any], place: str) -> dict[str, Any]:
    """The schema that all of the values have; what only some objects have may be null."""
    if place.count(".") > DEEPEST:
        raise _refused(place, "is nested too deep")
    some = [each for each in values if each is not None]
    found = [
        _of_value(kind, [each for each in some if _kind_of(each) == kind], place)
        for kind in dict.fromkeys(map(_kind_of, some))
    ]
    if {each["type"] for each in found} == {"integer", "number"}:
        found = [{"type": "number"}]
    if len(found) != 1:
        why = "says no type: put a value there" if not found else "has values of several types: use one"
        raise _refused(place, why)
    return found[0] if len(some) == len(values) else {"anyOf": [found[0], {"type": "null"}]}


def _of_value(kind: str, values: Sequence[Any], place: str) -> dict[str, Any]:
    if kind == "object":
        names = list(dict.fromkeys(name for each in values for name in each))
        members = {name: _inferred([each.get(name) for each in values], _below(place, name)) for name in names}
        if not members:
            raise _refused(place, "is an object without a field: give it one")
        return {"type": "object", "properties": members, "required": names}
    if kind == "array":
        return {"type": "array", "items": _inferred([item for each in values for item in each], f"{place}.[]")}
    if kind == "string" and all(DAY.fullmatch(each) and _is_day(each) for each in values):
        return {"type": "string", "format": "date"}
    return {"type": kind}


DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _kind_of(value: Any) -> str:
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")
