"""Answers by rule: what a schema asks for, looked up in the document's words. No language model, no invention.

A field is understood by its name and its type: dates, amounts, names, labels, sentences. Nothing but the request
is seen; what cannot be found is null where the schema allows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docmill.errors import Misconfigured
from docmill.parsing.checking import Checker
from docmill.simulator.rules import amounts, citations, dates, kinds, names, prose, shapes
from docmill.simulator.rules.citations import passages_in

__all__ = ["NothingFound", "answer", "document_in", "example_in", "passages_in", "schema_in"]

DOCUMENT_BEGINS = re.compile(r"<document-([0-9a-f]{12})>\n")
FENCED_SCHEMA = re.compile(r"JSON Schema, and nothing else:\n```json\n(.*?)\n```", re.DOTALL)
FENCED_EXAMPLE = re.compile(r"For example:\n```json\n(.*?)\n```", re.DOTALL)
LINE_FIELDS = frozenset({"name", "description", "quantity", "line_total"})
DEEPEST = 20
MOST_NAMED = 5


def document_in(messages: Sequence[Mapping[str, Any]]) -> str:
    """The document between its two lines; the last message where there are none."""
    for message in messages:
        content = str(message.get("content"))
        begins = DOCUMENT_BEGINS.search(content)
        ends = content.rfind(f"\n</document-{begins[1]}>") if begins else -1
        if begins and ends >= begins.end():
            return content[begins.end() : ends]
    return str(messages[-1].get("content")) if messages else ""


def schema_in(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The schema of the answer that the instructions name; None where they name none."""
    for message in messages:
        found = FENCED_SCHEMA.search(str(message.get("content")))
        if found:
            return dict(json.loads(found[1]))
    return None


def example_in(messages: Sequence[Mapping[str, Any]]) -> Any:
    """The answer that the instructions give as an example, which a model repeats that has seen nothing."""
    for message in messages:
        found = FENCED_EXAMPLE.search(str(message.get("content")))
        if found:
            return json.loads(found[1])
    return None


class NothingFound(Exception):
    """The rules find nothing for what the schema demands. ``places`` are the fields."""

    def __init__(self, places: Sequence[str]) -> None:
        super().__init__(
            f"the simulator's rules find no value for {', '.join(places[:MOST_NAMED])} in this document, and it "
            f"invents none: ask a model (docmill.toml, DOCMILL_LLM_URL), or let the field be null"
        )
        self.places = tuple(places)


def answer(document: str, schema: Mapping[str, Any], passages: Sequence[str] = ()) -> Any:
    """A value of the schema's shape with what the document holds; a question is answered out of passages.

    Raises NothingFound where the schema demands what no rule finds.
    """
    if {"answered", "answer", "citations"} <= set(schema.get("properties", ())):
        return citations.answer(document, passages)
    search = Search(document=document, root=schema)
    value = search.value((), schema)
    if search.missed:
        raise NothingFound(search.missed)
    return _mended(value) if isinstance(value, dict) else value


@dataclass(kw_only=True)
class Search:
    """One document searched for all that a schema asks for."""

    document: str
    root: Mapping[str, Any]
    missed: list[str] = field(default_factory=list)
    """Where the schema demands a value, and none was found."""

    def value(self, path: tuple[str, ...], schema: Mapping[str, Any]) -> Any:
        """Returns what was found; None, which is noted where it may not be."""
        schema, may_be_null = self._plain(schema)
        found = self._found(path, schema, may_be_null=may_be_null)
        if found is None and not may_be_null:
            self.missed.append(".".join(path) or "the answer")
        return found

    def _plain(self, schema: Mapping[str, Any], depth: int = 0) -> tuple[Mapping[str, Any], bool]:
        """The schema behind references and choices, and whether null is one of these."""
        if depth > DEEPEST:
            return {}, True
        if "$ref" in schema:
            return self._plain(self.root["$defs"][schema["$ref"].rpartition("/")[2]], depth + 1)
        choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
        if choices:
            plain, may_be_null = self._plain(choices[0], depth + 1)
            return plain, may_be_null or len(choices) < len(schema["anyOf"])
        named = schema.get("type")
        if isinstance(named, list):
            return {**schema, "type": next((each for each in named if each != "null"), None)}, "null" in named
        return schema, named == "null"

    def _found(self, path: tuple[str, ...], schema: Mapping[str, Any], *, may_be_null: bool) -> Any:
        if len(path) > DEEPEST:
            return None
        if schema.get("type") == "object":
            return self._object(path, schema, may_be_null=may_be_null)
        if schema.get("type") == "array":
            return self._items(path, schema) or (None if may_be_null else self._empty(path, schema))
        found = _scalar(_names(path), schema, self.document)
        return None if found in ("", None) or not _fits(found, schema) else found

    def _object(self, path: tuple[str, ...], schema: Mapping[str, Any], *, may_be_null: bool) -> Any:
        """With what was found for its members; null where nothing was, and it may be."""
        within = Search(document=self._part(path), root=self.root)
        members = schema.get("properties", {})
        found = {key: within.value((*path, key), member) for key, member in members.items()}
        if may_be_null and (within.missed or all(each is None for each in found.values())):
            return None
        self.missed += within.missed
        return found

    def _part(self, path: tuple[str, ...]) -> str:
        """The paragraph below a heading that is called as the object; the whole document without one."""
        if not path:
            return self.document
        rest = shapes.below(path[-1], self.document)
        return re.split(r"\n\s*\n", rest)[0] if rest else self.document

    def _items(self, path: tuple[str, ...], schema: Mapping[str, Any]) -> list[Any]:
        item, _ = self._plain(schema.get("items", {}))
        fields = item.get("properties", {})
        most = schema.get("maxItems", 3)
        if {"text", "quote"} <= set(fields):
            return list(prose.summary(self.document, most=min(3, most)))
        if fields:
            return self._objects(path, fields)
        if path[-1:] == ("parties",):
            return names.parties(self.document)
        if path[-1:] == ("words",):
            return kinds.telling_words(self.document, most=min(3, most))
        found = [_typed(each, item) for each in shapes.listed(_names(path), self.document)]
        return [each for each in found if each is not None and _fits(each, item)]

    def _objects(self, path: tuple[str, ...], fields: Mapping[str, Any]) -> list[Any]:
        """Rows of a table by its head; without one, what an invoice bills. What lacks a demanded field is none."""
        table = shapes.rows(list(fields), self._part(path))
        made = [self._row(row, fields) for row in table]
        whole = [row for row in made if row is not None]
        if whole or not LINE_FIELDS & set(fields):
            return whole
        lines = [{key: line.get(key) for key in fields} for line in amounts.lines(self.document)]
        return [
            line for line in lines if all(line[key] is not None or self._plain(fields[key])[1] for key in fields)
        ]

    def _row(self, row: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any] | None:
        made: dict[str, Any] = {}
        for key, member in fields.items():
            schema, may_be_null = self._plain(member)
            found = _typed(row[key], schema) if key in row else None
            if found is None or not _fits(found, schema):
                if not may_be_null:
                    return None
                found = None
            made[key] = found
        return made

    def _empty(self, path: tuple[str, ...], schema: Mapping[str, Any]) -> list[Any] | None:
        """An empty list, where a rule for such lists looked, and the schema allows it."""
        item, _ = self._plain(schema.get("items", {}))
        looked = LINE_FIELDS & set(item.get("properties", {})) or path[-1:] in (("parties",), ("words",))
        return [] if looked and not schema.get("minItems") else None


def _fits(found: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a scalar is as its schema bounds it."""
    try:
        return Checker(schema).fits(found)
    except Misconfigured:
        return True  # a schema that nobody can check is no matter of what was found


def _names(path: tuple[str, ...]) -> list[str]:
    """What a field may be called in the document: by its own name, and with those above it."""
    return list(dict.fromkeys(["_".join(path[-2:]), *path[-1:]]))


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A cell, or a point of a list, as the schema wants it; None where it is no such thing."""
    if "enum" in schema:
        return next((each for each in schema["enum"] if str(each).casefold() == text.strip().casefold()), None)
    if schema.get("type") in ("number", "integer"):
        number = shapes.numbered(text)
        return int(number) if number is not None and number.is_integer() else number
    if schema.get("format") == "date":
        return dates.named("", text)
    if schema.get("type") == "boolean":
        return shapes.said_yes(["it"], f"it: {text}")
    return text.strip() or None


def _scalar(called: Sequence[str], schema: Mapping[str, Any], document: str) -> Any:
    name = called[0]
    if "enum" in schema or "const" in schema:
        return _label(called, schema.get("enum") or [schema["const"]], document)
    if schema.get("type") in ("number", "integer"):
        return _number(called, schema, document)
    if schema.get("format") == "date":
        return _date(called, document)
    if schema.get("type") == "boolean":
        said = shapes.said_yes(called, document)
        return True if said is None and called[-1].replace("_", " ").casefold() in document.casefold() else said
    return names.named(name, document) or shapes.labelled(called, document)


def _date(called: Sequence[str], document: str) -> str | None:
    beside = shapes.labelled(called, document)
    return (dates.named("", beside) if beside else None) or dates.named(called[0], document)


def _number(called: Sequence[str], schema: Mapping[str, Any], document: str) -> float | int | None:
    """An amount by the labels that it usually has, or what stands behind the field's own name."""
    found = next((each for name in called if (each := amounts.named(name, document)) is not None), None)
    if found is None:
        beside = shapes.labelled(called, document)
        found = shapes.numbered(beside) if beside else None
    if found is not None and float(found).is_integer() and schema.get("type") == "integer":
        return int(found)
    return found


def _label(called: Sequence[str], allowed: Sequence[Any], document: str) -> Any:
    """The value whose words occur most; None where none of them occurs."""
    beside = shapes.labelled(called, document)
    exact = _typed(beside, {"enum": [each for each in allowed if each is not None]}) if beside else None
    if exact is not None:
        return exact
    texts = [each for each in allowed if isinstance(each, str)]  # a number that occurs says nothing
    chosen = kinds.label(document, texts) if texts else None
    return chosen if chosen is not None and kinds.occurs(document, chosen) else None


def _mended(found: dict[str, Any]) -> dict[str, Any]:
    """What cannot be so is not answered: a due date before the issue, amounts that do not add up."""
    net, tax, total = (found.get(name) for name in ("net_total", "tax_total", "grand_total"))
    numbers = [each for each in (net, tax, total) if isinstance(each, int | float)]
    if len(numbers) == 3 and abs(numbers[0] + numbers[1] - numbers[2]) > 0.015:
        found |= {"net_total": None, "tax_total": None}
    _mend_lines(found)
    issued, due = found.get("issue_date"), found.get("due_date")
    if issued and due and due < issued:
        found["due_date"] = None
    return found


def _mend_lines(found: dict[str, Any]) -> None:
    """Lines that add up to no total are not all that was billed, or more: their amounts are not known."""
    lines = [line for line in found.get("lines") or () if isinstance(line, dict) and "line_total" in line]
    amounts = [line["line_total"] for line in lines]
    if not amounts or None in amounts:
        return
    totals = [found.get(name) for name in ("net_total", "grand_total")]
    if not any(total is not None and abs(sum(amounts) - total) <= 0.015 * len(amounts) for total in totals):
        for line in lines:
            line["line_total"] = None
