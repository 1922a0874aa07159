"""Good answers of many shapes, to be written badly: values with their schemas, some with a model."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["Original", "original"]


@dataclass(frozen=True)
class Original:
    """A good answer. Without a schema where ``schema`` is None."""

    value: Any
    family: Callable[[random.Random], Any]
    schema: dict[str, Any] | None = None
    model: type[BaseModel] | None = None

    @cached_property
    def expected(self) -> Any:
        """What is read from it, as plain JSON."""
        if self.model is None:
            return self.value
        return self.model.model_validate_json(json.dumps(self.value)).model_dump(mode="json")

    def draft(self, rng: random.Random) -> Any:
        """Another good answer of the same shape."""
        made = self.family(rng)
        while made == self.value:
            made = self.family(rng)
        return made


def original(rng: random.Random) -> Original:
    """One of any shape, with its schema, its model, or neither."""
    family, schema, model = rng.choice(FAMILIES)
    given = rng.choice(
        ("schema", "model", "nothing") if model else ("schema", "nothing") if schema else ("nothing",)
    )
    value = family(rng)
    if given == "model":
        return Original(value, family, model=model)
    return Original(value, family, schema=schema if given == "schema" else None)


# --- scalars ---

WORDS = (
    *(
        "Acme",
        "Miller",
        "office",
        "chair",
        "desk",
        "net",
        "Berlin",
        "Hauptstr",
        "repair",
        "service",
        "March",
        "total",
    ),
    *("paper", "blue", "Café", "Müller", "São", "東京", "склад", "naïve"),
)
LIKE_OTHERS = (
    *("", " ", "a", "null", "true", "12", "1,234.50", "-0", "05", "1e5", "NaN", "N/A", "+5", "-", "_", "$", "1/3"),
    *("2024-01-02", "2024-01-02T10:20:30Z", "12:20", "10.5%", "€ 12,50", "(12.50)", "10-20", "5 kg", "@home"),
    *("true false", "null and void", "new Date(1)", "f(x)", "a.b-c", "x+y", "me@example.org", "１２", "Answer: {"),
)
WITH_QUOTES = (
    *(
        'the "Acme" shop',
        'He said "no" twice.',
        'a 5" disk',
        "5'3\" tall",
        'say "hi", then go',
        '"quoted"',
        "“",
        "”",
    ),
    *('"a" and "b"', 'x", "y', '"}', 'it is {"a": 1}', 'k": "v', 'one, "two", three', "it's", "O'Brien", "„", "’"),
    *("the dogs' bone", "'single'", "rock 'n' roll", "don't, won't", "a', 'b", "it’s", "say “hi” now", "“all”"),
    *("a “b", "«x»", "「あ」", "„so“", '\\"', "`code`", '12" x 10" x 3"', 'see "a": that', '("a", "b")'),
)
WITH_SIGNS = (
    *("a, b, c", "a: b", "a; b", "key: value, other: 2", "x = 1", "a => b", "{", "}", "[", "]", "{}", "[]", "{x}"),
    *(
        "[1]",
        "]}",
        "({[",
        "a } b ] c",
        "｛：，｝",
        "http://x.y/z?a=1&b=2#c",
        "https://example.org/a,b",
        "// no",
        "# x",
    ),
    *(
        "a // b",
        "/* x */",
        "a # b",
        "<!-- x -->",
        "-- x",
        "<b>bold</b>",
        "<think>no</think>",
        "</think>",
        "<|end|>",
    ),
    *(
        "[THINK]",
        "◁think▷",
        "assistantfinal",
        "**Answer:** x",
        "```",
        "```json\n{}\n```",
        "...",
        "and so on",
        "wait...",
    ),
    *(
        "1…2",
        "…",
        "for brevity",
        "3 more items",
        "</answer>",
        "&quot;",
        "a & b",
        "| a | b |",
        "- a",
        "a\n- b\n- c",
    ),
)
WITH_ESCAPES = (
    *("line\nbreak", "Hauptstr. 1\n12345 Berlin\nGermany", "tab\there", "cr\r\nlf", "end\n", "\n", "a\tb"),
    *("C:\\Data\\Kunden", "C:\\new\\Users", "\\", "a\\", "\\d+\\s*", "\\frac{1}{2}", "\\u00e9", "a\\nb", "50\\%"),
    *("a\\_b", "\u00a0", "\u200b", "\ufeffx", "😀", "👩\u200d👩", "e\u0301", "\x7f", "\u2028", "x" * 300),
)
ODD_TEXTS = (*LIKE_OTHERS, *WITH_QUOTES, *WITH_SIGNS, *WITH_ESCAPES)
NUMBERS = (0, 1, -1, 2, 5, 10, 42, 100, 999, 1000, 1234, 12345, 1234567, -1234, 2**31, 10**18, -(2**53) - 1)
FLOATS = (0.5, 1.0, -0.5, 0.1, 13.5, 1234.5, -2000.25, 1e-7, 1.5e300, 0.30000000000000004, 3.0, 99.99)


def text(rng: random.Random) -> str:
    if rng.random() < 0.35:
        return rng.choice(ODD_TEXTS)
    return " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 1, 2, 2, 3, 6))))


def word(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.choice((1, 2))))


def whole(rng: random.Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.5 else rng.randint(0, 5000)


def amount(rng: random.Random) -> float:
    return rng.choice(FLOATS) if rng.random() < 0.3 else rng.randint(-10, 500_000) / 100


def money(rng: random.Random) -> float:
    return rng.randint(0, 500_000) / 100


def day(rng: random.Random) -> str:
    return (datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randint(0, 700))).isoformat()


def some(make: Callable[[random.Random], Any], rng: random.Random, most: int = 4) -> list[Any]:
    return [make(rng) for _ in range(rng.randint(0, most))]


# --- shapes ---


def free(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth > 3 or (depth and kind < 0.6):
        return rng.choice((text, text, whole, amount, lambda r: r.choice((True, False, None))))(rng)
    if kind < 0.75 or not depth:
        keys = [rng.choice(KEYS) for _ in range(rng.randint(0 if depth else 1, 4))]
        return {key: free(rng, depth + 1) for key in keys}
    return [free(rng, depth + 1) for _ in range(rng.randint(0, 4))]


KEYS = (
    *("a", "b", "name", "total", "Vendor Name", "due-date", "x.y", "$id", "1", "true", "größe", "it's", "type"),
    *("items", "lines", "a:b", "answer", 'k"q', "名前", "note"),
)


def listing(rng: random.Random) -> Any:
    return [rng.choice((text, whole, amount))(rng) for _ in range(rng.randint(1, 5))]


def receipt(rng: random.Random) -> Any:
    return {"company": text(rng), "date": day(rng), "total": money(rng)}


def invoice(rng: random.Random) -> Any:
    return {
        "vendor": text(rng),
        "number": rng.choice((word, text))(rng),
        "date": rng.choice((day(rng), None)),
        "lines": some(lambda r: {"text": text(r), "quantity": whole(r), "price": money(r)}, rng, 3),
        "paid": rng.choice((True, False)),
        "currency": rng.choice(("EUR", "USD", None)),
        "total": money(rng),
    }


def contract(rng: random.Random) -> Any:
    term = {"years": rng.randint(0, 20), "renews": rng.choice((True, False, None))}
    return {"parties": some(text, rng), "term": term, "kind": rng.choice(KINDS)}


KINDS = ("nda", "lease", "purchase order")


def people(rng: random.Random) -> Any:
    return [{"name": text(rng), "age": rng.choice((whole(rng), None))} for _ in range(rng.randint(1, 4))]


def notes(rng: random.Random) -> Any:
    return {word(rng): text(rng) for _ in range(rng.randint(1, 4))}


def tree(rng: random.Random, depth: int = 0) -> Any:
    return {
        "label": text(rng),
        "inner": [tree(rng, depth + 1) for _ in range(rng.randint(0, 2 if depth < 3 else 0))],
    }


class Line(BaseModel):
    text: str
    quantity: int
    price: Decimal


class Invoice(BaseModel):
    vendor: str
    number: str
    date: datetime.date | None
    lines: list[Line]
    paid: bool
    currency: Literal["EUR", "USD"] | None
    total: Decimal


class Receipt(BaseModel):
    company: str
    date: datetime.date
    total: Decimal


class Term(BaseModel):
    years: int
    renews: bool | None


class Contract(BaseModel):
    parties: list[str]
    term: Term
    kind: Literal["nda", "lease", "purchase order"]


class Tree(BaseModel):
    label: str
    inner: list[Tree]


def strict_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT, NUMBER, WHOLE, TRUTH = ({"type": name} for name in ("string", "number", "integer", "boolean"))
NULL = {"type": "null"}
INVOICE = strict_object(
    vendor=TEXT,
    number=TEXT,
    date={"anyOf": [TEXT, NULL]},
    lines={"type": "array", "items": strict_object(text=TEXT, quantity=WHOLE, price=NUMBER)},
    paid=TRUTH,
    currency={"enum": ["EUR", "USD", None]},
    total={"type": "number", "minimum": 0},
)
CONTRACT = strict_object(
    parties={"type": "array", "items": TEXT},
    term=strict_object(years=WHOLE, renews={"type": ["boolean", "null"]}),
    kind={"enum": list(KINDS)},
)
PEOPLE = {"type": "array", "items": strict_object(name=TEXT, age={"type": ["integer", "null"]})}
RECEIPT = {
    "type": "object",
    "properties": {"company": TEXT, "date": TEXT, "total": NUMBER},
    "required": ["total"],
}
TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {"tree": strict_object(label=TEXT, inner={"type": "array", "items": {"$ref": "#/$defs/tree"}})},
}
FAMILIES: tuple[tuple[Callable[[random.Random], Any], dict[str, Any] | None, type[BaseModel] | None], ...] = (
    (free, None, None),
    (free, None, None),
    (listing, {"type": "array"}, None),
    (listing, None, None),
    (receipt, RECEIPT, Receipt),
    (invoice, INVOICE, Invoice),
    (contract, CONTRACT, Contract),
    (people, PEOPLE, None),
    (notes, {"type": "object", "additionalProperties": TEXT}, None),
    (tree, TREE, Tree),
)
