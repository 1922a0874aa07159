"""Answers by rule: what a schema asks for, looked up in the document's words. No language model, and no invention.

A field's name is matched with the document's labels (``Invoice number: 7``); dates and amounts by their look.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

__all__ = ["answer", "document_in", "schema_in"]

FENCED_DOCUMENT = re.compile(r"<document-([0-9a-f]{12})>\n(.*)\n</document-\1>", re.DOTALL)
FENCED_SCHEMA = re.compile(r"JSON Schema, and nothing else:\n```json\n(.*?)\n```", re.DOTALL)
AMOUNT = re.compile(r"\d{1,3}(?:,\d{3})+\.\d{2}|\d+\.\d{2}")
DAY_FIRST = re.compile(r"\b(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\b")
ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")


def document_in(messages: Sequence[Mapping[str, Any]]) -> str:
    """The document between its two lines; the last message where there are none."""
    for message in messages:
        found = FENCED_DOCUMENT.search(str(message.get("content")))
        if found:
            return found[2]
    return str(messages[-1].get("content")) if messages else ""


def schema_in(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of the answer: the native one, else the one in the instructions."""
    native = body.get("response_format") or {}
    if native.get("json_schema"):
        return dict(native["json_schema"]["schema"])
    for message in body["messages"]:
        found = FENCED_SCHEMA.search(str(message.get("content")))
        if found:
            return dict(json.loads(found[1]))
    return None


def answer(document: str, schema: Mapping[str, Any]) -> Any:
    """A value of the schema's shape with what the document holds."""
    return _value("", schema, schema, document)


def _value(name: str, schema: Mapping[str, Any], root: Mapping[str, Any], document: str) -> Any:
    if "$ref" in schema:
        return _value(name, root["$defs"][schema["$ref"].rpartition("/")[2]], root, document)
    choices = schema.get("anyOf")
    if choices:
        return _value(name, choices[0], root, document)
    if schema.get("type") == "object":
        members = schema.get("properties", {})
        return {key: _value(key, member, root, document) for key, member in members.items()}
    if schema.get("type") == "array":
        return _items(name, schema, root, document)
    return _scalar(name, schema, document)


def _scalar(name: str, schema: Mapping[str, Any], document: str) -> Any:
    if "enum" in schema:
        return _most_mentioned(schema["enum"], document)
    if schema.get("type") in ("number", "integer"):
        return _amount(name, document)
    return _date(document) if schema.get("format") == "date" else _text(name, document)


def _items(name: str, schema: Mapping[str, Any], root: Mapping[str, Any], document: str) -> list[Any]:
    if schema["items"].get("type") != "string":
        return [_value(name, schema["items"], root, document)]
    lines = list(dict.fromkeys(line.strip() for line in document.splitlines() if line.strip()))
    return lines[: max(1, schema.get("minItems", 1))]


def _most_mentioned(labels: Sequence[str], document: str) -> str:
    words = document.casefold()
    return max(labels, key=lambda label: words.count(str(label).replace("_", " ").casefold()))


def _amount(name: str, document: str) -> float | None:
    lines = [line for line in document.splitlines() if AMOUNT.search(line)]
    named = [line for line in lines if any(part in line.casefold() for part in name.split("_"))]
    amounts = [float(found.replace(",", "")) for line in named or lines for found in AMOUNT.findall(line)]
    return max(amounts, default=None)


def _date(document: str) -> str | None:
    found = [(match.start(), match[1], match[2], match[3]) for match in ISO.finditer(document)]
    found += [(match.start(), match[3], match[2], match[1]) for match in DAY_FIRST.finditer(document)]
    for _, year, month, day in sorted(found):
        for one, other in ((month, day), (day, month)):
            try:
                return date(int(year), int(one), int(other)).isoformat()
            except ValueError:
                continue
    return None


def _text(name: str, document: str) -> str:
    label = re.escape(name).replace("_", r"[\s_]*")
    found = re.search(rf"\b{label}\b[^\S\n]*(?:[:#]|no\.?)[^\S\n]*(\S[^\n]*)", document, re.IGNORECASE)
    lines = [line.strip() for line in document.splitlines() if line.strip()]
    return found[1].strip() if found else (lines[0] if lines else "")
