"""Rules of Prometheus, in the few forms that the example rules have, held against what /metrics told.

``a or b``, ``a and b``, ``a and on () b``, ``a > b``, ``a / b``, ``a * b``, ``sum [by (l)] (…)``, ``max(…)``, ``absent(…)``,
``a - b``, ``(a)``, ``name{l="v"} offset 15m`` and numbers. Both sides of a sign are matched by all their labels, to which
scraping adds ``instance`` and ``job``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["SCRAPED_AS", "Scrape", "evaluate", "names_in", "scrape"]

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
TOKEN = re.compile(r'\s*([A-Za-z_:][\w:]*|\d+(?:\.\d+)?|"[^"]*"|\[\w+\]|>=|<=|==|[{}(),=<>/*-])')
COMPARE = {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq}
SECONDS = {"m": 60.0, "h": 3600.0, "s": 1.0}
WORDS = {"sum", "by", "on", "and", "or", "max", "absent", "offset"}
FUNCTIONS = {"sum": "summed", "max": "largest", "absent": "missing"}
"""Each by its method."""
SCRAPED_AS = {"instance": "docmill:8080", "job": "docmill"}
"""What Prometheus adds to each series."""


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """What was told at a time, in seconds."""

    at: float
    samples: Mapping[str, Vector]


def scrape(written: str, at: float) -> Scrape:
    samples: dict[str, Vector] = {"up": {frozenset(SCRAPED_AS.items()): 1.0}}
    for family in text_string_to_metric_families(written):
        for sample in family.samples:
            labels = frozenset({**sample.labels, **SCRAPED_AS}.items())
            samples.setdefault(sample.name, {})[labels] = sample.value
    return Scrape(at=at, samples=samples)


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    outside = re.sub(r"\{[^}]*\}|by \([^)]*\)|offset \w+", "", expression)
    return {word for word in re.findall(r"[a-z_]+", re.sub(r"\[\w+\]", "", outside)) if word not in WORDS}


def evaluate(expression: str, scrapes: list[Scrape]) -> Vector:
    """What the expression finds now, at the last scrape; nothing where it does not hold."""
    reader = Reader(tokens=list(tokens_of(expression)), scrapes=scrapes)
    found = reader.either()
    assert not reader.tokens, f"left: {reader.tokens}"
    assert isinstance(found, dict)
    return found


def tokens_of(expression: str) -> Iterator[str]:
    at = 0
    while at < len(expression.rstrip()):
        match = TOKEN.match(expression, at)
        assert match, expression[at:]
        yield match[1]
        at = match.end()


@dataclass(kw_only=True)
class Reader:
    tokens: list[str]
    scrapes: list[Scrape] = field(default_factory=list)

    def next(self, *wanted: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def must(self, wanted: str) -> None:
        assert self.next(wanted), (wanted, self.tokens)

    def either(self) -> Any:
        found = self.both()
        while self.next("or"):
            found = {**self.both(), **found}
        return found

    def both(self) -> Any:
        found = self.compared()
        while self.next("and"):
            on_nothing = self.next("on")
            if on_nothing:
                self.must("(")
                self.must(")")
            other = self.compared()
            found = {
                labels: value for labels, value in found.items() if (other if on_nothing else labels in other)
            }
        return found

    def compared(self) -> Any:
        left = self.difference()
        sign = self.next(*COMPARE)
        if sign is None:
            return left
        pairs = matched(left, self.difference())
        return {labels: first for labels, (first, second) in pairs.items() if COMPARE[sign](first, second)}

    def difference(self) -> Any:
        found = self.product()
        while self.next("-"):
            found = {labels: one - other for labels, (one, other) in matched(found, self.product()).items()}
        return found

    def product(self) -> Any:
        found = self.single()
        while sign := self.next("/", "*"):
            does: Callable[[float, float], float] = operator.mul if sign == "*" else divided
            pairs = matched(found, self.single())
            found = {labels: does(first, second) for labels, (first, second) in pairs.items()}
        return found

    def single(self) -> Any:
        if self.tokens[0] == "(":
            return self.inner()
        word = self.next(*FUNCTIONS)
        if word is not None:
            return getattr(self, FUNCTIONS[word])()
        token = self.tokens.pop(0)
        return float(token) if token[0].isdigit() else self.selected(token)

    def selected(self, name: str) -> Vector:
        wanted = self.labels()
        if not self.next("offset"):
            return chosen(self.scrapes[-1], name, wanted)
        at = self.scrapes[-1].at - seconds(f"{self.tokens.pop(0)}{self.tokens.pop(0)}")
        before = [each for each in self.scrapes if each.at <= at]
        return chosen(before[-1], name, wanted) if before else {}

    def largest(self) -> Vector:
        values = self.inner().values()
        return {frozenset(): max(values)} if values else {}

    def missing(self) -> Vector:
        return {} if self.inner() else {frozenset(): 1.0}

    def summed(self) -> Vector:
        by: list[str] = []
        if self.next("by"):
            self.must("(")
            while not self.next(")"):
                by.append(self.tokens.pop(0))
                self.next(",")
        found: Vector = {}
        for labels, value in self.inner().items():
            kept = frozenset(each for each in labels if each[0] in by)
            found[kept] = found.get(kept, 0.0) + value
        return found

    def inner(self) -> Vector:
        """What stands in brackets."""
        self.must("(")
        found: Vector = self.either()
        self.must(")")
        return found

    def labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.next("{"):
            while not self.next("}"):
                name = self.tokens.pop(0)
                self.must("=")
                found[name] = self.tokens.pop(0).strip('"')
                self.next(",")
        return found


def seconds(span: str) -> float:
    """Of a span as in 15m."""
    return int(span[:-1]) * SECONDS[span[-1]]


def chosen(told: Scrape, name: str, wanted: Mapping[str, str]) -> Vector:
    return {
        labels: value
        for labels, value in told.samples.get(name, {}).items()
        if all(dict(labels).get(label, "") == each for label, each in wanted.items())
    }


def matched(left: Any, right: Any) -> dict[Labels, tuple[float, float]]:
    if isinstance(left, float):
        return {labels: (left, value) for labels, value in right.items()}
    if isinstance(right, float):
        return {labels: (value, right) for labels, value in left.items()}
    return {labels: (value, right[labels]) for labels, value in left.items() if labels in right}


def divided(left: float, right: float) -> float:
    return left / right if right else float("nan")
