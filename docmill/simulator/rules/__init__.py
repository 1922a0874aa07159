"""Answers by rule: what a schema asks for, looked up in the document's words. No language model, no invention.

A field is understood by its name and its type: dates, amounts, names, labels, sentences. Nothing but the request
is seen; what cannot be found is null where the schema allows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from docmill.simulator.rules import amounts, citations, dates, kinds, names, prose
from docmill.simulator.rules.citations import passages_in

__all__ = ["answer", "document_in", "example_in", "passages_in", "schema_in"]

DOCUMENT_BEGINS = re.compile(r"<document-([0-9a-f]{12})>\n")
FENCED_SCHEMA = re.compile(r"JSON Schema, and nothing else:\n```json\n(.*?)\n```", re.DOTALL)
FENCED_EXAMPLE = re.compile(r"For example:\n```json\n(.*?)\n```", re.DOTALL)
LINE_FIELDS = frozenset({"name", "description", "quantity", "line_total"})


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


def answer(document: str, schema: Mapping[str, Any], passages: Sequence[str] = ()) -> Any:
    """A value of the schema's shape with what the document holds; a question is answered out of passages."""
    if {"answered", "answer", "citations"} <= set(schema.get("properties", ())):
        return citations.answer(document, passages)
    value = _value("", schema, schema, document)
    return _mended(value) if isinstance(value, dict) else value


def _value(name: str, schema: Mapping[str, Any], root: Mapping[str, Any], document: str) -> Any:
    if "$ref" in schema:
        return _value(name, root["$defs"][schema["$ref"].rpartition("/")[2]], root, document)
    choices = schema.get("anyOf")
    if choices:
        found = _value(name, choices[0], root, document)
        may_be_null = any(choice.get("type") == "null" for choice in choices)
        return None if may_be_null and found in ("", []) else found
    if schema.get("type") == "object":
        members = schema.get("properties", {})
        return {key: _value(key, member, root, document) for key, member in members.items()}
    if schema.get("type") == "array":
        return _items(name, schema, root, document)
    return _scalar(name, schema, document)


def _scalar(name: str, schema: Mapping[str, Any], document: str) -> Any:
    if "enum" in schema:
        return kinds.label(document, [str(each) for each in schema["enum"]])
    if schema.get("type") in ("number", "integer"):
        return amounts.named(name, document)
    if schema.get("format") == "date":
        return dates.named(name, document)
    if schema.get("type") == "boolean":
        return name.replace("_", " ") in document.casefold()
    return names.named(name, document)


def _items(name: str, schema: Mapping[str, Any], root: Mapping[str, Any], document: str) -> list[Any]:
    item = schema["items"]
    if "$ref" in item:
        item = root["$defs"][item["$ref"].rpartition("/")[2]]
    fields = item.get("properties", {})
    if {"text", "quote"} <= set(fields):
        return prose.summary(document, most=min(3, schema.get("maxItems", 3)))
    if LINE_FIELDS & set(fields):
        return [{key: line.get(key) for key in fields} for line in amounts.lines(document)]
    if name == "parties":
        return names.parties(document)
    if name == "words":
        return kinds.telling_words(document, most=min(3, schema.get("maxItems", 3)))
    return prose.first_lines(document, most=max(1, schema.get("minItems", 1)))


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
